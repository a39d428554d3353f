"""What schemathesis can't know of the admin API from its document: which customers, keys and plans there are,
and how the routes file is replaced. Also keeps a run from disturbing itself: whatever a case names, only customers
that nothing else uses are looked at and changed; no token is revoked, because the API has no route for that; and
the routes file is replaced only by others like it. Adds a check of its own: who has no right to is refused.

Environment: that of hooks.py, and SLUICE_FUZZ_ADMIN, JSON: `customers`, the ids of those customers; `read` and
`revoked`, tokens; `routes`, the path of the routes file.
"""

import hashlib
import itertools
import json
import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

import hooks

GIVEN = json.loads(os.environ["SLUICE_FUZZ_ADMIN"])

# ---- values ----

ipv4 = st.ip_addresses(v=4).map(str)
ipv6 = st.ip_addresses(v=6).map(str)
blocks = st.tuples(ipv4, st.integers(0, 32)).map(lambda block: f"{block[0]}/{block[1]}")
schemathesis.openapi.format("sluice-address", st.one_of(ipv4, ipv6, blocks))

# A routes file is any text.
del hooks.MEANT["text"]
hooks.MEANT.update(name="label", reason="label", expires_at="ahead")
hooks.LISTS.update(addresses="address")
hooks.PARAMETERS.update(plan="plan")
# In a path . and .. are steps, however they are written.
schemathesis.openapi.format("sluice-plan", hooks.labels.filter(lambda name: name not in (".", "..")))

# ---- objects of its own ----

turns = itertools.count()
customers = list(GIVEN["customers"])
keys = []
# By a plan's name as it is in a path: a prefix of it, or None if it may have no rates.
plans = {}
KEPT_MAX = 100
# The tool holds what a hook puts into a path against the schema as it is written there.
PLAN_CHARS_MAX = 60

# As the API reads an id; anything else is no customer.
CUSTOMER = re.compile(r"[1-9][0-9]{0,14}")
# Of one entry: the books add up a customer's entries of a day, exactly up to 2^53.
AMOUNT_MAX = 10**12
MONEY_MAX = 2**53 - 1


def one_of(known):
    return known[next(turns) % len(known)]


def keep(known, new):
    if new not in known:
        known.append(new)
    del known[:-KEPT_MAX]


def is_nobody(given):
    return isinstance(given, str) and CUSTOMER.fullmatch(unquote(given)) is None


@schemathesis.hook("before_call")
def name_own(context, case, kwargs):
    path, given = case.operation.path, case.path_parameters
    # Of every case, a negative one too: it may be wrong elsewhere, or not be refused.
    if path.startswith("/admin/v1/customers/{id}") and given.get("id") not in customers:
        if not is_nobody(given.get("id")):
            given["id"] = one_of(customers)
    bound_amount(case)
    if not is_positive(case):
        return
    if path.startswith("/admin/v1/keys/{id}") and keys and next(turns) % 4 > 0:
        given["id"] = one_of(keys)
    if "{plan}" in path and plans and next(turns) % 2 == 0:
        given["plan"] = one_of(list(plans))
    if isinstance(case.body, dict):
        mean_something(case)


def is_positive(case):
    return case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE


def bound_amount(case):
    amount = case.body.get("amount") if isinstance(case.body, dict) else None
    is_valid = isinstance(amount, int) and not isinstance(amount, bool) and 1 <= abs(amount) <= MONEY_MAX
    if is_valid and abs(amount) > AMOUNT_MAX:
        case.body["amount"] = amount % AMOUNT_MAX + 1 if amount > 0 else -(-amount % AMOUNT_MAX + 1)


def mean_something(case):
    label, body = case.operation.label, case.body
    if label == "PATCH /admin/v1/customers/{id}" and isinstance(body.get("price_plan"), str):
        body["price_plan"] = one_of([*map(unquote, plans), "none"])
    prefix = plans.get(case.path_parameters.get("plan"))
    if label == "POST /admin/v1/plans/{plan}/rates/remove" and prefix is not None:
        case.body = {"prefix": prefix}


@schemathesis.hook("after_call")
def keep_own(context, case, response):
    if response.status_code not in (200, 201):
        return
    label = case.operation.label
    if label == "POST /admin/v1/customers":
        keep(customers, response.json()["customer_id"])
    if label in ("POST /admin/v1/customers/{id}/keys", "POST /admin/v1/keys/{id}/rotate"):
        keep(keys, response.json()["key_id"])
    if label == "DELETE /admin/v1/keys/{id}" and response.json()["key_id"] in keys:
        keys.remove(response.json()["key_id"])
    if label == "POST /admin/v1/plans/{plan}/rates":
        rates = json.loads(response.request.body)["rates"]
        name = quote(response.json()["plan"], safe="")
        if len(name) <= PLAN_CHARS_MAX:
            plans[name] = rates[0]["prefix"] if rates else None
        for oldest in list(plans)[:-KEPT_MAX]:
            del plans[oldest]
    if label == "DELETE /admin/v1/plans/{plan}":
        plans.pop(quote(response.json()["plan"], safe=""), None)


# ---- the routes file ----

ROUTES = Path(GIVEN["routes"])
# That of the local stack, with which the run begins: all its operators are on this machine.
TEXT = (Path(__file__).parents[2] / "routes.yaml").read_text(encoding="utf-8")
TEXT_CHARS_MAX = 256 * 1024
# No file that begins so is ever used.
REFUSED = "%YAML 1.2\n---\n"


def another_text():
    turn = next(turns)
    return f"{TEXT.replace('price: 100', f'price: {100 + turn % 3}')}\n# {turn}\n"


@schemathesis.hook("before_call")
def stay_here(context, case, kwargs):
    """Whatever a text says, the gateway sends to this machine only."""
    body, is_replacement = case.body, case.operation.label == "PUT /admin/v1/routes"
    is_check = case.operation.label == "POST /admin/v1/routes/check"
    if not (is_replacement or is_check) or not isinstance(body, dict) or not isinstance(body.get("text"), str):
        return
    if is_positive(case) and next(turns) % 2 == 0:
        body["text"] = another_text()
        if is_replacement:
            case.headers["If-Match"] = f'"{hashlib.sha256(ROUTES.read_bytes()).hexdigest()}"'
    elif is_replacement and len(body["text"]) <= TEXT_CHARS_MAX:
        body["text"] = f"{REFUSED}{body['text']}"[:TEXT_CHARS_MAX]


# ---- a check of its own ----

SAMPLED_EACH = 5
session = requests.Session()
checked = itertools.count()


@schemathesis.check
def refused_without_right(ctx, response, case):
    """The same request is refused with a token that was revoked, and a change with one that only reads."""
    is_route = response.status_code != 405 and b"No such route" not in response.content
    if not case.operation.path.startswith("/admin/") or not is_route or next(checked) % SAMPLED_EACH > 0:
        return
    wanted = [(GIVEN["revoked"], 401, "admin_token_invalid")]
    if case.operation.method.upper() != "GET":
        wanted.append((GIVEN["read"], 403, "scope_missing"))
    for token, status, code in wanted:
        request = response.request.copy()
        request.headers["Authorization"] = f"Bearer {token}"
        answer = session.send(request, timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
