// A name server on loopback, for tests: it answers questions for addresses from a table, each time with the
// name's next answer, the last one for ever; names that it doesn't have exist without any address. Its
// answers may not be kept (a TTL of 0).
// Source: RFC 1035, 4.1; RFC 3596 for AAAA.

import { createSocket } from "node:dgram";
import { isIP } from "node:net";

/** By name: its addresses at the first question, at the second and so on; A and AAAA are counted apart. */
export type Answers = Readonly<Record<string, readonly (readonly string[])[]>>;
export type DnsServer = {
  /** host:port */
  address: string;
  /** Every question, as `name A` or `name AAAA`. */
  asked: string[];
  stop(): Promise<void>;
};

const HEADER_BYTES = 12;
const TYPES: Readonly<Record<number, { name: string; family: 4 | 6 }>> = {
  1: { name: "A", family: 4 },
  28: { name: "AAAA", family: 6 },
};
/** A response, recursion desired and available, no error. */
const FLAGS = 0x8180;
/** "The name at the beginning of the question", by compression. */
const POINTER = 0xc000 | HEADER_BYTES;

export async function startDns(answers: Answers): Promise<DnsServer> {
  const asked: string[] = [];
  const socket = createSocket("udp4");
  socket.on("message", (question, from) => {
    const { name, type, end } = readQuestion(question);
    const known = TYPES[type];
    const what = `${name} ${known?.name ?? type}`;
    const before = asked.filter((each) => each === what).length;
    asked.push(what);
    const all = answers[name] ?? [];
    const found = (all[before] ?? all.at(-1) ?? []).filter((each) => isIP(each) === known?.family);
    const head = Buffer.alloc(HEADER_BYTES);
    [question.readUInt16BE(0), FLAGS, 1, found.length].forEach((n, at) => head.writeUInt16BE(n, 2 * at));
    const records = found.map((address) => recordOf(type, address));
    const answer = Buffer.concat([head, question.subarray(HEADER_BYTES, end), ...records]);
    socket.send(answer, from.port, from.address);
  });
  await new Promise<void>((bound) => socket.bind(0, "127.0.0.1", bound));
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    stop: () => new Promise((stopped) => socket.close(stopped)),
  };
}

/** `end`: where the question ends; what follows it, such as EDNS, is not read. */
function readQuestion(bytes: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = bytes.readUInt8(at); length > 0; length = bytes.readUInt8(at)) {
    labels.push(bytes.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join(".").toLowerCase(), type: bytes.readUInt16BE(at + 1), end: at + 5 };
}

function recordOf(type: number, address: string): Buffer {
  const data = bytesOf(address);
  const head = Buffer.alloc(12); // its TTL stays 0
  head.writeUInt16BE(POINTER, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4); // the class: Internet
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

/** Of IPv6 the groups must be in hexadecimal: no dots. */
function bytesOf(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  const groupsOf = (text: string) => (text === "" ? [] : text.split(":"));
  const [head = "", tail = ""] = address.split("::");
  const [before, after] = [groupsOf(head), groupsOf(tail)];
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  const groups = [...before, ...zeros, ...after].map((group) => group.padStart(4, "0"));
  return Buffer.from(groups.join(""), "hex");
}
