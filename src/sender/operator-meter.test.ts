import { expect, test } from "bun:test";
import { createMetrics } from "../platform/metrics.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import type { Answer, Connector } from "../operators/connectors/connector.ts";
import {
  countBinds,
  countUnexpected,
  createOperatorMeters,
  metered,
  type SharedCounts,
} from "./operator-meter.ts";

test("each operator's answers and durations are counted in one thread and read in another", async () => {
  let ms = 0;
  const pending: ((answer: Answer) => void)[] = [];
  const connector: Connector = { submit: (_, done) => pending.push(done), close: async () => undefined };
  const metrics = createMetrics("test");
  const shared = createOperatorMeters(metrics).use(["A", "B"]);
  const b = metered(connector, shared.get("B") as SharedCounts, () => ms);
  const answers: Answer[] = [];
  for (let n = 0; n < 3; n++) b.submit({ id: "id" } as LaneRecord, (answer) => answers.push(answer), 0);

  const valueOf = async (start: string) =>
    (await metrics.text())
      .split("\n")
      .find((line) => line.startsWith(start))
      ?.split(" ")[1];
  expect(await valueOf('sluice_operator_submits_in_flight{operator="B"')).toBe("3");
  ms = 30;
  pending[0]?.({ kind: "accepted", operatorMessageIds: ["x"] });
  ms = 20_000;
  pending[1]?.({ kind: "lost", reason: "time-out" });

  expect(answers.map(({ kind }) => kind)).toEqual(["accepted", "lost"]);
  expect(await valueOf('sluice_operator_submits_in_flight{operator="B"')).toBe("1");
  expect(await valueOf('sluice_operator_submits_total{operator="B",answer="accepted"')).toBe("1");
  expect(await valueOf('sluice_operator_submits_total{operator="B",answer="lost"')).toBe("1");
  expect(await valueOf('sluice_operator_submits_total{operator="B",answer="refused"')).toBe("0");
  expect(await valueOf('sluice_operator_submits_total{operator="A",answer="accepted"')).toBe("0");
  const bucket = (le: string) =>
    valueOf(`sluice_operator_submit_duration_seconds_bucket{operator="B",le="${le}"`);
  expect([await bucket("0.025"), await bucket("0.05"), await bucket("10"), await bucket("+Inf")]).toEqual([
    "0",
    "1",
    "1",
    "2",
  ]);
  expect(await valueOf('sluice_operator_submit_duration_seconds_sum{operator="B"')).toBe("20.03");
});

test("an operator's binds are counted as they are opened and end", async () => {
  const metrics = createMetrics("test");
  const shared = createOperatorMeters(metrics).use(["A"]).get("A") as SharedCounts;
  const count = countBinds(shared);
  for (const change of [1, 1, -1, 1] as const) count(change);
  expect(await metrics.text()).toMatch(/^sluice_operator_binds\{operator="A".*\} 2$/m);
});

test("answers that nobody waits for are counted by operator and kind, and as no answer to a submit", async () => {
  const metrics = createMetrics("test");
  const shared = createOperatorMeters(metrics).use(["A", "B"]);
  const count = countUnexpected(shared.get("A") as SharedCounts);
  for (const answer of ["late", "stray", "stray"] as const) count(answer);
  const told = (await metrics.text())
    .split("\n")
    .filter((line) => /^sluice_operator_(unexpected_answers_total|submits_total|binds)/.test(line))
    .flatMap((line) => {
      const [, operator, answer, value] = /operator="(\w)"(?:,answer="([\w-]+)")?.* (\d+)$/.exec(line) ?? [];
      return value === "0" ? [] : [[operator, answer, value]];
    });
  expect(told).toEqual([
    ["A", "late", "1"],
    ["A", "stray", "2"],
  ]);
});

test("an operator that stays keeps its counts; one that is gone has no series, and begins anew if it comes back", async () => {
  const metrics = createMetrics("test");
  const meters = createOperatorMeters(metrics);
  const connector: Connector = {
    submit: (_, done) => done({ kind: "lost", reason: "" }),
    close: async () => undefined,
  };
  const lost = async (operator: string) => {
    const text = await metrics.text();
    const line = new RegExp(
      `^sluice_operator_submits_total\\{operator="${operator}",answer="lost".*\\} (.*)$`,
      "m",
    );
    return line.exec(text)?.[1] ?? (text.includes(`operator="${operator}"`) ? "other series" : "none");
  };
  const submit = (shared: SharedCounts | undefined) =>
    metered(connector, shared as SharedCounts, () => 0).submit({} as LaneRecord, () => undefined, 0);
  const first = meters.use(["A", "B"]);
  submit(first.get("A"));
  submit(first.get("B"));
  const second = meters.use(["B", "C"]);
  submit(second.get("B"));
  submit(first.get("A")); // still under way
  expect([await lost("A"), await lost("B"), await lost("C")]).toEqual(["none", "2", "0"]);
  meters.use(["A"]);
  expect([await lost("A"), await lost("B")]).toEqual(["0", "none"]);
});
