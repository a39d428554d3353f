// Forms of request smuggling: bytes of which one reader could take a hidden request for the body of the first
// one, and another reader for a request of its own. However a form is answered, what is hidden in it must
// never be served. Sources: RFC 9112, sections 6.1, 6.3, 7.1 and 11.2; the variants of smuggler.py (defparam)
// and of PortSwigger's articles on HTTP request smuggling.

export type SmugglingForm = { name: string; bytes: (hidden: string) => string };

type Head = { line?: string; headers?: readonly string[] };

/** What begins the first request; `key` in the header is that of the customer who sends it. */
export function smugglingForms(apiKey: string): SmugglingForm[] {
  const head = ({ line = "POST /v1/sms/send HTTP/1.1", headers = [] }: Head): string =>
    [line, "Host: sluice", `X-API-Key: ${apiKey}`, "Content-Type: application/json", ...headers, "", ""].join(
      "\r\n",
    );
  return [...ofCodings(head), ...ofLengths(head), ...ofChunks(head), ...ofRequests(head)];
}

type MakeHead = (head: Head) => string;

const LAST_CHUNK = "0\r\n\r\n";

/** A length that covers the hidden request, beside a coding in which the body ends before it. */
const ofCodings = (head: MakeHead): SmugglingForm[] =>
  [
    "Transfer-Encoding: chunked",
    "TRANSFER-ENCODING: CHUNKED",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: gzip, chunked",
    " Transfer-Encoding: chunked",
    "X-Before: 1\nTransfer-Encoding: chunked",
    "X-Before: 1\rTransfer-Encoding: chunked",
    "Transfer-Encoding\r\n : chunked",
    "Transfer-Encoding:\r\n chunked",
    'Transfer-Encoding: "chunked"',
    "Transfer-Encoding: 'chunked'",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: chunked\u000b",
    "Transfer-Encoding:\u000bchunked",
    "Transfer-Encoding: chunked\r\n\tx",
    "\u0000Transfer-Encoding: chunked",
    "Transfer-Encoding\u0000: chunked",
    "Transfer-Encoding: ",
  ].map((coding) => ({
    name: `a length beside ${JSON.stringify(coding)}`,
    bytes: (hidden) => {
      const body = LAST_CHUNK + hidden;
      return head({ headers: [`Content-Length: ${body.length}`, coding] }) + body;
    },
  }));

/** The hidden request is all of the body; whoever can't read the length might take the body for empty. */
const ofLengths = (head: MakeHead): SmugglingForm[] =>
  (
    [
      (n) => `Content-Length: +${n}`,
      (n) => `Content-Length: -${n}`,
      (n) => `Content-Length: 0x${n.toString(16)}`,
      (n) => `Content-Length: ${n}, ${n}`,
      (n) => `Content-Length: ${n},0`,
      (n) => `Content-Length: 0, ${n}`,
      (n) => `Content-Length: ${n};x=1`,
      (n) => `Content-Length: ${n} 0`,
      (n) => `Content-Length: ${n}.0`,
      (n) => `Content-Length: ${n}e0`,
      (n) => `Content-Length: \u000b${n}`,
      (n) => `Content-Length: "${n}"`,
      () => "Content-Length: ",
      (n) => `Content-Length: 0\r\nContent-Length: ${n}`,
      (n) => `Content-Length: ${n}\r\nContent-Length: 0`,
      (n) => `Content-Length: ${2n ** 64n + BigInt(n)}`,
      (n) => `Content-Length : ${n}`,
      (n) => `Content-Length\t: ${n}`,
      (n) => ` Content-Length: ${n}`,
      (n) => `Content-Length:\r\n ${n}`,
      (n) => `Content-Length: ${n}\r\nConnection: Content-Length`,
    ] satisfies ((n: number) => string)[]
  ).map((lengthOf) => ({
    name: JSON.stringify(lengthOf(9)),
    bytes: (hidden) => head({ headers: [lengthOf(hidden.length)] }) + hidden,
  }));

/** Chunks that are malformed: nothing behind them can be told from them. */
const ofChunks = (head: MakeHead): SmugglingForm[] =>
  (
    [
      ["a size with 0x", (hidden) => `0x0\r\n\r\n${hidden}`],
      ["a size with a sign", (hidden) => `+0\r\n\r\n${hidden}`],
      ["a negative size", (hidden) => `-1\r\n\r\n${hidden}`],
      ["an empty size", (hidden) => `\r\n\r\n${hidden}`],
      ["a size of 2^64", (hidden) => `10000000000000000\r\n\r\n${hidden}`],
      ["a size that isn't hexadecimal", (hidden) => `0g\r\n\r\n${hidden}`],
      ["no line end behind the data", (hidden) => `2\r\n{}0\r\n\r\n${hidden}`],
      ["data longer than its size", (hidden) => `2\r\n{}x\r\n${LAST_CHUNK}${hidden}`],
      ["a blank before the size", (hidden) => ` 0\r\n\r\n${hidden}`],
    ] as [string, (hidden: string) => string][]
  ).map(([name, body]) => ({
    name: `chunked: ${name}`,
    bytes: (hidden) => head({ headers: ["Transfer-Encoding: chunked"] }) + body(hidden),
  }));

/** Requests whose body, the hidden request, a reader might not expect. */
const ofRequests = (head: MakeHead): SmugglingForm[] =>
  (
    [
      ["a GET with a body", { line: "GET /v1/wallet HTTP/1.1" }],
      ["a HEAD with a body", { line: "HEAD /v1/wallet HTTP/1.1" }],
      ["an OPTIONS with a body", { line: "OPTIONS /v1/wallet HTTP/1.1" }],
      ["a DELETE with a body", { line: "DELETE /v1/messages/01M7YBCG2N0V4QK5A1T8P6WJ3D HTTP/1.1" }],
      ["a body for a route that there isn't", { line: "POST /nowhere HTTP/1.1" }],
      ["a body for a wrong method", { line: "POST /v1/wallet HTTP/1.1" }],
      ["a body of another media type", { headers: ["Content-Type: text/plain"] }],
      ["a compressed body", { headers: ["Content-Encoding: gzip"] }],
      ["Expect", { headers: ["Expect: 100-continue"] }],
      ["an unknown Expect", { headers: ["Expect: 200-ok"] }],
      ["an upgrade to h2c", { headers: ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"] }],
      ["an upgrade to a WebSocket", { headers: ["Connection: Upgrade", "Upgrade: websocket"] }],
      ["Host twice", { headers: ["Host: other"] }],
      ["an absolute target", { line: "POST http://other/v1/sms/send HTTP/1.1" }],
      ["HTTP/1.0", { line: "POST /v1/sms/send HTTP/1.0", headers: ["Connection: keep-alive"] }],
    ] as [string, Head][]
  ).map(([name, { line, headers = [] }]) => ({
    name: `hidden in the body: ${name}`,
    bytes: (hidden) =>
      head({
        ...(line === undefined ? {} : { line }),
        headers: [...headers, `Content-Length: ${hidden.length}`],
      }) + hidden,
  }));
