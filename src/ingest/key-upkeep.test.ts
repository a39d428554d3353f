// When idempotency keys are deleted, against a scripted clock of MySQL.

import { expect, test } from "bun:test";
import { createFakeClock } from "../../test/support/fake-clock.ts";
import type { Pool } from "../platform/mysql.ts";
import { startKeyUpkeep } from "./key-upkeep.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const RUN_MS = 70_000; // a period and its jitter
const START_MS = Date.parse("2026-03-10T12:00:00.000Z");

function setUp() {
  const clock = createFakeClock();
  const mysql = { offsetMs: START_MS, answerMs: 0 };
  const deletedBefore: number[] = [];
  const warnings: string[] = [];
  const pool = {
    async query() {
      const at = new Date(mysql.offsetMs + clock.timers.monotonicMs());
      if (mysql.answerMs > 0) await clock.timers.sleep(mysql.answerMs);
      return [{ at }];
    },
    async write(sql: string) {
      const [time = ""] = /(?<=created_at < ')[^']*/.exec(sql) ?? [];
      deletedBefore.push(Date.parse(`${time.replace(" ", "T")}Z`));
      return { affectedRows: 0 };
    },
  } as unknown as Pool;
  const quiet = () => undefined;
  const metrics = { counter: () => quiet, gauge: quiet } as never;
  const log = { warn: (_: object, text: string) => warnings.push(text), error: quiet } as never;
  startKeyUpkeep({ pool, timers: clock.timers, metrics, log });
  return { clock, mysql, deletedBefore, warnings };
}

test("keys that are older than 24 h by MySQL's clock are deleted, in every run", async () => {
  const { clock, deletedBefore, warnings } = setUp();
  await clock.advance(1);
  expect(deletedBefore).toEqual([START_MS - DAY_MS]);
  await clock.advance(RUN_MS);
  expect(deletedBefore).toHaveLength(2);
  expect(deletedBefore[1]).toBeGreaterThan(START_MS - DAY_MS + 50_000);
  expect(warnings).toEqual([]);
});

test("once MySQL's clock jumped ahead, none is deleted for 24 h, counted from the last jump", async () => {
  const { clock, mysql, deletedBefore, warnings } = setUp();
  await clock.advance(1);
  mysql.offsetMs += 2 * DAY_MS;
  await clock.advance(12 * HOUR_MS);
  expect(warnings).toHaveLength(1);
  mysql.offsetMs += HOUR_MS;
  await clock.advance(DAY_MS);
  expect(warnings).toHaveLength(2);
  expect(deletedBefore).toEqual([START_MS - DAY_MS]);
  await clock.advance(2 * RUN_MS);
  // By then nothing is younger than the jump.
  expect(deletedBefore.length).toBeGreaterThan(1);
  expect(deletedBefore[1]).toBeGreaterThan(START_MS + 2 * DAY_MS + 13 * HOUR_MS);
});

test("a clock that is set back, one that is a little fast, and slow answers keep nothing from being deleted", async () => {
  const { clock, mysql, deletedBefore, warnings } = setUp();
  const runs = async (change: () => void) => {
    change();
    const before = deletedBefore.length;
    await clock.advance(RUN_MS + 10_000);
    expect(deletedBefore.length).toBeGreaterThan(before);
  };
  await runs(() => undefined);
  await runs(() => (mysql.offsetMs -= DAY_MS));
  await runs(() => (mysql.offsetMs += 1_000));
  await runs(() => (mysql.answerMs = 8_000));
  await runs(() => (mysql.answerMs = 0));
  expect(warnings).toEqual([]);
});
