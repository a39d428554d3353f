// The comparison of a route's operators, on a real ClickHouse, and its command.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createIdFactory } from "../../src/core/id.ts";
import { sequenceOf, type Status } from "../../src/core/message.ts";
import { operatorsReport } from "../../src/reports/operators-report.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import {
  createTestClickhouse,
  insertStatusEvents,
  type StatusEvent,
  type TestClickhouse,
} from "../support/clickhouse.ts";
import { envOf } from "../support/ingest-process.ts";

const NOON_MS = Date.UTC(2026, 4, 20, 12);
const id = createIdFactory({ now: () => NOON_MS });
const folder = mkdtempSync(join(tmpdir(), "sluice-test-compare-"));
let db: TestClickhouse;
beforeAll(async () => {
  db = await createTestClickhouse();
});
afterAll(async () => {
  await db.drop();
  rmSync(folder, { recursive: true });
});

type Step = [status: Status, afterMs: number];
const REACHED = { phone: "+989121234567", type: "normal", created_at_ms: NOON_MS };
/** The events of a message; `more` changes what it is. */
function message(operator: string, steps: readonly Step[], more: Partial<StatusEvent> = {}): StatusEvent[] {
  const of = { ...REACHED, id: id(), ...more };
  return [["queued", 0] as Step, ...steps].map(([status, afterMs]) => ({
    ...of,
    status,
    sequence: sequenceOf(0, status),
    operator: status === "queued" ? "" : operator,
    updated_at_ms: of.created_at_ms + afterMs,
  }));
}

test("each message counts once, for its operator; shares and times are those of the events", async () => {
  const events = [
    ...Array.from({ length: 6 }, () =>
      message("A", [
        ["sent", 100],
        ["delivered", 2_100],
      ]),
    ),
    ...Array.from({ length: 2 }, () =>
      message("A", [
        ["sent", 100],
        ["undelivered", 9_000],
      ]),
    ),
    ...Array.from({ length: 3 }, () => message("A", [["sent", 100]])),
    message(
      "B",
      [
        ["sent", 700],
        ["delivered", 5_700],
      ],
      { customer_id: 2 },
    ),
    // Not counted: another prefix, another lane, another day, another operator, nobody took it.
    message("A", [["sent", 100]], { phone: "+989351234567" }),
    message("A", [["sent", 100]], { type: "express" }),
    message("A", [["sent", 100]], { created_at_ms: NOON_MS - 86_400_000 }),
    message("C", [["sent", 100]]),
    message("A", [["unknown", 100]]),
    message("", [["failed", 100]]),
  ];
  // In any order, and some twice.
  await insertStatusEvents(db.clickhouse, events.flat().toReversed());
  await insertStatusEvents(db.clickhouse, events.slice(0, 4).flat());
  const compared = {
    operators: ["A", "B", "N"],
    prefixes: ["+98912", "+98913"],
    lanes: ["normal"] as const,
    fromMs: NOON_MS - 60_000,
    toMs: NOON_MS + 60_000,
  };
  const none = { parts: 0, delivered: 0, undelivered: 0, open: 0, taken_ms: null, delivered_ms: null };
  expect(await operatorsReport(db.clickhouse, compared)).toEqual([
    {
      operator: "A",
      taken: 11,
      parts: 11,
      delivered: 6,
      undelivered: 2,
      open: 3,
      delivered_share: 0.75,
      taken_ms: { p50: 100, p95: 100 },
      delivered_ms: { p50: 2_000, p95: 2_000 },
    },
    {
      operator: "B",
      taken: 1,
      parts: 1,
      delivered: 1,
      undelivered: 0,
      open: 0,
      delivered_share: 1,
      taken_ms: { p50: 700, p95: 700 },
      delivered_ms: { p50: 5_000, p95: 5_000 },
    },
    { operator: "N", taken: 0, delivered_share: null, ...none },
  ]);
});

test("the command shows them side by side; an unknown route and a wrong time are refused", () => {
  const file = join(folder, "routes.yaml");
  const operator = (name: string) => `  ${name}: { kind: http, url: http://a, price: 1 }\n`;
  writeFileSync(
    file,
    `operators:\n${operator("A")}${operator("B")}` +
      "routes: { compare: { prefixes: ['+98912'], lanes: [normal], split: { A: 90, B: 10 } } }\n",
  );
  const run = (...args: string[]) => {
    const env = { ...process.env, ...envOf(db.config), SLUICE_ROUTES: file };
    const { status, stdout, stderr } = spawnSync(join(projectRoot, "sluice"), ["route", "compare", ...args], {
      env,
      encoding: "utf8",
    });
    return { status, stdout, stderr };
  };
  const period = ["--from", "2026-05-20T11:59:00Z", "--to", "2026-05-20T15:31:00+03:30"];
  expect(run("compare", ...period)).toEqual({
    status: 0,
    stdout: [
      "compare: +98912, normal, 2026-05-20T11:59:00.000Z to 2026-05-20T12:01:00.000Z",
      "operator  taken  per s  delivered  not  open    share  taken in     p95  delivered in     p95",
      "A            11   0.09          6    2     3   75.0 %    0.10 s  0.10 s        2.00 s  2.00 s",
      "B             1   0.01          1    0     0  100.0 %    0.70 s  0.70 s        5.00 s  5.00 s",
      "",
    ].join("\n"),
    stderr: "",
  });
  const json = JSON.parse(run("compare", ...period, "--json").stdout) as { operators: unknown[] };
  expect(json).toMatchObject({
    route: "compare",
    operators: [{ operator: "A", taken: 11 }, { operator: "B" }],
  });
  expect(run("nothing")).toMatchObject({ status: 1, stderr: expect.stringContaining("known: compare") });
  expect(run("compare", "--from", "yesterday")).toMatchObject({ status: 1, stdout: "" });
});
