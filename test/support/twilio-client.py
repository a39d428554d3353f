"""Drives Twilio's door with PyPI's twilio: lists all messages page by page, cancels one message, fails to cancel
another, reads the account. Prints what it got as JSON. Arguments: URL, AccountSid, key, both messages' sids."""

import json
import sys

from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

url, account, key, scheduled, sent = sys.argv[1:]
client = Client(account, key)
client.api.base_url = url


def refused(call):
    try:
        call()
    except TwilioRestException as error:
        return [error.status, error.code, error.msg]


fetched = client.api.accounts(account).fetch()
print(
    json.dumps(
        {
            "listed": [message.sid for message in client.messages.list(page_size=2)],
            "canceled": client.messages(scheduled).update(status="canceled").status,
            "refused": refused(lambda: client.messages(sent).update(status="canceled")),
            "redacted": refused(lambda: client.messages(sent).update(body="")),
            "deleted": refused(lambda: client.messages(sent).delete()),
            "account": [fetched.sid, fetched.friendly_name, fetched.status, fetched.date_updated],
        }
    )
)
