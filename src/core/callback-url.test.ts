// Which URLs and addresses are called, at the borders of each rule. Hostile URLs in every notation, and what
// is called, are in test/integration/webhook-calls.test.ts.

import { expect, test } from "bun:test";
import { callbackUrlProblem, endpointOf, hostOf, isPublicAddress } from "./callback-url.ts";

const problem = (url: string, allowPrivate = false) => callbackUrlProblem(url, { allowPrivate });

test("a URL is refused for the first rule that it breaks", () => {
  const cases: [string, string][] = [
    ["", "must be an absolute URL in ASCII, such as https://example.com/sms"],
    ["/sms", "must be an absolute URL in ASCII, such as https://example.com/sms"],
    ["https://", "must be an absolute URL in ASCII, such as https://example.com/sms"],
    ["https://example.com:65536/", "must be an absolute URL in ASCII, such as https://example.com/sms"],
    // Blanks that a parser would remove, and letters that it would convert.
    [" https://example.com/", "must be an absolute URL in ASCII, such as https://example.com/sms"],
    ["https://example.com/a\tb", "must be an absolute URL in ASCII, such as https://example.com/sms"],
    ["https://exämple.com/", "must be an absolute URL in ASCII, such as https://example.com/sms"],
    ["http://example.com/", "must begin with https://"],
    ["ftp://example.com/", "must begin with https://"],
    ["https://me@example.com/", "must not contain a user name or password"],
    ["https://:secret@example.com/", "must not contain a user name or password"],
    ["https://example.com/#", "must not contain a fragment"],
    ["https://127.1/", "must not lead to an address that isn't public"],
    ["https://[::ffff:8.8.8.8]/", "must not lead to an address that isn't public"],
    ["https://hooks/", "must have a host name of the public DNS"],
    ["https://api.localhost./", "must have a host name of the public DNS"],
    ["https://router.HOME/", "must have a host name of the public DNS"],
  ];
  expect(cases.map(([url]) => [url, problem(url)])).toEqual(cases);
});

test("names and paths that only look like what is refused are taken", () => {
  for (const url of [
    "https://example.com",
    "https://localhost.example.com/",
    "https://homearpa.example/",
    "https://example.com/127.0.0.1?to=http://localhost/%23",
    "https://xn--exmple-cua.com/",
    "https://[2606:4700::1111]/",
  ])
    expect([url, problem(url)]).toEqual([url, null]);
});

test("a port is that of HTTPS, or one that needs no privilege", () => {
  for (const port of [443, 1_024, 65_535]) expect(problem(`https://example.com:${port}/`)).toBeNull();
  for (const port of [0, 80, 442, 444, 1_023])
    expect(problem(`https://example.com:${port}/`)).toBe("must have port 443, or one from 1024");
});

test("a URL has 500 characters at most, and its origin 300", () => {
  const url = (chars: number) => `https://example.com/${"a".repeat(chars - 20)}`;
  expect([problem(url(500)), problem(url(501))]).toEqual([null, "must have at most 500 characters"]);
  const host = "ab.".repeat(96);
  expect(problem(`https://${host}info/`)).toBeNull();
  expect(problem(`https://${host}infos/`)).toBe("has too long a host name");
});

test("for development, plain HTTP, any port and private addresses are allowed, and nothing else", () => {
  for (const url of ["http://127.0.0.1:80/", "https://10.0.0.1/", "http://localhost:9000/", "http://hooks/"])
    expect([url, problem(url, true)]).toEqual([url, null]);
  expect(problem("ftp://127.0.0.1/", true)).toBe("must begin with https://");
  expect(problem("http://me@127.0.0.1/", true)).toBe("must not contain a user name or password");
  expect(problem("http://127.0.0.1/#a", true)).toBe("must not contain a fragment");
});

test("each block of addresses that aren't public ends where its registry says", () => {
  const blocks: [before: string | null, first: string, last: string, after: string | null][] = [
    [null, "0.0.0.0", "0.255.255.255", "1.0.0.0"],
    ["9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"],
    ["100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0"],
    ["126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0"],
    ["168.63.129.15", "168.63.129.16", "168.63.129.16", "168.63.129.17"],
    ["169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0"],
    ["172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0"],
    ["191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"],
    ["192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"],
    ["192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0"],
    ["192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0"],
    ["198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0"],
    ["198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0"],
    ["203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0"],
    ["223.255.255.255", "224.0.0.0", "255.255.255.255", null],
    [null, "::", "1fff:ffff::", "2000::"],
    ["2000:ffff::", "2001::", "2001:1ff:ffff::", "2001:200::"],
    ["2001:db7:ffff::", "2001:db8::", "2001:db8:ffff::", "2001:db9::"],
    ["2001:ffff::", "2002::", "2002:ffff::", "2003::"],
    ["3ffe:ffff::", "3fff::", "3fff:fff:ffff::", "3fff:1000::"],
    ["3fff:ffff::", "4000::", "ffff::", null],
  ];
  for (const [before, first, last, after] of blocks) {
    expect([first, last].filter(isPublicAddress)).toEqual([]);
    const outside = [before, after].filter((address) => address !== null);
    expect(outside.filter((address) => !isPublicAddress(address))).toEqual([]);
  }
});

test("what is no address at all is not public", () => {
  for (const text of ["", "example.com", "1.1.1", "1.1.1.1 ", "1.1.1.256", "2606:4700:::1", "[2606:4700::1]"])
    expect([text, isPublicAddress(text)]).toEqual([text, false]);
});

test("a host is what is resolved, and an endpoint what shares failures", () => {
  const hosts = ["https://[2606:4700::1111]:8443/", "https://Example.COM./", "https://1.1.1.1/"];
  expect(hosts.map((url) => hostOf(new URL(url)))).toEqual(["2606:4700::1111", "example.com", "1.1.1.1"]);
  const urls = ["https://example.com:443/a?b=c", "https://EXAMPLE.com/d", "https://example.com:8443/a", null];
  expect(urls.map(endpointOf)).toEqual([
    "https://example.com",
    "https://example.com",
    "https://example.com:8443",
    "",
  ]);
});
