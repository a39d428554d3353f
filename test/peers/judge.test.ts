// The verdict on a run against the foreign operator: each violation is found where it is planted, and what
// lost answers leave behind is none.

import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { judge, type StoredMessage } from "./judge.ts";
import { type PeerRecord, readRecord } from "./record.ts";

const CUT_MS = 1_800_000_000_000;
const LONG_BEFORE = CUT_MS - 60_000;

const message = (phone: string, status: string, fields: Partial<StoredMessage> = {}): StoredMessage => ({
  id: phone,
  reference: `to ${phone}`,
  phone,
  status,
  parts: 1,
  operator: "north",
  ...fields,
});

/** One of each kind, as it should be. */
function sound(): { record: PeerRecord; messages: StoredMessage[] } {
  const taken = (id: string, phone: string, part = 1, parts = 1, atMs = LONG_BEFORE) => ({
    atMs,
    account: "north",
    id,
    phone,
    part,
    parts,
  });
  return {
    record: {
      taken: [
        taken("a", "+1"),
        taken("b", "+2"),
        taken("c", "+3", 1, 2),
        taken("d", "+3", 2, 2),
        taken("e", "+5", 1, 2, CUT_MS - 20),
      ],
      refused: [{ atMs: LONG_BEFORE, account: "north", phone: "+4" }],
      ends: new Map([
        ["a", "DELIVRD"],
        ["b", "UNDELIV"],
        ["c", "DELIVRD"],
        ["d", "DELIVRD"],
        ["e", "DELIVRD"],
      ]),
      cutsMs: [CUT_MS],
    },
    messages: [
      message("+1", "delivered"),
      message("+2", "undelivered"),
      message("+3", "delivered", { parts: 2 }),
      message("+4", "failed"),
      // Its other part was on the link that was cut.
      message("+5", "unknown", { parts: 2 }),
      // As was all of this.
      message("+6", "unknown"),
    ],
  };
}

/** The violations of the sound run after this change. */
function found(
  change: (run: { record: PeerRecord; messages: StoredMessage[] }) => void,
  underWayMax = 100,
): string[] {
  const run = sound();
  change(run);
  return judge(run.record, run.messages, { underWayMax }).violations.map(({ violation }) => violation);
}
const became = (phone: string, status: string) =>
  found(({ messages }) => {
    for (const each of messages) if (each.phone === phone) each.status = status;
  });

test("messages that ended as their parts did, and those whose answer was lost at a cut, are no violation", () => {
  const { record, messages } = sound();
  expect(judge(record, messages, { underWayMax: 100 })).toEqual({
    violations: [],
    statuses: { delivered: 2, undelivered: 1, failed: 1, unknown: 2 },
    taken: 5,
    refused: 1,
    receipts: 5,
    cuts: 1,
    unknown: { unread: 1, unanswered: 1 },
  });
});

test("another end than that of its parts is found, also `unknown` where the receipt or the refusal is proof", () => {
  expect(became("+1", "undelivered")).toEqual(["wrong_end"]);
  expect(became("+1", "unknown")).toEqual(["wrong_end"]);
  expect(became("+2", "delivered")).toEqual(["wrong_end"]);
  expect(became("+3", "unknown")).toEqual(["wrong_end"]);
  expect(became("+4", "unknown")).toEqual(["wrong_end"]);
  expect(became("+5", "delivered")).toEqual(["wrong_end"]);
  expect(became("+6", "failed")).toEqual(["wrong_end"]);
  expect(became("+1", "sent")).toEqual(["not_ended"]);
  expect(became("+6", "queued")).toEqual(["not_ended"]);
});

test("one of a message's parts that is undelivered decides, whether the others are taken or not", () => {
  const isLost = (run: { record: PeerRecord; messages: StoredMessage[] }) =>
    void run.record.ends.set("e", "EXPIRED");
  expect(found(isLost)).toEqual([]);
  expect(
    found((run) => {
      isLost(run);
      for (const each of run.messages) if (each.phone === "+5") each.status = "undelivered";
    }),
  ).toEqual([]);
});

test("a part that is submitted again, a message that isn't stored, a receipt without an end are found", () => {
  const again = found(({ record }) => {
    record.taken.push({ ...(record.taken[0] as (typeof record.taken)[0]), id: "f" });
    record.ends.set("f", "DELIVRD");
  });
  expect(again).toEqual(["sent_again"]);
  expect(found(({ messages }) => void messages.splice(0, 1))).toEqual(["not_stored"]);
  expect(found(({ record }) => void record.ends.delete("a"))).toEqual(["receipt_left"]);
});

test("another number of parts, another operator, and too many unknown ones are found", () => {
  const changed = (fields: Partial<StoredMessage>) =>
    found(({ messages }) => void Object.assign(messages[0] as StoredMessage, fields));
  expect(changed({ operator: "south" })).toEqual(["wrong_operator"]);
  expect(changed({ parts: 2 })).toEqual(["wrong_parts", "wrong_end"]);
  expect(found(() => undefined, 1)).toEqual(["unknown_over_bound"]);
});

test("the record is read as it was written; a strange line is refused", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  const file = join(folder, "record");
  const lines = (...all: string[]) => writeFileSync(file, all.map((line) => `${line}\n`).join(""));
  lines("taken 5 north 1a 989121000007 2/3", "refused 6 south 989121000100", "acked 7 1a DELIVRD", "cut 8 9");
  expect(readRecord(file)).toEqual({
    taken: [{ atMs: 5, account: "north", id: "1a", phone: "+989121000007", part: 2, parts: 3 }],
    refused: [{ atMs: 6, account: "south", phone: "+989121000100" }],
    ends: new Map([["1a", "DELIVRD"]]),
    cutsMs: [8],
  });
  lines("took 5 north");
  expect(() => readRecord(file)).toThrow("a strange line");
  rmSync(folder, { recursive: true });
});
