// Which processes have a CPU to themselves, as far as the gateway's own processes go (decision 0023). Each
// accept goes back and forth between an ingest process and MySQL; where the machine has just enough CPUs for
// them, the kernel often lets one wait for the other while the other CPU works on what nobody waits for.

import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { ProcessSpec } from "./process.ts";

/** CPUs that this process may use, in ascending order. Source: Cpus_allowed_list in proc(5). */
export function allowedCpus(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
  return list.split(",").flatMap((range) => {
    const [from = 0, to = from] = range.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => from + i);
  });
}

/**
 * The CPU of each process that has one of its own, by its name: an ingest process, or MySQL, if the CPUs are
 * exactly as many as these are and util-linux is installed. With fewer they must share, and with more each
 * finds an idle one.
 */
export function ownCpus(
  specs: readonly Pick<ProcessSpec, "role" | "name">[],
  cpus = allowedCpus(),
): ReadonlyMap<string, number> {
  const first = specs.filter(({ role }) => role === "ingest" || role === "mysql");
  const hasMysql = first.some(({ role }) => role === "mysql");
  if (!hasMysql || first.length !== cpus.length || first.length < 2 || !canPin()) return new Map();
  return new Map(first.map(({ name }, i) => [name, cpus[i] as number]));
}

function canPin(): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, "taskset"), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
