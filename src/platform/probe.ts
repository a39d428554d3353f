// Asks in the background whether engines answer that a process can do without for a while, which /ready shows
// as degraded. Leaves what to ask to its callers. Bound: one question an engine at a time, one every
// PROBE_MS; a connect is limited to CONNECT_MS.

import { connect } from "node:net";
import type { CheckResult } from "./health.ts";

const PROBE_MS = 2_000;
const CONNECT_MS = 500;

type Address = { host: string; port: number };
export type Probe<K extends string> = { state(): Record<K, CheckResult>; stop(): void };

/** `engines`: how each is asked; a question must end by itself, and not fail. */
export function createProbe<K extends string>(engines: Record<K, () => Promise<boolean>>): Probe<K> {
  const names = Object.keys(engines) as K[];
  const state = Object.fromEntries(names.map((name) => [name, "degraded"])) as Record<K, CheckResult>;
  const asked = new Set<K>();
  const ask = async (name: K) => {
    if (asked.has(name)) return;
    asked.add(name);
    state[name] = (await engines[name]()) ? "ok" : "degraded";
    asked.delete(name);
  };
  const all = () => names.forEach((name) => void ask(name));
  all();
  const timer = setInterval(all, PROBE_MS);
  return { state: () => ({ ...state }), stop: () => clearInterval(timer) };
}

/** Whether one of the addresses accepts TCP connections. */
export async function connects(addresses: readonly Address[]): Promise<boolean> {
  return (await Promise.all(addresses.map(accepts))).includes(true);
}

const accepts = (address: Address): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(address);
    const done = (answers: boolean) => {
      resolve(answers);
      socket.destroy();
    };
    socket.setTimeout(CONNECT_MS, () => done(false));
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false));
  });
