// `route reload`: sends SIGHUP to the running roles that have the routes file, and waits until each says in
// its metrics that it uses the file, or has refused it. The admin API tells them the same way.

import { resolve } from "node:path";
import type { Config } from "../../platform/config.ts";
import { say } from "../../platform/output.ts";
import { sleep } from "../../platform/retry.ts";
import { reachable } from "../probe.ts";
import { isAlive, type ProcessRecord, readRecords, reloadProcess } from "../process.ts";
import { type RoleRow, ROLES } from "../role-table.ts";

const ANSWER_MAX_MS = 10_000;
const POLL_MS = 50;

/** `silent`: it couldn't be told, or gave no sign of having read the file. */
export type Told = { name: string; pid: number; result: "uses" | "refused" | "silent" };

/** As deploy/systemd/README.md has them. */
const RELOADED_UNITS = "'sluice-ingest@*' 'sluice-sender-*' 'sluice-dlr@*'";

type Where = Pick<Config, "stateFolder" | "healthHost">;

/** Tells the roles that run in this state folder, in the order of their table. Never throws. */
export function tellRoles({ stateFolder, healthHost }: Where): Promise<Told[]> {
  const kinds = Object.keys(ROLES);
  const reading = readRecords(resolve(stateFolder))
    .filter((record) => isAlive(record) && readsRoutes(record.role))
    .toSorted((a, b) => kinds.indexOf(a.role) - kinds.indexOf(b.role) || byName.compare(a.name, b.name));
  return Promise.all(reading.map((record) => tellOne(record, healthHost)));
}

/** ingest-2 before ingest-10 */
const byName = new Intl.Collator("en", { numeric: true });

const readsRoutes = (role: string): boolean =>
  (ROLES as Record<string, RoleRow | undefined>)[role]?.reloads === true;

/**
 * Returns the exit code: 0 if all that run use the file now, 1 if one does not. @throws Error if there was
 * none to tell, which says who tells those that something else runs
 */
export async function reload(config: Where): Promise<0 | 1> {
  const all = await tellRoles(config);
  if (all.length === 0)
    throw new Error(
      `no process was told to read the file: none that ./sluice up started runs in ` +
        `${resolve(config.stateFolder)}. Those of systemd are told by: systemctl reload ${RELOADED_UNITS}`,
    );
  for (const told of all) say(lineOf(told));
  return all.every(({ result }) => result === "uses") ? 0 : 1;
}

function lineOf({ name, pid, result }: Told): string {
  switch (result) {
    case "uses":
      return `${name}: uses it (pid ${pid})`;
    case "refused":
      return `${name}: refused it (pid ${pid}); why: ./sluice logs ${name}`;
    case "silent":
      return `${name}: gave no sign of it (pid ${pid}); see: ./sluice logs ${name}`;
  }
}

async function tellOne(record: ProcessRecord, healthHost: string): Promise<Told> {
  const { name, pid, healthPort } = record;
  const metrics = healthPort === undefined ? null : `http://${reachable(healthHost)}:${healthPort}/metrics`;
  const before = metrics === null ? null : await firstState(metrics);
  try {
    reloadProcess(record);
  } catch {
    return { name, pid, result: "silent" }; // another user's
  }
  if (metrics === null || before === null) return { name, pid, result: "silent" };
  for (const endMs = performance.now() + ANSWER_MAX_MS; performance.now() < endMs; await sleep(POLL_MS)) {
    const now = await readState(metrics);
    if (now === null) continue;
    if (now.failed > before.failed) return { name, pid, result: "refused" };
    if (now.loadedAt > before.loadedAt) return { name, pid, result: "uses" };
  }
  return { name, pid, result: "silent" };
}

/** A busy process may not answer the first time, and only a change of its state is a sign. */
async function firstState(metrics: string): Promise<State | null> {
  for (const endMs = performance.now() + ANSWER_MAX_MS; ; await sleep(POLL_MS)) {
    const state = await readState(metrics);
    if (state !== null || performance.now() >= endMs) return state;
  }
}

type State = { loadedAt: number; failed: number };

/** Null if the process doesn't answer. */
async function readState(metrics: string): Promise<State | null> {
  const answer = await fetch(metrics, { signal: AbortSignal.timeout(1_000) }).catch(() => null);
  if (answer === null || !answer.ok) return null;
  const text = await answer.text();
  const value = (name: string) => Number(new RegExp(`^${name}\\{[^}]*\\} (.*)$`, "m").exec(text)?.[1]);
  return {
    loadedAt: value("sluice_routes_loaded_timestamp_seconds"),
    failed: value("sluice_routes_reload_failed_total"),
  };
}
