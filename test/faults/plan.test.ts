// The plan: the same seed gives the same faults, every kind occurs, and nothing touches what a long fault
// holds.

import { expect, test } from "bun:test";
import { describe, type Fault, KINDS, LONG, makePlan, type PlanOptions, touches } from "./plan.ts";

const options = (changed: Partial<PlanOptions> = {}): PlanOptions => ({
  seed: 1,
  faults: 200,
  everyMs: 7_000,
  profile: "full",
  only: null,
  without: [],
  ...changed,
});
const kindsIn = (plan: readonly Fault[]) => new Set(plan.map((fault) => fault.kind));

test("the same seed gives the same plan, another seed another", () => {
  expect(makePlan(options())).toEqual(makePlan(options()));
  expect(makePlan(options({ seed: 2 }))).not.toEqual(makePlan(options()));
});

test("a plan has as many faults as requested, including every kind, and Kafka's long outage once", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const plan = makePlan(options({ seed }));
    expect(plan).toHaveLength(200);
    expect(kindsIn(plan).size).toBe(Object.keys(KINDS).length);
    const outages = plan.filter(({ kind }) => kind === "kafka-outage");
    expect(outages.map(({ ms }) => ms)).toEqual([90_000]);
    expect(plan.filter(({ kind }) => kind === "poll-limit")).toHaveLength(1);
    for (const fault of plan) expect(fault.afterMs).toBeGreaterThan(0);
  }
});

test("every role and engine is killed in 200 faults", () => {
  const killed = new Set(makePlan(options()).flatMap((f) => (f.kind === "kill" ? [f.target] : [])));
  expect([...killed].sort()).toEqual([
    "admin",
    "clickhouse",
    "dlr",
    "ingest-1",
    "ingest-2",
    "kafka",
    "mysql",
    "operator-A",
    "operator-B",
    "operator-C",
    "relay",
    "sender-express",
    "sender-normal",
    "webhook",
  ]);
});

test("a quick plan of 20 has no fault that lasts minutes", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const plan = makePlan(options({ seed, faults: 20, profile: "quick", everyMs: 3_000 }));
    expect(plan).toHaveLength(20);
    expect(Math.max(...plan.map(({ ms }) => ms))).toBeLessThan(40_000);
    expect(kindsIn(plan).has("kill-all")).toBe(true);
  }
});

test("`only` and `without` select kinds", () => {
  expect([...kindsIn(makePlan(options({ only: ["rewind"], faults: 3 })))]).toEqual(["rewind"]);
  expect(kindsIn(makePlan(options({ without: ["disk-full"] }))).has("disk-full")).toBe(false);
});

test("while a long fault lasts, nothing else touches what it holds", () => {
  for (let seed = 1; seed <= 50; seed++) {
    let atMs = 0;
    let held: { fault: Fault; untilMs: number }[] = [];
    for (const fault of makePlan(options({ seed }))) {
      atMs += fault.afterMs;
      held = held.filter((h) => h.untilMs > atMs);
      for (const { fault: long } of held) {
        const both = touches(fault).filter((each) => each === "*" || touches(long).includes(each));
        expect(`${describe(fault)} during ${describe(long)}: ${both}`).toEndWith(": ");
      }
      if (LONG.includes(fault.kind)) held.push({ fault, untilMs: atMs + fault.ms });
      else atMs += fault.ms;
    }
  }
});
