// Allows one launcher per state folder. The lock is a file that names its holder; a dead holder's lock is
// taken over. The file is created by linking a finished one, and taken over by renaming it away first, so
// when two launchers try at the same moment only one wins.

import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identify, type Identity, isAlive, sameProcess } from "../process.ts";

const lockFile = (stateFolder: string): string => join(stateFolder, "launcher.json");

/** The living launcher of this state folder, or null. */
export function lockHolder(stateFolder: string): Identity | null {
  const holder = readHolder(lockFile(stateFolder));
  return holder !== null && isAlive(holder) ? holder : null;
}

/** Locks the folder for this process. @throws Error that names the pid of another launcher that holds it */
export function takeLock(stateFolder: string): Identity {
  mkdirSync(stateFolder, { recursive: true });
  const own = identify(process.pid);
  if (own === null) throw new Error("/proc is not readable, but `up` needs it");
  const file = lockFile(stateFolder);
  const draft = `${file}.${own.pid}`;
  writeFileSync(draft, JSON.stringify(own));
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      if (linked(draft, file)) return own;
      const holder = readHolder(file);
      if (holder !== null && isAlive(holder)) throw taken(stateFolder, holder.pid);
      clearDead(file, `${draft}.dead`);
    }
  } finally {
    rmSync(draft, { force: true });
  }
  throw taken(stateFolder, lockHolder(stateFolder)?.pid ?? 0);
}

export function releaseLock(stateFolder: string, own: Identity): void {
  const holder = readHolder(lockFile(stateFolder));
  if (holder !== null && sameProcess(holder, own)) rmSync(lockFile(stateFolder), { force: true });
}

const taken = (stateFolder: string, pid: number): Error =>
  new Error(
    `the state folder ${stateFolder} is in use by a running ./sluice up, pid ${pid}. ` +
      "Stop it with: ./sluice down. Or set another folder with SLUICE_STATE, and other ports",
  );

function linked(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

// Between reading the file and renaming it another launcher may have replaced it: then it is put back.
function clearDead(file: string, aside: string): void {
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return; // just released
    throw error;
  }
  const holder = readHolder(aside);
  if (holder !== null && isAlive(holder)) linked(aside, file);
  rmSync(aside, { force: true });
}

function readHolder(file: string): Identity | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Identity;
  } catch {
    return null; // nobody has it
  }
}
