// Asks Kafka, in its own protocol, who is in a consumer group and which partitions each member was assigned.
// Hand written, because librdkafka's describeGroups crashes the process when a coordinator is away: by an
// assertion of its own, or by a null pointer in the addon. Two requests, in their newest versions without
// compact encoding; loads no driver.
// Bound: ASK_MAX_MS for both, ANSWER_BYTES_MAX an answer.

import { connect } from "node:net";

export type Group = {
  /** Stable, Empty, Dead, PreparingRebalance or CompletingRebalance */
  state: string;
  members: { instance: string; topics: ReadonlyMap<string, readonly number[]> }[];
};
type Address = { host: string; port: number };

const ASK_MAX_MS = 3_000;
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const FIND_COORDINATOR = { key: 10, version: 0 };
const DESCRIBE_GROUPS = { key: 15, version: 4 };

/** @throws Error when no broker answers, or none is the group's coordinator at the moment */
export async function describeGroup(broker: Address, group: string): Promise<Group> {
  const signal = AbortSignal.timeout(ASK_MAX_MS);
  const found = await ask(broker, FIND_COORDINATOR, text(group), signal);
  refuse(found.int16(), "no coordinator");
  found.int32(); // its node
  const coordinator = { host: found.text() ?? "", port: found.int32() };
  const body = Buffer.concat([int32(1), text(group), Buffer.from([0])]);
  const answer = await ask(coordinator, DESCRIBE_GROUPS, body, signal);
  answer.int32(); // throttling
  answer.int32(); // one group
  refuse(answer.int16(), "the group can't be described");
  answer.text(); // its id
  const state = answer.text() ?? "";
  answer.text(); // protocol type
  answer.text(); // protocol
  const members = answer.array(() => {
    const id = answer.text() ?? "";
    const instance = answer.text() ?? id;
    answer.text(); // client
    answer.text(); // host
    answer.bytes(); // subscription
    return { instance, topics: assignmentOf(answer.bytes()) };
  });
  return { state, members };
}

// Empty while the group is assigning partitions.
function assignmentOf(bytes: Buffer): Map<string, number[]> {
  if (bytes.length === 0) return new Map();
  const reader = readerOf(bytes);
  reader.int16(); // version
  const topics = reader.array((): [string, number[]] => [
    reader.text() ?? "",
    reader.array(() => reader.int32()),
  ]);
  return new Map(topics);
}

function refuse(code: number, what: string): void {
  if (code !== 0) throw new Error(`${what}: Kafka's error ${code}`);
}

type Api = { key: number; version: number };

/** Sends one request on its own connection and returns a reader of the answer's body. */
function ask(
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
    const onAbort = () => fail(new Error(`no answer of ${host}:${port} within ${ASK_MAX_MS} ms`));
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

type Reader = {
  int16(): number;
  int32(): number;
  text(): string | null;
  bytes(): Buffer;
  array<T>(read: () => T): T[];
};

/** A reader that throws RangeError at the end of the bytes. */
function readerOf(buffer: Buffer): Reader {
  let at = 0;
  const skip = (length: number): number => {
    if (at + length > buffer.length) throw new RangeError("an answer of Kafka is cut short");
    at += length;
    return at - length;
  };
  const reader: Reader = {
    int16: () => buffer.readInt16BE(skip(2)),
    int32: () => buffer.readInt32BE(skip(4)),
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

function int32(n: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(n);
  return buffer;
}

function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);
}
