import { expect, test } from "bun:test";
import { HELD_CUSTOMERS_MAX } from "../ledger/held.ts";
import { sleep } from "../platform/retry.ts";
import { type HeldDeps, sendHeld } from "./held.ts";

const log = { trace() {}, debug() {}, info() {}, warn() {}, error() {}, fatal() {} } as never;

const ROOM = { messages: 200, parts: Number.POSITIVE_INFINITY };

/** Looks at a table in which these customers have held rows, `looks` times, while no batch has room. */
async function looksAt(customers: readonly number[], looks: number): Promise<number[]> {
  const begins: number[] = [];
  const query = async (sql: string) => {
    const after = Number(/customer_id>(\d+)/.exec(sql)?.[1]);
    begins.push(after);
    const found = customers.filter((customerId) => customerId > after).slice(0, HELD_CUSTOMERS_MAX);
    return found.map((customerId) => ({ customer_id: customerId, link: "A" }));
  };
  const deps: HeldDeps = {
    pool: { query } as never,
    fleet: { allow: () => new Map(), report: () => undefined },
    batches: { room: () => null, start: () => undefined, changed: () => sleep(5) },
    rates: undefined,
    counts: {} as never,
    log,
    isStopping: () => begins.length >= looks,
  };
  await sendHeld(deps, "normal");
  return begins;
}

test("a look begins with the customer at which the last one ended, and from the beginning when that one found all that were left", async () => {
  const customers = Array.from({ length: HELD_CUSTOMERS_MAX + 1 }, (_, n) => n + 1);
  expect(await looksAt(customers, 3)).toEqual([0, HELD_CUSTOMERS_MAX - 1, 0]);
  expect(await looksAt([5, 9], 2)).toEqual([0, 0]);
});

test("nothing is claimed while no operator may be asked", async () => {
  let claims = 0;
  let asked = 0;
  let reports = 0;
  const deps: HeldDeps = {
    pool: { query: async () => [{ customer_id: 1, link: "A" }] } as never,
    fleet: {
      allow: () => {
        asked++;
        return new Map([["A", 0]]);
      },
      // What was not allowed is not given back: another batch may have the probe under way.
      report: () => void reports++,
    },
    batches: { room: () => ROOM, start: () => void claims++, changed: () => sleep(5) },
    rates: undefined,
    counts: {} as never,
    log,
    isStopping: () => asked >= 2,
  };
  await sendHeld(deps, "normal");
  expect([claims, reports]).toEqual([0, 0]);
});

test("while a link has no room, the held rows of the others are claimed, each link's by batches of its own", async () => {
  const started: string[] = [];
  const customers = [
    { customer_id: 1, link: "A" },
    { customer_id: 1, link: "B" },
    { customer_id: 2, link: "A" },
    { customer_id: 3, link: "C" },
  ];
  const deps: HeldDeps = {
    pool: { query: async () => customers } as never,
    fleet: { allow: () => new Map([["A", Number.POSITIVE_INFINITY]]), report: () => undefined },
    batches: {
      room: (_, link) => (link === "A" || started.filter((one) => one === link).length >= 2 ? null : ROOM),
      start: (_, _size, { link }) => void started.push(link),
      changed: () => sleep(5),
    },
    rates: undefined,
    counts: {} as never,
    log,
    isStopping: () => started.length >= 4,
  };
  await sendHeld(deps, "normal");
  expect(started).toEqual(["B", "C", "B", "C"]);
});
