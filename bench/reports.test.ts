// What a report costs, from the CPU of two runs.

import { expect, test } from "bun:test";
import { costOfReport } from "./reports.ts";

test("a report costs what a message with one uses more, process by process", () => {
  const without = { machine: 500, mysql: 150.04, dlr: 3, gone: 7 };
  const reported = { machine: 555.5, mysql: 170, dlr: 15, started: 9 };
  expect(costOfReport(without, reported)).toEqual({ machine: 55.5, mysql: 20, dlr: 12 });
});
