// The record of the foreign operator, line by line as Peer.java wrote it, as facts. Leaves judging to
// judge.ts. Bound: all of it in memory, some 200 bytes a part.

import { readFileSync } from "node:fs";

export type TakenPart = {
  atMs: number;
  account: string;
  /** The operator's id of the submit. */
  id: string;
  /** In E.164. */
  phone: string;
  /** From 1, of `parts`. */
  part: number;
  parts: number;
};
export type Refused = Pick<TakenPart, "atMs" | "account" | "phone">;
export type PeerRecord = {
  taken: TakenPart[];
  refused: Refused[];
  /** The word of each receipt that was acknowledged, by the submit's id. */
  ends: Map<string, string>;
  /** When all links were cut. */
  cutsMs: number[];
};

/** @throws Error at a line that Peer.java doesn't write */
export function readRecord(file: string): PeerRecord {
  const record: PeerRecord = { taken: [], refused: [], ends: new Map(), cutsMs: [] };
  for (const line of readFileSync(file, "latin1").split("\n").slice(0, -1)) {
    const [what, at = "", ...rest] = line.split(" ");
    const [first = "", second = "", third = "", fourth = ""] = rest;
    const atMs = Number(at);
    if (what === "taken") {
      const [part, parts] = fourth.split("/").map(Number);
      const phone = `+${third}`;
      record.taken.push({ atMs, account: first, id: second, phone, part: part ?? 0, parts: parts ?? 0 });
    } else if (what === "refused") record.refused.push({ atMs, account: first, phone: `+${second}` });
    else if (what === "acked") record.ends.set(first, second);
    else if (what === "cut") record.cutsMs.push(atMs);
    else throw new Error(`a strange line in the peer's record: ${line}`);
  }
  return record;
}
