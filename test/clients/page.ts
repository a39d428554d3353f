// Writes docs/reference/clients.md from the same tables of cases that the tests use: `bun
// test/clients/page.ts`.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type RawCase, rawCases, type Want } from "../support/raw-cases.ts";
import { type ClientCase, clientCases, type Outcome } from "./cases.ts";

export const CLIENTS_PAGE = join(import.meta.dirname, "../../docs/reference/clients.md");

/** The versions pinned in requirements.txt and bun.lock. */
function versions(): string {
  const python = readFileSync(join(import.meta.dirname, "requirements.txt"), "utf8");
  const { dependencies } = JSON.parse(
    readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"),
  ) as { dependencies: Record<string, string> };
  const pinned = ["requests", "httpx", "aiohttp"].map(
    (name) => `${name} ${new RegExp(`^${name}==(\\S+)`, "m").exec(python)?.[1]}`,
  );
  return [...pinned, `undici ${dependencies.undici}`].join(", ");
}

const outcomes: Record<string, string> = {
  "no answer": "no answer",
  "not always": "202 or no answer",
  "too late": "400, perhaps stored",
  null: "(no TLS)",
};
const outcome = (value: Outcome | null): string => outcomes[String(value)] ?? String(value);

const wants: Partial<Record<Want, string>> = {
  closed: "closed",
  left: "closed; see below",
  "empty 400": "400 without a body",
  "empty 431": "431 without a body",
};
const want = (value: Want): string => wants[value] ?? (value === "202" ? "202" : `\`${value}\``);

const clientRow = ({ client, what, direct, edge }: ClientCase): string =>
  `| ${client} | ${what} | ${outcome(direct)} | ${outcome(edge)} |`;
const rawRow = ({ name, direct, edge }: RawCase): string => `| ${name} | ${want(direct)} | ${want(edge)} |`;

export function clientsPage(): string {
  return `<!-- Written by \`bun test/clients/page.ts\` from the test cases; change those instead. -->

# HTTP clients, and the answers they get

There are two ways to reach the API. The **direct port** is the ingest process itself: the fastest, but plain
HTTP/1.1 and one request at a time per connection. The **edge** is nginx in front of it
(\`./sluice up --edge\`, [deploy/nginx](../../deploy/nginx/README.md)): TLS, HTTP/2, and everything that
HTTP/1.1 allows. With either, a message is answered 202, stored and charged once; or it is refused, and
nothing is stored or charged. \`make clients\` tests the first table,
\`test/integration/raw-sockets.test.ts\` the second.

Bun's server ends a connection on the direct port if more bytes arrive, or the client closes its sending half,
while an answer is pending. The request is then treated as one whose client has left: nothing of it is stored
unless its commit had already begun. In any case, repeating it with the same \`Idempotency-Key\` results in
exactly one message.

## Clients

Pinned versions: ${versions()}. Of the other clients, whatever is installed is used; this table was made with
those of Debian 12 (curl 7.88, Perl 5.36, Java 17), Python 3.11, Go 1.26 and Node 26.

| client | how | direct port | edge |
|---|---|---|---|
${clientCases.map(clientRow).join("\n")}

"No answer" means that the client reports an error and nothing was stored. Bun doesn't recognise the JDK's
\`Expect: 100-Continue\` because of its capital letter; the client waits for the interim answer until it times
out. With pipelining on the direct port, requests that got no answer can be repeated with their
\`Idempotency-Key\`. So can those of HTTP::Tiny with a trailer, which it writes some time after the body,
when the commit may have begun.

## Bytes on a socket

| what is sent | direct port | edge |
|---|---|---|
${rawCases.map(rawRow).join("\n")}

- A word like \`malformed_request\` is the code of a problem document ([errors](errors.md)).
- A half-closed connection to the direct port is closed without an answer, as described above.
- The edge closes a connection, without an answer, if a header is not complete within 10 s of its first byte,
  or if a body is silent for 10 s.
- If a client of the edge leaves after sending its whole request, the request is still processed, because
  nginx can't tell such a client from one that only closed its sending half. To get the answer, the client
  repeats the request with its \`Idempotency-Key\`.
`;
}

if (import.meta.main) writeFileSync(CLIENTS_PAGE, clientsPage());
