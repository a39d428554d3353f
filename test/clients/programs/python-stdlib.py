"""Python's own http.client: one connection, kept; with a length, and chunked from an iterable."""

import http.client
from urllib.parse import urlsplit

from common import PATH, URL, run

connection = http.client.HTTPConnection(urlsplit(URL).netloc, timeout=20)


def send(headers, body):
    try:
        connection.request("POST", PATH, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except Exception:
        connection.close()
        raise


run("http.client", "plain", send)
run("http.client", "chunked", lambda headers, body: send(headers, iter([body[:10], body[10:]])))
