import { expect, test } from "bun:test";
import { laneRecord } from "../../test/support/smpp-operator.ts";
import type { Change } from "./move.ts";
import { findUnsure, lostSubmitsSql } from "./unsure.ts";

const NOW = new Date("2026-11-04T08:10:00Z");

/** Claims of these messages, and this many submits that were lost beside another one. */
function connection(claims: readonly string[][], lost = 0) {
  const asked: string[][] = [];
  const query = async (sql: string) => {
    if (sql.includes("FROM claims")) return claims.map((ids) => ({ ids: ids.join(",") }));
    if (sql.includes("FROM lost_submits")) {
      const row = { message_id: "lost", operator: "A", phone: "+98912", lost_at: NOW };
      return Array.from({ length: lost }, () => row);
    }
    const [, list = ""] = /id IN \('([^)]*)'\)/.exec(sql) ?? [];
    const some = list.split("','");
    asked.push(some);
    // What has been settled since has left the claim's statuses.
    const found = some.filter((id) => !id.startsWith("settled"));
    const row = { phone: "+98935", sender: "Shop", parts: 2, operator: null, operator_message_id: "a-1" };
    return found.map((id) => ({ ...row, id, status: "unknown", updated_at: NOW }));
  };
  return { asked, conn: { query } as never };
}
const ids = (count: number, name = "m") => Array.from({ length: count }, (_, n) => `${name}${n}`);

test("submits of claimed messages, and those lost beside another one, are found with what is known of them", async () => {
  const { conn } = connection([["m1", "settled"], ["m2"]], 1);
  const changedAtMs = NOW.getTime();
  const claimed = {
    phone: "+98935",
    from: "Shop",
    parts: 2,
    operator: null,
    operatorMessageId: "a-1",
    status: "unknown",
    changedAtMs,
  } as const;
  const lost = { id: "lost", phone: "+98912", from: null, parts: 1, operator: "A", operatorMessageId: null };
  expect(await findUnsure(conn)).toEqual([
    { ...lost, status: null, changedAtMs },
    { id: "m1", ...claimed },
    { id: "m2", ...claimed },
  ]);
});

test("nothing claimed and nothing lost is nothing, and asks for no message", async () => {
  const { conn, asked } = connection([]);
  expect([await findUnsure(conn), asked]).toEqual([[], []]);
});

test("messages are asked for a thousand at a time, each once", async () => {
  const all = ids(2_001);
  const { conn, asked } = connection([all.slice(0, 1_500), all.slice(1_500)]);
  expect(await findUnsure(conn)).toHaveLength(2_001);
  expect(asked.map((some) => some.length)).toEqual([1_000, 1_000, 1]);
  expect(asked.flat()).toEqual(all);
});

test("of more than 20,000, lost ones among them, nothing is said, and no message is asked for", async () => {
  const few = connection([ids(19_999)], 1);
  expect(await findUnsure(few.conn)).toHaveLength(20_000);
  const many = connection([ids(20_000)], 1);
  expect([await findUnsure(many.conn), many.asked]).toEqual([null, []]);
});

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
