// The HTTP clients that are tried, and the expected outcome of each of their cases at the direct port and at
// the edge. The programs are in programs/: each runs all its cases against one door and prints a line of JSON
// for each.

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

export type Door = "direct" | "edge";
/**
 * A status: the answer to all its messages, each stored and charged once if it is 202, otherwise not stored.
 * "no answer": none of them was answered or stored. "not always": each was answered with 202 or not at all;
 * one without an answer may have been stored, and a repeat with its key ends in exactly one message.
 * "too late": the client sends what the server doesn't read some time after the rest, so its answer is 400,
 * but the commit may have begun before; a repeat with its key ends in exactly one message.
 */
export type Outcome = 202 | 400 | 401 | "no answer" | "not always" | "too late";
export type ClientCase = {
  client: string;
  name: string;
  what: string;
  /** Null: this door has no TLS. */
  direct: Outcome | null;
  edge: Outcome;
};

export type Program = {
  file: string;
  clients: readonly string[];
  /** Null if the program's runtime isn't installed. */
  command: (file: string) => string[] | null;
};

/** Where scripts/clients.sh installed the Python packages of requirements.txt. */
const venv = process.env.SLUICE_CLIENTS_PYTHON ?? "";

export const onPath = (name: string): boolean =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, name)));
const by =
  (needed: string, ...args: string[]): Program["command"] =>
  (file) =>
    onPath(needed) ? [...args, file] : null;

export const programs: Program[] = [
  { file: "curl.sh", clients: ["curl"], command: by("curl", "bash") },
  { file: "python-stdlib.py", clients: ["http.client"], command: by("python3", "python3") },
  {
    file: "python-packages.py",
    clients: ["requests", "httpx", "aiohttp"],
    command: (file) => (existsSync(venv) ? [venv, file] : null),
  },
  { file: "main.go", clients: ["go"], command: by("go", "go", "run") },
  { file: "Client.java", clients: ["jdk"], command: by("javac", "java") },
  {
    file: "node.mjs",
    clients: ["fetch", "node:http", "undici", "node:http2"],
    command: by("node", "node"),
  },
  { file: "perl.pl", clients: ["HTTP::Tiny"], command: by("perl", "perl") },
];

const one = (
  client: string,
  name: string,
  what: string,
  direct: Outcome | null = 202,
  edge: Outcome = 202,
): ClientCase => ({ client, name, what, direct, edge });

export const clientCases: ClientCase[] = [
  one("curl", "http1.0", "`--http1.0`"),
  one("curl", "http1.1", "`--http1.1`, three on one connection"),
  one("curl", "chunked", "`Transfer-Encoding: chunked`"),
  one("curl", "expect", "`Expect: 100-continue`"),
  one("curl", "expect-upper", "`Expect: 100-CONTINUE`"),
  one("curl", "http2-upgrade", "`--http2` without TLS: asks for an upgrade, and stays with HTTP/1.1"),
  one("curl", "http2-prior-knowledge", "`--http2-prior-knowledge` without TLS", "no answer", "no answer"),
  one("curl", "tls-http1.1", "`--http1.1` over TLS", null),
  one("curl", "tls-http2", "`--http2` over TLS", null),
  one("http.client", "plain", "one connection, kept"),
  one("http.client", "chunked", "a body from an iterable"),
  one("requests", "plain", "a session"),
  one("requests", "chunked", "a body from an iterable"),
  one("requests", "unknown-key", "an unknown key", 401, 401),
  one("httpx", "plain", "a client, HTTP/1.1"),
  one("httpx", "chunked", "a body from an iterable"),
  one("httpx", "tls-http2", "HTTP/2 over TLS", null),
  one("aiohttp", "plain", "three at once"),
  one("aiohttp", "chunked", "a body from an async generator"),
  one("aiohttp", "expect", "`expect100=True`"),
  one("go", "plain", "`net/http`, one connection, kept"),
  one("go", "chunked", "a body of unknown length"),
  one("go", "trailer", "a body of unknown length, with a trailer", 400),
  one("go", "expect", "`Expect: 100-continue`"),
  one("go", "tls-http2", "HTTP/2 over TLS", null),
  one("jdk", "default", "`HttpClient` as it is: asks for an upgrade to HTTP/2 first"),
  one("jdk", "http1.1", "`Version.HTTP_1_1`"),
  one("jdk", "expect-continue", "`expectContinue(true)`: `Expect: 100-Continue`", "no answer"),
  one("jdk", "chunked", "a body of unknown length"),
  one("jdk", "unknown-key", "an unknown key", 401, 401),
  one("jdk", "tls-http2", "HTTP/2 over TLS", null),
  one("fetch", "plain", "Node's `fetch`"),
  one("fetch", "chunked", "a stream as body"),
  one("fetch", "at-once", "three at once: a connection for each"),
  one("node:http", "trailer", "a chunked body with a trailer", 400),
  one("undici", "pipelining", "`pipelining: 3`, three at once on one connection", "not always"),
  one("node:http2", "tls-at-once", "HTTP/2 over TLS, three streams at once", null),
  one("HTTP::Tiny", "plain", "one connection, kept"),
  one("HTTP::Tiny", "chunked", "a body from a callback"),
  one("HTTP::Tiny", "trailer", "a body from a callback, with `trailer_callback`", "too late"),
];
