// `./sluice operator` on a simulated operator that runs: what it shows, sets and refuses.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { projectRoot } from "../../src/stack/tools.ts";
import { envOf } from "../support/ingest-process.ts";
import { createDownstream, type Downstream } from "../support/roles.ts";

let down: Downstream;
beforeAll(async () => {
  down = await createDownstream();
  await down.startOperator("A");
}, 60_000);
afterAll(() => down.end());

const sluice = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync(join(projectRoot, "sluice"), ["operator", ...args], {
    env: { ...process.env, ...envOf(down.config) },
    encoding: "utf8",
  });
  return { code: status, stdout, stderr };
};
const shown = () => JSON.parse(sluice("show", "A", "--json").stdout) as Record<string, string>;

test("it is told how to behave, and says so", () => {
  expect(shown()).toMatchObject({ slow: "5ms-30ms", refuse: "0.01", reports: "usual" });
  const set = sluice("set", "A", "slow=200ms", "refuse=0.1,throttle=50", "reports=late:0.1+lost:0.2");
  expect([set.code, set.stderr]).toEqual([0, ""]);
  expect(set.stdout).toContain("slow=200ms\nrefuse=0.1\nthrottle=50\n");
  expect(shown()).toMatchObject({ slow: "200ms", throttle: "50", reports: "late:0.1+lost:0.2" });
  expect(sluice("set", "A", "profile=fast", "--json").code).toBe(0);
  expect(shown()).toMatchObject({ slow: "0ms", throttle: "off" });
});

test("after all its connections were cut it goes on", async () => {
  expect(sluice("set", "A", "drop-links=now").code).toBe(0);
  await Bun.sleep(500);
  expect(shown()).toMatchObject({ "drop-links": "0" });
});

test("a wrong setting, an unknown operator and one that doesn't run are refused by name, and nothing changes", () => {
  const before = shown();
  for (const [args, said] of [
    [["set", "A", "slow=fast", "refuse=0.2"], "slow=fast: must be a time such as 200ms"],
    [["set", "A", "speed=3"], "speed: is no setting; known: profile, seed, slow"],
    [["set", "A"], "missing required argument"],
    [["show", "D"], 'no simulated operator "D"; they are A, B, C'],
    [["show", "B"], "operator B does not answer on http://127.0.0.1:"],
  ] as const) {
    const refused = sluice(...args);
    expect({ args, ...refused }).toMatchObject({ args, code: 1, stdout: "" });
    expect(refused.stderr).toContain(said);
  }
  expect(shown()).toEqual(before);
});
