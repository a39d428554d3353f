import { expect, test } from "bun:test";
import { packEvents } from "../core/event-record.ts";
import { type LaneRecord, packLaneRow, unpackLaneRecord, unpackLaneRow } from "../core/lane-record.ts";
import { decodeEvents, decodeMessages, idsIn, payloadOf } from "./decode.ts";

const topics = { normal: "n", express: "e", status: "s", ledger: "l" };
const record = (id: string, fields: Partial<LaneRecord> = {}): LaneRecord => ({
  id,
  customerId: 7,
  phone: "+989121234567",
  text: "hello",
  from: null,
  reference: null,
  lane: "normal",
  encoding: "gsm7",
  parts: 1,
  cost: 500,
  createdAtMs: 1,
  attempt: 0,
  guaranteedByMs: null,
  validUntilMs: null,
  traceparent: "00-1",
  ...fields,
});
const ID_1 = "01ARZ3NDEKTSV4RRFFQ69G5FA1";
const ID_2 = "01ARZ3NDEKTSV4RRFFQ69G5FA2";

test("a lane row becomes one record per message, keyed by its customer; failed records become a row again", () => {
  const records = [record(ID_1), record(ID_2, { customerId: 8 })];
  const decoded = decodeMessages("express")(packLaneRow(records), topics);
  if (decoded.kind !== "messages") throw new Error(decoded.kind);
  expect(decoded.out.map(({ topic, key, traceparent }) => [topic, key, traceparent])).toEqual([
    ["e", "7", "00-1"],
    ["e", "8", "00-1"],
  ]);
  expect(decoded.out.map((out) => unpackLaneRecord(out.value))).toEqual(records);
  expect(unpackLaneRow(payloadOf(decoded, [1]) as Buffer)).toEqual([records[1] as LaneRecord]);
});

test("an events row becomes a record for each part that isn't empty", () => {
  const entry = { leg: "open", op: "topup", customerId: 1, amount: 5, createdAtMs: 1 } as const;
  const decoded = decodeEvents(packEvents([], [{ entryId: ID_1, ...entry }]), topics);
  if (decoded.kind !== "events") throw new Error(decoded.kind);
  expect(decoded.out.map((out) => out.topic)).toEqual(["l"]);
  expect(decoded.out[0]?.value.toString()).toContain(`"entry_id":"${ID_1}"`);
  expect(payloadOf(decoded, [0])).toBeNull();
});

test("with any other bytes the row is undecodable, and ids in it are still found", () => {
  const row = packLaneRow([record(ID_1), record(ID_2)]);
  const cut = row.subarray(0, row.length - 3);
  for (const payload of [Buffer.alloc(0), Buffer.from("x"), cut]) {
    expect(decodeMessages("normal")(payload, topics).kind).toBe("undecodable");
    expect(decodeEvents(payload, topics).kind).toBe("undecodable");
  }
  expect(idsIn(cut)).toEqual([ID_1, ID_2]);
  expect(idsIn(Buffer.from("nothing"))).toEqual([]);
});
