// `status`: what is running, by asking all processes at once: the roles on this machine, whoever started
// them, and the engines where the settings say. It answers within 2 s even if some are down, because every
// probe is bounded (src/stack/probe.ts). `ready` means that a message sent now would reach the report.

import { resolve } from "node:path";
import type { Config } from "../../platform/config.ts";
import { brokersOf } from "../../platform/kafka/brokers.ts";
import { say } from "../../platform/output.ts";
import { edgeAnswers } from "../edge.ts";
import { clickhouseAnswers, kafkaAnswers, LOOPBACK, mysqlAnswers } from "../probe.ts";
import { isAlive, type ProcessRecord, readRecords } from "../process.ts";
import { findTools } from "../tools.ts";
import { lockHolder } from "./lock.ts";
import { createRoles, type RoleProcess } from "./roles.ts";

const LOGIN_MAX_MS = 1_500;

export type Health = "ready" | "not ready" | "down";
export type ProcessStatus = { role: string; name: string; pid: number | null; port: number; health: Health };
export type StackStatus = { ready: boolean; processes: ProcessStatus[] };

/** Returns the exit code: 0 ready, 3 not ready, as in `systemctl status`. */
export async function status(config: Config, json: boolean): Promise<0 | 3> {
  const found = await readStatus(config);
  say(json ? JSON.stringify(found) : asText(found));
  return found.ready ? 0 : 3;
}

async function readStatus(config: Config): Promise<StackStatus> {
  const stateFolder = resolve(config.stateFolder);
  const records = readRecords(stateFolder).filter(isAlive);
  const ingest = records.filter((record) => record.role === "ingest").length;
  const roles = createRoles(config, findTools(process.env), stateFolder, {
    ingest: Math.max(1, ingest),
    operators: "",
  });
  const { mysqlPort, kafkaPort, clickhousePort, clickhouseHost } = config;
  const all = await Promise.all([
    ...roles.map((role) => roleStatus(role, records)),
    ...edgeStatus(config, records),
    engineStatus("mysql", mysqlPort, mysqlReady(config), records),
    engineStatus("kafka", kafkaPort, kafkaReady(config), records),
    engineStatus("clickhouse", clickhousePort, clickhouseAnswers(clickhousePort, clickhouseHost), records),
  ]);
  // Only the local stack has simulated operators: without it their absence says nothing.
  const isLocal =
    lockHolder(stateFolder) !== null ||
    all.some(({ role, health }) => role === "operator" && health !== "down");
  const processes = isLocal ? all : all.filter(({ role }) => role !== "operator");
  return { ready: isReady(processes), processes };
}

/**
 * Every stage has a ready process; one operator of three is enough, because refused messages fail over to it.
 * No message needs the admin API.
 */
function isReady(processes: readonly ProcessStatus[]): boolean {
  const stages = new Set(processes.map(({ role }) => role).filter((role) => role !== "admin"));
  return [...stages].every((role) => processes.some((each) => each.role === role && each.health === "ready"));
}

async function roleStatus(role: RoleProcess, records: readonly ProcessRecord[]): Promise<ProcessStatus> {
  const pid = records.find((record) => record.name === role.name)?.pid ?? null;
  return entry(role.role, role.name, pid, role.port ?? role.healthPort, await role.ready());
}

// On another machine MySQL counts connections that end without a login, and after 100 of them
// (max_connect_errors) it refuses this one.
async function mysqlReady(config: Config): Promise<boolean> {
  if (config.mysqlHost === LOOPBACK) return mysqlAnswers(config.mysqlPort);
  const { canLogIn } = await import("../../platform/mysql.ts");
  return canLogIn(config, LOGIN_MAX_MS);
}

/** One broker of several is enough to be told of the others. */
async function kafkaReady(config: Config): Promise<boolean> {
  const answers = await Promise.all(brokersOf(config).map(({ host, port }) => kafkaAnswers(port, host)));
  return answers.includes(true);
}

/** Only if an edge was started: a gateway is complete without one. */
function edgeStatus(config: Config, records: readonly ProcessRecord[]): Promise<ProcessStatus>[] {
  if (!records.some(({ role }) => role === "edge")) return [];
  return [engineStatus("edge", config.edgePort, edgeAnswers(config), records)];
}

async function engineStatus(
  name: string,
  port: number,
  answers: Promise<boolean>,
  records: readonly ProcessRecord[],
): Promise<ProcessStatus> {
  const pid = records.find((record) => record.name === name)?.pid ?? null;
  return entry(name, name, pid, port, await answers);
}

// An engine in a container has no pid here, but it answers; the same goes for a role started by hand. Neither
// has a record.
const entry = (
  role: string,
  name: string,
  pid: number | null,
  port: number,
  answers: boolean,
): ProcessStatus => ({
  role,
  name,
  pid,
  port,
  health: answers ? "ready" : pid === null ? "down" : "not ready",
});

function asText({ ready, processes }: StackStatus): string {
  const rows = processes.map(
    ({ name, pid, port, health }) =>
      `${name.padEnd(16)} ${health.padEnd(10)} ${String(pid ?? "-").padStart(8)} ${port}`,
  );
  const head = ready ? "ready: a message sent now reaches the report" : "not ready";
  return [head, `${"process".padEnd(16)} ${"health".padEnd(10)} ${"pid".padStart(8)} port`, ...rows].join(
    "\n",
  );
}
