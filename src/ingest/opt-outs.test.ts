// What a process remembers of opt-outs, against a scripted table: what it asks the database, and when.

import { expect, test } from "bun:test";
import { createFakeClock, settle } from "../../test/support/fake-clock.ts";
import type { Pool } from "../platform/mysql.ts";
import { startOptOuts } from "./opt-outs.ts";

type Row = { customer_id: number; phone: string; sender: string; created_at: Date };

const ONE = "+989121234567";
const TWO = "+989121234568";

function setUp(knownMax?: number) {
  const rows: Row[] = [];
  const asked: string[] = [];
  const state = { isAway: false };
  const pool = {
    query(sql: string) {
      if (state.isAway) return Promise.reject(new Error("away"));
      if (sql.includes("by_creation")) return Promise.resolve([...rows]);
      asked.push(sql);
      return Promise.resolve(rows.filter(({ phone }) => sql.includes(phone)));
    },
  } as unknown as Pool;
  const clock = createFakeClock();
  const quiet = () => undefined;
  const metrics = { counter: () => quiet, gauge: quiet } as never;
  const log = { warn: quiet, error: quiet } as never;
  const optOuts = startOptOuts(
    { pool, poolOf: () => pool, timers: clock.timers, metrics, log },
    knownMax === undefined ? {} : { knownMax },
  );
  const add = (customerId: number, phone: string, sender = "") =>
    rows.push({ customer_id: customerId, phone, sender, created_at: new Date(1_000) });
  const refused = async (customerId: number, ...messages: [phone: string, from: string | null][]) => [
    ...(await optOuts.refused(
      customerId,
      messages.map(([phone, from]) => ({ phone, from })),
    )),
  ];
  return { rows, asked, state, clock, optOuts, add, refused };
}

test("a customer of whom no phone opted out is known without any question", async () => {
  const { optOuts, add, asked, clock, refused } = setUp();
  add(8, ONE);
  expect(optOuts.hasNone(7)).toBe(false); // nothing was read yet
  await clock.advance(1);
  await settle();
  expect([optOuts.hasNone(7), optOuts.hasNone(8)]).toEqual([true, false]);
  expect(await refused(7, [ONE, null])).toEqual([]);
  expect(asked).toEqual([]);
});

test("only phones that opted out are looked up, and decided by what the database says then", async () => {
  const { rows, asked, add, clock, refused } = setUp();
  add(7, ONE, "3000");
  await clock.advance(1);
  await settle();
  expect(await refused(7, [TWO, null])).toEqual([]);
  expect(await refused(7, [TWO, "3000"], [ONE, "+3000"], [ONE, "3001"], [ONE, null])).toEqual([1, 3]);
  expect(asked.at(-1)).not.toContain(TWO);
  rows.pop(); // START
  expect(await refused(7, [ONE, "3000"])).toEqual([]);
});

test("a new opt-out counts within 2 s, also while polls fail: then nothing is decided", async () => {
  const { add, state, clock, optOuts, refused } = setUp();
  await clock.advance(1);
  await settle();
  expect(optOuts.hasNone(7)).toBe(true);
  add(7, ONE);
  await clock.advance(600);
  await settle();
  expect(await refused(7, [ONE, null])).toEqual([0]);
  state.isAway = true;
  for (let n = 0; n < 4; n++) {
    await clock.advance(500);
    await settle();
  }
  expect(optOuts.hasNone(9)).toBe(false);
  expect(await refused(9, [TWO, null]).catch((error: Error) => error.message)).toBe("away");
  state.isAway = false;
  expect(await refused(9, [TWO, null])).toEqual([]);
  expect(optOuts.hasNone(9)).toBe(true);
});

test("beyond what it may remember, a customer's phones are all looked up", async () => {
  const { add, asked, clock, refused } = setUp(1);
  add(7, ONE);
  add(7, TWO);
  await clock.advance(1);
  await settle();
  expect(await refused(7, [TWO, null])).toEqual([0]);
  expect(await refused(7, ["+989120000000", null])).toEqual([]);
  expect(asked).toHaveLength(2);
});
