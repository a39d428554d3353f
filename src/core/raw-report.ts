// What an operator sent about messages, or as inbound ones, byte for byte: what the inbox holds until it has
// been read and settled. Leaves its meaning to src/operators/reports/.
// Invariant: unpackReports returns exactly what packReports wrote and throws RecordError for anything else.

import { isCount, isText, pack, RecordError, shown, unpack, VERSION } from "./packed.ts";

export type RawReport = {
  operator: string;
  /** By the clock of the process that took it. */
  receivedAtMs: number;
} & (
  | { via: "http"; contentType: string; query: string; body: Uint8Array }
  /** An inbound message, which came by POST /mo/{operator}. */
  | { via: "mo"; contentType: string; query: string; body: Uint8Array }
  /** A whole deliver_sm or data_sm. */
  | { via: "smpp"; pdu: Uint8Array }
);

/** Packs one row of the inbox. */
export function packReports(reports: readonly RawReport[]): Buffer {
  return pack([VERSION, ...reports.map(toTuple)]);
}

/** @throws RecordError */
export function unpackReports(bytes: Uint8Array): RawReport[] {
  const value = unpack(bytes);
  if (!Array.isArray(value)) throw new RecordError("an inbox row must be an array");
  const [version, ...reports] = value as unknown[];
  if (version !== VERSION) throw new RecordError(`unknown version of an inbox row: ${shown(version)}`);
  return reports.map(fromTuple);
}

/** Bytes that it takes, roughly: for bounds. */
export const sizeOf = (report: RawReport): number =>
  report.via === "smpp" ? report.pdu.length : report.body.length + report.query.length;

const toTuple = (r: RawReport): unknown[] =>
  r.via === "smpp"
    ? [r.operator, r.receivedAtMs, r.via, r.pdu]
    : [r.operator, r.receivedAtMs, r.via, r.contentType, r.query, r.body];

function fromTuple(value: unknown): RawReport {
  if (!Array.isArray(value)) throw new RecordError("a report must be an array");
  const [operator, receivedAtMs, via, ...rest] = value as unknown[];
  if (!isText(operator) || !isCount(receivedAtMs)) throw new RecordError("a report has operator and time");
  const [first, query, body] = rest;
  if (via === "smpp" && rest.length === 1 && first instanceof Uint8Array)
    return { operator, receivedAtMs, via, pdu: first };
  const isHttp = via === "http" || via === "mo";
  if (isHttp && rest.length === 3 && isText(first) && isText(query) && body instanceof Uint8Array)
    return { operator, receivedAtMs, via, contentType: first, query, body };
  throw new RecordError("a report came by http or smpp");
}
