import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../../test/support/ports.ts";
import { loadConfig } from "../../platform/config.ts";
import { startProcess, stopProcess } from "../process.ts";
import { projectRoot } from "../tools.ts";
import { logs } from "./logs.ts";
import { reload, tellRoles } from "./reload.ts";

const README = join(projectRoot, "deploy/systemd/README.md");
const folder = mkdtempSync(join(tmpdir(), "sluice-reload-"));
afterAll(() => rmSync(folder, { recursive: true }));

// Answers no request before the third; `counts` is what each SIGHUP changes.
const busyRole = (hostname: string, port: number, counts: "loaded" | "failed") => `
  const count = { loaded: 1, failed: 0 };
  let requests = 0;
  process.on("SIGHUP", () => { count.${counts} += 1; });
  Bun.serve({ port: ${port}, hostname: "${hostname}", fetch: () => ++requests < 3
    ? new Response("busy", { status: 503 })
    : new Response(
        'sluice_routes_loaded_timestamp_seconds{role="ingest"} ' + count.loaded +
        '\\nsluice_routes_reload_failed_total{role="ingest"} ' + count.failed + '\\n') });
  setTimeout(() => process.exit(), 60000);`;

test.each([
  ["loaded", "uses", "127.0.0.1", "127.0.0.1"],
  ["failed", "refused", "127.0.0.1", "0.0.0.0"],
  ["loaded", "uses", "127.0.0.2", "127.0.0.2"],
] as const)(
  "a role too busy to answer at first is told, and heard: %s, %s on %s",
  async (counts, result, at, host) => {
    const port = await freePorts(1);
    const record = startProcess(
      {
        role: "ingest",
        name: "ingest-1",
        port: null,
        healthPort: port,
        command: [process.execPath, "-e", busyRole(at, port, counts)],
        cwd: folder,
        env: process.env,
        logFile: join(folder, "ingest-1.log"),
        nice: 0,
        stopMaxMs: 5_000,
      },
      folder,
      null,
    );
    try {
      expect(await tellRoles({ stateFolder: folder, healthHost: host })).toEqual([
        { name: "ingest-1", pid: record.pid, result },
      ]);
    } finally {
      await stopProcess(record, folder);
    }
  },
);

const failureOf = (run: Promise<unknown>): Promise<string> =>
  run.then(
    () => "it did not fail",
    (error: unknown) => (error as Error).message,
  );

test("a reload that tells nobody fails, and names the units that systemd reloads", async () => {
  const said = await failureOf(reload({ stateFolder: folder, healthHost: "127.0.0.1" }));
  const units = /systemctl reload (.*)/.exec(readFileSync(README, "utf8"))?.[1] ?? "";
  expect(units).toContain("sluice-ingest@*");
  expect(said).toEndWith(`systemctl reload ${units}`);
});

test("where nothing was started, the log of a role is said to be in systemd's journal", async () => {
  const config = loadConfig({ SLUICE_STATE: join(folder, "none") });
  const of = (role: string) => failureOf(logs(config, role, { lines: 1, follow: false }));
  expect(await of("sender-normal")).toContain("journalctl -u 'sluice-sender-normal*'");
  expect(await of("ingest-2")).toContain("journalctl -u 'sluice-ingest@2'");
  expect(await of("mysql")).toEndWith(" yet");
});
