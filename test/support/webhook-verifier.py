"""Verifies calls with PyPI's standardwebhooks and twilio: a JSON line each on stdin, the number of good ones on stdout."""

import json
import sys
from urllib.parse import parse_qsl

from standardwebhooks import Webhook

good = 0
for line in sys.stdin:
    call = json.loads(line)
    if "url" in call:
        from twilio.request_validator import RequestValidator  # slow to load, and rarely wanted

        form = dict(parse_qsl(call["body"], keep_blank_values=True))
        validator = RequestValidator(call["secret"])
        assert validator.validate(call["url"], form, call["headers"]["x-twilio-signature"]), call["body"]
    else:
        Webhook(call["secret"]).verify(call["body"], call["headers"])
    good += 1
print(good)
