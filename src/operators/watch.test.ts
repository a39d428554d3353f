import { afterAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMetrics } from "../platform/metrics.ts";
import type { Role } from "../platform/role.ts";
import { watchRoutes } from "./watch.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-watch-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("the version of the file in use is a metric, as sha256sum prints it; a refused file changes nothing", async () => {
  const routesFile = join(folder, "routes.yaml");
  const write = (price: string) =>
    writeFileSync(routesFile, `operators: { A: { kind: http, url: http://a, price: ${price} } }\n`);
  const sum = () => execFileSync("sha256sum", [routesFile], { encoding: "utf8" }).slice(0, 12);
  const metrics = createMetrics("dlr");
  const shown = async () =>
    [...(await metrics.text()).matchAll(/^sluice_routes_info\{sha256="(\w+)",role="dlr"\} 1$/gm)].map(
      ([, version]) => version,
    );
  const log = { info: () => undefined, error: () => undefined };
  let reload = () => undefined as void;
  const used: number[] = [];
  write("1");
  watchRoutes(
    {
      config: { routesFile },
      metrics,
      log,
      onReload: (read: () => void) => void (reload = read),
    } as unknown as Role,
    ({ operators }) => void used.push(operators[0]?.price ?? 0),
  );
  const first = sum();
  expect(await shown()).toEqual([first]);
  write("2");
  expect(await shown()).toEqual([first]);
  reload();
  const second = sum();
  expect(await shown()).toEqual([second]);
  write("free");
  reload();
  expect([await shown(), used]).toEqual([[second], [2]]);
});
