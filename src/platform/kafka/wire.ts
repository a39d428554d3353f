// Asks a broker in Kafka's own protocol: one request on a connection of its own, and a reader of its answer.
// Only for what the driver can't be asked (group.ts). Requests and answers are in versions without compact
// encoding; loads no driver.
// Bound: ANSWER_BYTES_MAX an answer; the caller's signal ends it.

import { connect } from "node:net";
import type { Address } from "./brokers.ts";

export type Api = { key: number; version: number };
export type Reader = {
  int16(): number;
  int32(): number;
  /** Exact up to Number.MAX_SAFE_INTEGER. */
  int64(): number;
  text(): string | null;
  bytes(): Buffer;
  array<T>(read: () => T): T[];
};

const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Sends one request and returns a reader of the answer's body.
 * @throws Error when the broker can't be reached, or the signal ends it first
 */
export function ask(
  { host, port }: Address,
  { key, version }: Api,
  body: Buffer,
  signal: AbortSignal,
): Promise<Reader> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const fail = (error: Error) => {
      socket.destroy();
      reject(error);
    };
    const onAbort = () => fail(new Error(`no answer of ${host}:${port} in time`));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", fail);
    socket.once("close", () => fail(new Error(`${host}:${port} closed the connection`)));
    socket.once("connect", () => {
      const head = Buffer.concat([int16(key), int16(version), int32(0), text("sluice")]);
      socket.write(Buffer.concat([int32(head.length + body.length), head, body]));
    });
    let received = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 4) return;
      const length = received.readInt32BE(0);
      if (length < 4 || length > ANSWER_BYTES_MAX) return fail(new Error(`an answer of ${length} bytes`));
      if (received.length < 4 + length) return;
      signal.removeEventListener("abort", onAbort);
      resolve(readerOf(received.subarray(8, 4 + length))); // after the length and the correlation id
      socket.destroy();
    });
  });
}

/**
 * Asks one address after the other, until one answers; none but the last waits longer than `eachMs`.
 * @throws Error what the last one failed by
 */
export async function askAny(
  addresses: readonly Address[],
  api: Api,
  body: Buffer,
  { signal, eachMs }: { signal: AbortSignal; eachMs: number },
): Promise<Reader> {
  let failure: unknown = new Error("no address of Kafka");
  for (const address of addresses) {
    const isLast = address === addresses.at(-1);
    const own = isLast ? signal : AbortSignal.any([signal, AbortSignal.timeout(eachMs)]);
    try {
      return await ask(address, api, body, own);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** A reader that throws RangeError at the end of the bytes. */
export function readerOf(buffer: Buffer): Reader {
  let at = 0;
  const skip = (length: number): number => {
    if (at + length > buffer.length) throw new RangeError("an answer of Kafka is cut short");
    at += length;
    return at - length;
  };
  const reader: Reader = {
    int16: () => buffer.readInt16BE(skip(2)),
    int32: () => buffer.readInt32BE(skip(4)),
    int64: () => Number(buffer.readBigInt64BE(skip(8))),
    text() {
      const length = reader.int16();
      if (length < 0) return null;
      const from = skip(length);
      return buffer.toString("utf8", from, from + length);
    },
    bytes() {
      const length = Math.max(0, reader.int32());
      const from = skip(length);
      return buffer.subarray(from, from + length);
    },
    array: (read) => Array.from({ length: Math.min(buffer.length, Math.max(0, reader.int32())) }, read),
  };
  return reader;
}

function int16(n: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeInt16BE(n);
  return buffer;
}

export function int32(n: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(n);
  return buffer;
}

export function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);
}
