"""Sluice by Python's standard library: sends a message and waits for its status, or verifies a webhook.

SLUICE_URL=… SLUICE_KEY=… python3 sluice.py send +989121234567 "Hello"
WEBHOOK_SECRET=… WEBHOOK_ID=… WEBHOOK_TIMESTAMP=… WEBHOOK_SIGNATURE=… python3 sluice.py verify <body
"""

import base64
import hashlib
import hmac
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid


def attempt(call):
    """Status, text and Retry-After of the answer. Status 0: there was none, or not all of it."""
    try:
        try:
            answer = urllib.request.urlopen(call, timeout=30)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            asked = answer.headers.get("Retry-After", "")
            return answer.status, answer.read().decode(), float(asked) if asked.isdigit() else 0
    except (OSError, http.client.HTTPException) as error:
        return 0, f"no answer: {error}", 0


def code_of(text):
    """Of a problem; None: the answer is not the gateway's."""
    try:
        return json.loads(text).get("code")
    except (ValueError, AttributeError):
        return None


def request(method, path, body=None, tries=5):
    """The answer. Tries again after no answer, 429 and 503, and while an earlier try is still being processed;
    the Idempotency-Key makes all tries one. The refusal of a repeat says nothing of the tries before it."""
    key = str(uuid.uuid4())
    headers = {"X-API-Key": os.environ["SLUICE_KEY"], "Idempotency-Key": key}
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    in_doubt = False
    for tried in range(1, tries + 1):
        call = urllib.request.Request(os.environ["SLUICE_URL"] + path, data, headers, method=method)
        status, text, asked = attempt(call)
        if 200 <= status < 300:
            return json.loads(text)
        code = code_of(text)
        if method != "GET" and code in (None, "outcome_unknown", "internal", "idempotency_in_progress"):
            in_doubt = True
        if tried == tries or not (status in (0, 429, 503) or code == "idempotency_in_progress"):
            doubt = f"it may have taken effect: repeat it with Idempotency-Key {key}\n" if in_doubt else ""
            raise SystemExit(doubt + text)
        time.sleep(max(0.25 * 2**tried, asked))


def send(phone, text):
    sent = request("POST", "/v1/sms/send", {"phone": phone, "text": text, "type": "normal"})
    for _ in range(60):
        message = request("GET", "/v1/messages/" + sent["id"])
        if message["status"] not in ("queued", "sending"):
            break
        time.sleep(0.5)
    print(message["id"], message["status"])


def verify(body, headers, secret, tolerance=300):
    """Standard Webhooks: HMAC-SHA-256 of id.timestamp.body under the bytes behind whsec_, in base64."""
    if abs(time.time() - int(headers["webhook-timestamp"])) > tolerance:
        raise SystemExit("refused: too old")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    if not any(hmac.compare_digest(expected, given) for given in headers["webhook-signature"].split(" ")):
        raise SystemExit("refused: no signature is by this secret")
    return json.loads(body)


if sys.argv[1:2] == ["send"]:
    send(*sys.argv[2:])
elif sys.argv[1:2] == ["verify"]:
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    given = {name: os.environ[name.upper().replace("-", "_")] for name in names}
    event = verify(sys.stdin.buffer.read(), given, os.environ["WEBHOOK_SECRET"])
    print(event["data"]["id"], event["data"]["status"])
else:
    sys.exit("usage: sluice.py send PHONE TEXT | verify")
