// Checks in the background whether an engine accepts TCP connections, at any of its addresses: for engines
// that a process can do without for a while, which /ready shows as degraded. Bound: one connect per address
// every PROBE_MS, each limited to CONNECT_MS.

import { connect } from "node:net";
import type { CheckResult } from "./health.ts";

const PROBE_MS = 2_000;
const CONNECT_MS = 500;

export type Target = { host: string; port: number };
export type Probe<K extends string> = { state(): Record<K, CheckResult>; stop(): void };

export function createProbe<K extends string>(targets: Record<K, readonly Target[]>): Probe<K> {
  const names = Object.keys(targets) as K[];
  const state = Object.fromEntries(names.map((name) => [name, "degraded"])) as Record<K, CheckResult>;
  const ask = async (name: K) => {
    const reached = await Promise.all(targets[name].map(accepts));
    state[name] = reached.includes(true) ? "ok" : "degraded";
  };
  const all = () => names.forEach((name) => void ask(name));
  all();
  const timer = setInterval(all, PROBE_MS);
  return { state: () => ({ ...state }), stop: () => clearInterval(timer) };
}

const accepts = (target: Target): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(target);
    const done = (result: boolean) => {
      resolve(result);
      socket.destroy();
    };
    socket.setTimeout(CONNECT_MS, () => done(false));
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false));
  });
