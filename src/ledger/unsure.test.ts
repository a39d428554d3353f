import { expect, test } from "bun:test";
import { laneRecord } from "../../test/support/smpp-operator.ts";
import type { Change } from "./move.ts";
import { lostSubmitsSql } from "./unsure.ts";

test("a message has a row for each operator whose answer was lost; without any there is no statement", () => {
  const change = (id: string, lostAt?: readonly string[]): Change => ({
    record: laneRecord("hi", { id, phone: "+98912" }),
    from: "sending",
    to: "unknown",
    takenAtMs: null,
    operator: null,
    operatorMessageIds: [],
    reason: null,
    ...(lostAt === undefined ? {} : { lostAt }),
  });
  expect(lostSubmitsSql([])).toBeNull();
  expect(lostSubmitsSql([change("m1"), change("m2", [])])).toBeNull();
  const sql = lostSubmitsSql([change("m1", ["A", "O'B"]), change("m2"), change("m3", ["C"])]) ?? "";
  const values = /VALUES (.*) ON DUPLICATE/.exec(sql)?.[1];
  expect(values).toBe("('m1','A','+98912'),('m1','O\\'B','+98912'),('m3','C','+98912')");
});
