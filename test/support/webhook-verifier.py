"""Verifies calls with PyPI's standardwebhooks: a JSON line each on stdin, the number of good ones on stdout."""

import json
import sys

from standardwebhooks import Webhook

good = 0
for line in sys.stdin:
    call = json.loads(line)
    Webhook(call["secret"]).verify(call["body"], call["headers"])
    good += 1
print(good)
