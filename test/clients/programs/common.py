"""What the Python clients share: the message, and the line that each case prints."""

import json
import os

URL, TLS_URL, CA = (os.environ[name] for name in ("SLUICE_URL", "SLUICE_TLS_URL", "SLUICE_CA"))
PATH = "/v1/sms/send"


def message(client, case, n):
    """Headers and body of one message."""
    name = f"{os.environ['SLUICE_PREFIX']}/{client}/{case}/{n}"
    headers = {
        "X-API-Key": os.environ["SLUICE_KEY"],
        "Content-Type": "application/json",
        "Idempotency-Key": name,
    }
    body = {"phone": "+989121234567", "text": "x", "type": "normal", "reference": name}
    return headers, json.dumps(body).encode()


def tell(client, case, statuses):
    print(json.dumps({"client": client, "case": case, "statuses": statuses}), flush=True)


def run(client, case, send, count=3):
    """`send(headers, body)` returns a status; a request without an answer counts as 0."""
    statuses = []
    for n in range(1, count + 1):
        try:
            statuses.append(send(*message(client, case, n)))
        except Exception:  # whatever a library throws: the client got no answer
            statuses.append(0)
    tell(client, case, statuses)
