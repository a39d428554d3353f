// HTTP by hand over one socket, for requests that no client would send: incomplete ones, wrong lengths, bytes
// that are not text.

import { connect } from "node:net";
import { sleep } from "../../src/platform/retry.ts";

export type RawAnswer = { status: number; headers: Map<string, string>; body: string };

/**
 * Writes the pieces to a new connection, one after the other, and resolves with the first answer; rejects if
 * there is none.
 */
export function rawHttp(
  url: string,
  pieces: (string | Uint8Array)[],
  timeoutMs = 20_000,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let received: Buffer = Buffer.alloc(0);
    const finish = (how: () => void) => {
      socket.destroy();
      how();
    };
    socket.setTimeout(timeoutMs, () => finish(() => reject(new Error("no answer in time"))));
    socket.on("connect", () => {
      for (const piece of pieces) socket.write(piece);
    });
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const answer = parseAnswer(received);
      if (answer !== null) finish(() => resolve(answer));
    });
    // A server that answers early and closes may reset the rest of the upload: its answer counts.
    socket.on("error", (error) => finish(() => reject(error)));
    socket.on("close", () => reject(new Error(`closed after ${received.length} bytes`)));
  });
}

/** Writes the pieces and closes the connection without waiting for an answer. */
export function sendAndLeave(url: string, pieces: (string | Uint8Array)[]): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    socket.on("error", () => resolve());
    socket.on("close", () => resolve());
    socket.on("connect", () => {
      for (const piece of pieces.slice(0, -1)) socket.write(piece);
      socket.write(pieces.at(-1) ?? "", () => socket.destroy());
    });
  });
}

/** The head of a request, including the empty line that ends it. */
export function head(method: string, path: string, headers: Record<string, string>): string {
  const lines = Object.entries({ host: "sluice", ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** Null while the answer is incomplete. All answers of this API have a content-length. */
export function parseAnswer(received: Buffer): RawAnswer | null {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [first = "", ...lines] = received.subarray(0, end).toString("latin1").split("\r\n");
  const headers = new Map(
    lines.map((line) => [
      line.slice(0, line.indexOf(":")).toLowerCase(),
      line.slice(line.indexOf(":") + 1).trim(),
    ]),
  );
  const body = received.subarray(end + 4);
  const length = Number(headers.get("content-length") ?? 0);
  if (body.length < length) return null;
  return { status: Number(first.split(" ")[1]), headers, body: body.subarray(0, length).toString() };
}

/** The ways in which a client's connection can end before it gets its answer. */
export const ENDINGS = ["reset", "close", "half-close", "next request", "no HTTP"] as const;
export type Ending = (typeof ENDINGS)[number];
export type OpenRequest = {
  /** Null: the connection ended without an answer, or with an empty one, which tells nothing. */
  answer: Promise<RawAnswer | null>;
  /** Ends the connection, whatever is under way. */
  leave(how: Ending): void;
};

/** Sends one request on its own connection, which the client can end at any moment. */
export function openRequest(url: string, bytes: string): OpenRequest {
  const { hostname, port } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname, noDelay: true });
  socket.on("connect", () => socket.write(bytes));
  socket.on("error", () => socket.destroy());
  const answer = new Promise<RawAnswer | null>((resolve) => {
    let received: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      const got = parseAnswer(received);
      if (got === null) return;
      resolve(got.body === "" ? null : got);
      socket.destroy();
    });
    socket.on("close", () => resolve(null));
  });
  return {
    answer,
    leave(how) {
      if (how === "reset") socket.resetAndDestroy();
      else if (how === "close") socket.destroy();
      else if (how === "half-close") socket.end();
      else socket.write(how === "no HTTP" ? "\u0001\r\n\r\n" : head("GET", "/health", {}));
    },
  };
}

export type RawAnswers = {
  answers: RawAnswer[];
  /** The server ended the connection. */
  closed: boolean;
};

/**
 * Writes the pieces to one connection, `pauseMs` apart, and collects answers until `count` have come (and no
 * more follow for a moment), the server ends the connection, or the time is up. An interim 100 doesn't count.
 */
export async function rawAnswers(
  url: string,
  pieces: readonly (string | Uint8Array)[],
  options: { wanted: number; halfClose?: boolean; pauseMs?: number; mostMs?: number },
): Promise<RawAnswers> {
  const { hostname, port } = new URL(url);
  const { wanted, halfClose = false, pauseMs = 0, mostMs = 5_000 } = options;
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
  let received: Buffer = Buffer.alloc(0);
  let closed = false;
  socket.setNoDelay(true);
  socket.on("data", (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
  for (const event of ["end", "close", "error"]) socket.on(event, () => (closed = true));
  for (const piece of pieces) {
    socket.write(piece);
    if (pauseMs > 0) await sleep(pauseMs);
  }
  if (halfClose) socket.end();
  const lateAtMs = performance.now() + mostMs;
  while (!closed && performance.now() < lateAtMs && parseAnswers(received).length < wanted) await sleep(5);
  if (!closed) await sleep(100); // waits for an answer that should not come
  socket.destroy();
  return { answers: parseAnswers(received), closed };
}

function parseAnswers(received: Buffer): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let rest = received; ; ) {
    const answer = parseAnswer(rest);
    if (answer === null) return answers;
    if (answer.status !== 100) answers.push(answer);
    const length = Number(answer.headers.get("content-length") ?? 0);
    rest = rest.subarray(rest.indexOf("\r\n\r\n") + 4 + length);
  }
}
