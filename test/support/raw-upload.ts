// An upload by hand over one socket: a body in chunks, whenever the test writes them, and the lines of the
// answer as they come.

import { connect } from "node:net";
import { sleep } from "../../src/platform/retry.ts";
import type { TestCustomer } from "./ingest-process.ts";
import { head } from "./raw-http.ts";

export type RawUpload = {
  /** Writes this as one chunk; false while the socket holds back what was written. */
  write(text: string | Uint8Array): boolean;
  /** Writes bytes that are not a chunk. */
  raw(text: string): void;
  end(): void;
  /** Ends the connection, or stops reading from it. */
  leave(): void;
  pause(): void;
  resume(): void;
  status(): number;
  /** Whole lines of the answer so far. */
  lines(): Record<string, unknown>[];
  /** `ended`: by its last chunk; `closed`: the connection is. */
  state(): { ended: boolean; closed: boolean };
  /** Bytes that wait in this process. */
  waiting(): number;
};

export function rawUpload(
  url: string,
  { apiKey }: Pick<TestCustomer, "apiKey">,
  headers: Record<string, string> = {},
): RawUpload {
  const { hostname, port } = new URL(url);
  const socket = connect({ port: Number(port), host: hostname, noDelay: true });
  let received: Buffer[] = [];
  let closed = false;
  socket.on("data", (chunk: Buffer) => received.push(chunk));
  socket.on("close", () => (closed = true));
  socket.on("error", () => (closed = true));
  const fields = { "content-type": "application/x-ndjson", "transfer-encoding": "chunked" };
  socket.write(head("POST", "/v1/sms/batches", { ...fields, "x-api-key": apiKey, ...headers }));
  const answer = () => {
    const all = Buffer.concat(received);
    received = [all];
    return dechunked(all);
  };
  return {
    write(text) {
      const bytes = Buffer.from(text as string);
      if (bytes.length === 0) return true;
      return socket.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, CRLF]));
    },
    raw: (text) => void socket.write(text),
    end: () => void socket.write("0\r\n\r\n"),
    leave: () => socket.destroy(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
    status: () => answer().status,
    lines: () =>
      answer()
        .body.split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    state: () => ({ ended: answer().ended, closed }),
    waiting: () => socket.writableLength,
  };
}

const CRLF = Buffer.from("\r\n");

/** The answer so far; one with a length has ended when all of it is there. */
function dechunked(bytes: Buffer): { status: number; body: string; ended: boolean } {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return { status: 0, body: "", ended: false };
  const top = bytes.subarray(0, end).toString("latin1");
  const status = Number(top.slice(9, 12));
  let rest = bytes.subarray(end + 4);
  const length = /^content-length: (\d+)/im.exec(top)?.[1];
  if (length !== undefined) {
    const text = rest.toString();
    const body = text.endsWith("\n") ? text : `${text}\n`; // a problem is one line
    return { status, body, ended: rest.length >= Number(length) };
  }
  const pieces: Buffer[] = [];
  for (;;) {
    const line = rest.indexOf("\r\n");
    const size = line < 0 ? Number.NaN : Number.parseInt(rest.subarray(0, line).toString("latin1"), 16);
    if (size === 0) return { status, body: Buffer.concat(pieces).toString(), ended: true };
    if (Number.isNaN(size) || rest.length < line + 2 + size)
      return { status, body: Buffer.concat(pieces).toString(), ended: false };
    pieces.push(rest.subarray(line + 2, line + 2 + size));
    rest = rest.subarray(line + 4 + size);
  }
}

/** Waits until the answer has ended, or its connection has. @throws Error if neither happens in time */
export async function untilOver(upload: RawUpload, mostMs = 60_000): Promise<RawUpload> {
  await untilTrue(() => upload.state().ended || upload.state().closed, "the end of an upload", mostMs);
  return upload;
}

export async function untilTrue(is: () => boolean, what: string, mostMs = 60_000): Promise<void> {
  const lateAtMs = performance.now() + mostMs;
  while (!is()) {
    if (performance.now() > lateAtMs) throw new Error(`waited for ${what}`);
    await sleep(10);
  }
}
