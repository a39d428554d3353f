// A small disk for MySQL that can be filled up: a tmpfs that is resized. Needs root, and a machine that
// allows mounts; whyNoDisk tells whether it does. Leaves when the disk is full to kinds/engines.ts.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";

/** null if this machine allows mounting a tmpfs, otherwise the reason why not. */
export function whyNoDisk(folder: string): string | null {
  mkdirSync(folder, { recursive: true });
  const why = run("mount", ["-t", "tmpfs", "-o", "size=1m", "sluice-faults", folder]);
  if (why === null) unmount(folder);
  return why;
}

/** @throws Error if it can't be mounted */
export function mount(folder: string, sizeMb: number): void {
  mkdirSync(folder, { recursive: true });
  const why = run("mount", ["-t", "tmpfs", "-o", `size=${sizeMb}m`, "sluice-faults", folder]);
  if (why !== null) throw new Error(`no disk for MySQL: ${why}`);
}

/** @throws Error, for instance if it holds more than that already */
export function resize(folder: string, kb: number): void {
  const why = run("mount", ["-o", `remount,size=${Math.floor(kb)}k`, folder]);
  if (why !== null) throw new Error(`the disk can't be resized: ${why}`);
}

/** Also unmounts what a killed earlier run left mounted; usually there is nothing. */
export function unmount(folder: string): void {
  while (readFileSync("/proc/mounts", "utf8").includes(` ${folder} `))
    if (run("umount", [folder]) !== null && run("umount", ["-l", folder]) !== null) return;
}

function run(command: string, args: string[]): string | null {
  const done = spawnSync(command, args);
  if (done.status === 0) return null;
  return done.error?.message ?? (done.stderr.toString().trim() || `${command} failed`);
}
