"""What schemathesis can't know of this API from its document: values that mean something (a phone, a text that
fits in ten parts, a time ahead), the media types that only a few routes take, and that a callback leads nowhere
but to this machine. Also counts the cases, and adds a check of its own.

Environment: SLUICE_FUZZ_COUNTS, the file to which the counts are written; SLUICE_FUZZ_CALLBACK, a URL on this
machine for callbacks.
"""

import atexit
import copy
import itertools
import json
import os
import re
import threading
from collections import Counter
from datetime import datetime, timedelta, timezone

import jsonschema_rs
import schemathesis
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

# ---- values ----

BLANKS = ["", " ", "-", "\u00a0", "\u2009", " - "]
DIGITS = ["0123456789", "۰۱۲۳۴۵۶۷۸۹", "٠١٢٣٤٥٦٧٨٩", "０１２３４５６７８９"]


@st.composite
def phones(draw):
    """Mobile numbers of Iran, in any of the spellings that a send takes."""
    number = "9" + draw(st.sampled_from(["12", "21", "30"])) + draw(st.text("0123456789", min_size=7, max_size=7))
    prefix = draw(st.sampled_from(["+98", "0098", "0", "+98 ", "tel:+98"]))
    blank = draw(st.sampled_from(BLANKS))
    figures = draw(st.sampled_from(DIGITS))
    spelt = prefix + blank.join([number[:3], number[3:6], number[6:]])
    return spelt.translate(str.maketrans("0123456789", figures))


# Ten parts of UCS-2 have 670 units: no character here has more than two.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=330)
labels = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=60)
senders = st.one_of(
    st.text("0123456789", min_size=1, max_size=15),
    st.text("abcXYZ àÅΔ_@!0123", min_size=1, max_size=10).filter(lambda name: name.strip() != ""),
)


@st.composite
def times_ahead(draw):
    """Within the next 29 days, with any offset."""
    offset = timezone(timedelta(minutes=draw(st.integers(-12 * 60, 14 * 60))))
    seconds = draw(st.integers(60, 29 * 86_400))
    return (datetime.now(offset) + timedelta(seconds=seconds)).isoformat(timespec="milliseconds")


templates = st.tuples(st.text("abc سلام{}", max_size=50), st.text("xyz 你好", max_size=50)).map(
    lambda around: f"{around[0].replace('{code}', '')}{{code}}{around[1]}"
)
CALLBACK = os.environ["SLUICE_FUZZ_CALLBACK"]
callbacks = st.text("abc0123456789/", max_size=20).map(lambda path: f"{CALLBACK}/{path}")

FORMATS = {
    "phone": phones(),
    "text": texts,
    "template": templates,
    "typed": st.text("0123456789", min_size=4, max_size=10),
    "label": labels,
    "sender": senders,
    "ahead": times_ahead(),
    "callback": callbacks,
}
for name, strategy in FORMATS.items():
    schemathesis.openapi.format(f"sluice-{name}", strategy)

MEANT = {
    "phone": "phone",
    "text": "text",
    "template": "template",
    "code": "typed",
    "reference": "label",
    "request_id": "label",
    "from": "sender",
    "sender": "sender",
    "send_at": "ahead",
    "callback_url": "callback",
}
# Of the items of a list, and of parameters.
LISTS = {"phones": "phone"}
PARAMETERS = {"phone": "phone", "sender": "sender"}


# Bodies of these are made by strategies below, as bytes.
BYTES = ("application/octet-stream", "application/x-ndjson")


def mean(schema):
    """Names the format of each string of a body that means something."""
    for name, field in schema.get("properties", {}).items():
        inner = field
        while "anyOf" in inner:
            inner = inner["anyOf"][0]
        is_time = name == "from" and "format" in inner
        if inner.get("type") == "string" and "enum" not in inner and name in MEANT and not is_time:
            inner["format"] = f"sluice-{MEANT[name]}"
        if name in LISTS:
            inner["items"]["format"] = f"sluice-{LISTS[name]}"
        if inner.get("type") == "array":
            mean(inner["items"])


# The document as it is: what is right by it, of a body, by operation id. The formats named above are none of the
# API's, but the tool takes whatever it makes without regard to one to be wrong.
bodies = {}


def keep_bodies(document):
    whole = copy.deepcopy(document)
    for methods in whole["paths"].values():
        for operation in methods.values():
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            if schema is not None:
                own = {"allOf": [schema], "components": whole["components"]}
                bodies[operation["operationId"]] = jsonschema_rs.validator_for(own, validate_formats=True)


@schemathesis.hook
def filter_case(context, case):
    """Leaves out a body that was to be wrong and is right by the document."""
    meta = case.meta
    if meta is None or meta.generation.mode != GenerationMode.NEGATIVE:
        return True
    mutations = getattr(meta.phase.data, "mutations", ())
    is_format = any("format" in each.keywords for each in mutations)
    right = bodies.get(case.operation.definition.raw.get("operationId"))
    return not (is_format and right is not None and isinstance(case.body, dict) and right.is_valid(case.body))


@schemathesis.hook
def before_load_schema(context, raw_schema):
    keep_bodies(raw_schema)
    for name, schema in raw_schema["components"]["schemas"].items():
        if name.endswith("Request"):
            mean(schema)
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            # Any media type is taken there; the tool has to be told one.
            content = operation.get("requestBody", {}).get("content", {})
            if "*/*" in content:
                content["application/octet-stream"] = content.pop("*/*")
            for name, media in content.items():
                if name in BYTES and isinstance(media.get("example"), str):
                    media["example"] = media["example"].encode()
            for parameter in operation.get("parameters", []):
                if parameter.get("name") in PARAMETERS:
                    parameter["schema"]["format"] = f"sluice-{PARAMETERS[parameter['name']]}"


# ---- media types ----

lines = st.lists(
    st.one_of(
        st.fixed_dictionaries({"phone": phones(), "text": texts}, optional={"reference": labels, "from": senders}),
        st.dictionaries(st.sampled_from(["phone", "text", "type", "to"]), st.none() | st.text() | st.integers()),
    ).map(lambda line: json.dumps(line, ensure_ascii=False).encode()),
    max_size=6,
)
schemathesis.openapi.media_type(
    "application/octet-stream",
    st.one_of(
        st.dictionaries(st.sampled_from(["message_id", "status", "from", "to", "text"]), st.text()).map(
            lambda report: json.dumps(report).encode()
        ),
        st.binary(max_size=2_000),
    ),
)
schemathesis.openapi.media_type(
    "application/x-ndjson", st.one_of(lines.map(lambda each: b"\n".join(each)), st.binary(max_size=200))
)


@schemathesis.serializer(*BYTES)
def as_bytes(context, value):
    if not isinstance(value, (bytes, str)):
        value = json.dumps(value)
    return value.encode() if isinstance(value, str) else value


@schemathesis.deserializer("application/x-ndjson", "text/csv")
def as_text(context, response):
    return response.content.decode()


# ---- what was answered before ----

# The code of each id, which its customer is set up to get, and the last message that was scheduled: random data
# would never verify the one, and seldom change or cancel the other in time.
codes = {}
scheduled = []
turns = itertools.count()


@schemathesis.hook("before_call")
def go_on(context, case, kwargs):
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    code = codes.get(case.path_parameters.get("id"))
    if case.operation.label == "POST /v1/otp/{id}/verify" and code is not None:
        case.body = {"code": code}
    is_change = case.operation.label in ("PATCH /v1/messages/{id}", "DELETE /v1/messages/{id}")
    if is_change and scheduled and next(turns) % 2 == 0:
        case.path_parameters["id"] = scheduled[-1]


@schemathesis.hook("after_call")
def keep(context, case, response):
    if response.status_code != 202:
        return
    if case.operation.label == "POST /v1/otp":
        sent = response.json()
        codes[sent["id"]] = sent["otp_code"]
    if case.operation.label == "POST /v1/sms/send" and response.json()["status"] == "scheduled":
        scheduled.append(response.json()["id"])


# ---- nothing leaves this machine ----


def is_elsewhere(url):
    # Of all strings, the gateway calls only those that begin so.
    return isinstance(url, str) and url.lower().startswith("http") and not url.startswith(f"{CALLBACK}/")


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    if isinstance(body, dict) and is_elsewhere(body.get("callback_url")):
        body["callback_url"] = "elsewhere"
    if isinstance(body, bytes) and b"callback_url" in body:
        case.body = body.replace(b"callback_url", b"elsewhere")


# ---- counts ----

counts = Counter()
lock = threading.Lock()


@schemathesis.hook
def after_call(context, case, response):
    meta = case.meta
    mode = "other" if meta is None else meta.generation.mode.value
    phase = "other" if meta is None else meta.phase.name.value
    with lock:
        counts[(case.operation.label, mode, phase, response.status_code)] += 1
        is_due = counts.total() % 200 == 0
    if is_due:
        write_counts()


@atexit.register
def write_counts():
    file = os.environ["SLUICE_FUZZ_COUNTS"]
    with lock, open(f"{file}.new", "w", encoding="utf-8") as new:
        json.dump([[*key, count] for key, count in sorted(counts.items())], new)
    os.replace(f"{file}.new", file)


# ---- a check of its own ----

# What the document says of a value's shape. What is right by it is never refused for one of these.
SHAPE = re.compile(
    r"must be (a (string|whole number|boolean|JSON object)|an array|one of .*|at (least|most) \d+$|RFC 3339)"
    r"|must have (at most|1 to) \d+ (characters|entries)|must not be empty"
    r"|must not contain (control characters|NUL)|is not a (field of this request|parameter of this route)"
    r"|has a member|is required$"
)


@schemathesis.check
def refused_for_what_it_means(ctx, response, case):
    """A request that is as documented is refused only for what no schema can say."""
    meta = case.meta
    if response.status_code != 422 or meta is None or meta.generation.mode != GenerationMode.POSITIVE:
        return
    errors = response.json().get("errors", [])
    shapes = [error for error in errors if SHAPE.match(error["reason"])]
    assert shapes == [], f"refused for its shape: {shapes}"
