// The statement that holds records. Claims of held rows, on the real table: test/integration/held.test.ts.

import { expect, test } from "bun:test";
import { laneRecord } from "../../test/support/smpp-operator.ts";
import { createIdFactory } from "../core/id.ts";
import { type LaneRecord, unpackLaneRow } from "../core/lane-record.ts";
import { CLAIM_ROWS_MAX } from "../core/limits.ts";
import { holdSql } from "./held.ts";

const id = createIdFactory({ now: () => Date.UTC(2026, 10, 4) });
const recordOf = (customerId: number): LaneRecord => laneRecord("hi", { id: id(), customerId });

function rowsOf(sql: string) {
  const row = /\('(\w+)',(\d+),'([A-C]?)',x'([0-9a-f]*)'\)/g;
  return [...sql.matchAll(row)].map(([, lane, customerId, link, hex = ""]) => ({
    lane,
    customerId: Number(customerId),
    link,
    records: unpackLaneRow(Buffer.from(hex, "hex")),
  }));
}

test("each row has the records of one customer and link, as many as a claim takes, in the order in which they came", () => {
  const flood = Array.from({ length: CLAIM_ROWS_MAX + 1 }, () => recordOf(1));
  const others = [recordOf(2), recordOf(2)];
  const ofB = recordOf(2);
  const [first, ...rest] = flood as [LaneRecord, ...LaneRecord[]];
  const linkOf = (record: LaneRecord) => (record.id === ofB.id ? "B" : "A");
  const rows = rowsOf(holdSql("express", [first, ...others, ...rest, ofB], linkOf));
  expect(rows.map(({ lane, customerId, link, records }) => [lane, customerId, link, records.length])).toEqual(
    [
      ["express", 1, "A", CLAIM_ROWS_MAX],
      ["express", 1, "A", 1],
      ["express", 2, "A", 2],
      ["express", 2, "B", 1],
    ],
  );
  expect(rows.flatMap(({ records }) => records)).toEqual([...flood, ...others, ofB]);
});

test("a customer with exactly as many as a claim takes has one row", () => {
  const records = Array.from({ length: CLAIM_ROWS_MAX }, () => recordOf(1));
  expect(rowsOf(holdSql("normal", records, () => "")).map((row) => row.records.length)).toEqual([
    CLAIM_ROWS_MAX,
  ]);
});
