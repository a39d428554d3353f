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
  return `<!-- Written by \`bun test/clients/page.ts\` from the cases of the tests; change those instead. -->

# HTTP clients, and what they get

Two doors lead to the API. The **direct port** is the ingest process itself: the fastest, plain HTTP/1.1,
one request at a time on a connection. The **edge** is nginx in front of it (\`./sluice up --edge\`,
[deploy/nginx](../../deploy/nginx/README.md)): TLS, HTTP/2, and everything that HTTP/1.1 allows. At both, a
message is answered 202, stored and charged once; or it is refused, and nothing is stored or charged. \`make
clients\` shows it for the first table, \`test/integration/raw-sockets.test.ts\` for the second.

The direct port ends a connection as soon as more bytes come, or its client closes its sending half, while
an answer is pending: that is how Bun's server works. The request counts as left by its client. Nothing of
it is stored, unless its commit had begun by then; in any case, a repeat with the same \`Idempotency-Key\`
ends in exactly one message.

## Clients

Pinned: ${versions()}. The others are whatever is installed; the table was made with those of Debian 12
(curl 7.88, Perl 5.36, Java 17), Python 3.11, Go 1.26 and Node 26.

| client | how | direct port | edge |
|---|---|---|---|
${clientCases.map(clientRow).join("\n")}

"No answer" is an error of the client's own, and nothing was stored. JDK's \`Expect: 100-Continue\` is not
recognised by Bun for its capital letter; the client then waits for the interim answer until its time-out.
Pipelining on the direct port: what was not answered may be repeated with its \`Idempotency-Key\`.

## Bytes on a socket

| what is sent | direct port | edge |
|---|---|---|
${rawCases.map(rawRow).join("\n")}

- A word like \`malformed_request\` is the code of a problem document ([errors](errors.md)).
- Half-closed at the direct port: closed without an answer, as above.
- The edge closes a connection, without an answer, when a header is not complete 10 s after its first byte,
  or a body is silent for 10 s.
- At the edge, a client that leaves after its whole request was sent is served to the end, because nginx
  can't tell it from one that closed only its sending half. It repeats the request with its
  \`Idempotency-Key\` to hear the answer.
`;
}

if (import.meta.main) writeFileSync(CLIENTS_PAGE, clientsPage());
