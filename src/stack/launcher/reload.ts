// `route reload`: sends SIGHUP to the running roles that have the routes file, and waits until each says in
// its metrics that it uses the file, or has refused it.

import { resolve } from "node:path";
import type { Config } from "../../platform/config.ts";
import { say } from "../../platform/output.ts";
import { sleep } from "../../platform/retry.ts";
import { isAlive, type ProcessRecord, readRecords, reloadProcess } from "../process.ts";
import { ROLES } from "../role-table.ts";
import { findTools } from "../tools.ts";
import { createRoles } from "./roles.ts";

const ANSWER_MAX_MS = 10_000;
const POLL_MS = 50;

/** Returns the exit code: 0 if all that run use the file now, 1 if one does not. */
export async function reload(config: Config): Promise<0 | 1> {
  const stateFolder = resolve(config.stateFolder);
  const records = readRecords(stateFolder).filter(isAlive);
  const ingest = records.filter(({ role }) => role === "ingest").length;
  const roles = createRoles(config, findTools(process.env), stateFolder, {
    ingest: Math.max(1, ingest),
    operators: "",
  });
  const reading = roles.flatMap(({ role, name, healthPort }) => {
    const record = records.find((each) => each.name === name);
    return record !== undefined && ROLES[role as keyof typeof ROLES].reloads ? [{ record, healthPort }] : [];
  });
  if (reading.length === 0) {
    say(`nothing that reads it is running in ${stateFolder}`);
    return 0;
  }
  const results = await Promise.all(reading.map((each) => reloadOne(each.record, each.healthPort)));
  for (const { line } of results) say(line);
  return results.every(({ isUsed }) => isUsed) ? 0 : 1;
}

type Reloaded = { line: string; isUsed: boolean };

async function reloadOne(record: ProcessRecord, healthPort: number): Promise<Reloaded> {
  const { name, pid } = record;
  const before = await readState(healthPort);
  reloadProcess(record);
  for (const endMs = performance.now() + ANSWER_MAX_MS; performance.now() < endMs; await sleep(POLL_MS)) {
    const now = await readState(healthPort);
    if (now === null || before === null) continue;
    if (now.failed > before.failed)
      return { line: `${name}: refused it (pid ${pid}); why: ./sluice logs ${name}`, isUsed: false };
    if (now.loadedAt > before.loadedAt) return { line: `${name}: uses it (pid ${pid})`, isUsed: true };
  }
  return { line: `${name}: gave no sign of it (pid ${pid}); see: ./sluice logs ${name}`, isUsed: false };
}

/** Null if the process doesn't answer. */
async function readState(port: number): Promise<{ loadedAt: number; failed: number } | null> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`, {
    signal: AbortSignal.timeout(1_000),
  }).catch(() => null);
  if (answer === null || !answer.ok) return null;
  const text = await answer.text();
  const value = (name: string) => Number(new RegExp(`^${name}\\{[^}]*\\} (.*)$`, "m").exec(text)?.[1]);
  return {
    loadedAt: value("sluice_routes_loaded_timestamp_seconds"),
    failed: value("sluice_routes_reload_failed_total"),
  };
}
