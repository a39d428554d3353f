"""Sluice by Python's standard library: sends a message and waits for its status, or verifies a webhook.

SLUICE_URL=… SLUICE_KEY=… python3 sluice.py send +989121234567 "Hello"
WEBHOOK_SECRET=… WEBHOOK_ID=… WEBHOOK_TIMESTAMP=… WEBHOOK_SIGNATURE=… python3 sluice.py verify <body
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid


def request(method, path, body=None, tries=5):
    """The answer. Tries again after no answer, 429 and 503; the Idempotency-Key makes all tries one."""
    headers = {"X-API-Key": os.environ["SLUICE_KEY"], "Idempotency-Key": str(uuid.uuid4())}
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = json.dumps(body).encode()
    for tried in range(1, tries + 1):
        wait = 0.25 * 2**tried
        try:
            call = urllib.request.Request(os.environ["SLUICE_URL"] + path, data, headers, method=method)
            with urllib.request.urlopen(call, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            problem = error.read().decode()
            if error.code not in (429, 503) or tried == tries:
                raise SystemExit(problem)
            wait = max(wait, float(error.headers.get("Retry-After", 0)))
        except OSError as error:
            if tried == tries:
                raise SystemExit(f"no answer: {error}")
        time.sleep(wait)


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
