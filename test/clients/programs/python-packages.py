"""requests, httpx (HTTP/1.1 and HTTP/2) and aiohttp, by their defaults."""

import asyncio
import ssl

import aiohttp
import httpx
import requests
from common import CA, PATH, TLS_URL, URL, message, run, tell

session = requests.Session()
run("requests", "plain", lambda h, b: session.post(URL + PATH, data=b, headers=h, timeout=20).status_code)
run("requests", "chunked", lambda h, b: session.post(URL + PATH, data=iter([b]), headers=h, timeout=20).status_code)
run("requests", "unknown-key", lambda h, b: session.post(URL + PATH, data=b, headers={**h, "X-API-Key": "sk_no"}, timeout=20).status_code)

with httpx.Client(timeout=20) as client:
    run("httpx", "plain", lambda h, b: client.post(URL + PATH, content=b, headers=h).status_code)
    run("httpx", "chunked", lambda h, b: client.post(URL + PATH, content=iter([b]), headers=h).status_code)
if TLS_URL:
    trust = ssl.create_default_context(cafile=CA)
    with httpx.Client(http2=True, verify=trust, timeout=20) as client:

        def over_http2(headers, body):
            answer = client.post(TLS_URL + PATH, content=body, headers=headers)
            assert answer.http_version == "HTTP/2"
            return answer.status_code

        run("httpx", "tls-http2", over_http2)


async def with_aiohttp():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20)) as client:

        async def case(name, body_of=lambda body: body, **options):
            async def one(n):
                headers, body = message("aiohttp", name, n)
                try:
                    async with client.post(URL + PATH, data=body_of(body), headers=headers, **options) as answer:
                        await answer.read()
                        return answer.status
                except Exception:
                    return 0

            tell("aiohttp", name, await asyncio.gather(*(one(n) for n in (1, 2, 3))))

        async def pieces(body):
            yield body[:10]
            yield body[10:]

        await case("plain")
        await case("chunked", pieces)
        await case("expect", expect100=True)


asyncio.run(with_aiohttp())
