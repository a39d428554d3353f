// Checks in the background whether an address accepts TCP connections: for engines that a process can do
// without for a while, which /ready shows as degraded. Bound: one connect per target every PROBE_MS, each
// limited to CONNECT_MS.

import { connect } from "node:net";
import type { CheckResult } from "./health.ts";

const PROBE_MS = 2_000;
const CONNECT_MS = 500;

export type Target = { host: string; port: number };
export type Probe<K extends string> = { state(): Record<K, CheckResult>; stop(): void };

export function createProbe<K extends string>(targets: Record<K, Target>): Probe<K> {
  const names = Object.keys(targets) as K[];
  const state = Object.fromEntries(names.map((name) => [name, "degraded"])) as Record<K, CheckResult>;
  const ask = (name: K) => {
    const socket = connect(targets[name]);
    const done = (result: CheckResult) => {
      state[name] = result;
      socket.destroy();
    };
    socket.setTimeout(CONNECT_MS, () => done("degraded"));
    socket.once("connect", () => done("ok"));
    socket.once("error", () => done("degraded"));
  };
  const all = () => names.forEach(ask);
  all();
  const timer = setInterval(all, PROBE_MS);
  return { state: () => ({ ...state }), stop: () => clearInterval(timer) };
}
