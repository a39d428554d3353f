// The routes file as a text that is replaced whole: its version, and putting another one in its place. Who
// reads it meanwhile gets the one or the other. Leaves what is in it to routes-file.ts, and who may replace
// it, one at a time and with a row in the audit log, to src/control/routes.ts.
// Invariant: the file is never there in part, and keeps its mode and owner.

import { createHash } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { SluiceError } from "../core/errors.ts";
import { changesBetween } from "./route-changes.ts";
import { type Environment, type LoadedRoutes, loadWithBytes, type RoutesFile } from "./routes-file.ts";

/** Where the file is, and where its secrets are looked for. */
export type RoutesPlace = { path: string; env: Environment };
/** `text` and `version` are null if the file can't be read; `text` also if it isn't UTF-8. */
export type StoredRoutes = { text: string | null; version: string | null; loaded: LoadedRoutes };
/** A text that lies beside the file: `place` makes it the file. */
export type Staged = { place(): void; discard(): void };

/** SHA-256 of the text, in hex, as sha256sum prints it. */
export const versionOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** The file as it is now. */
export function readStored({ path, env }: RoutesPlace): StoredRoutes {
  const { bytes, loaded } = loadWithBytes(path, env);
  if (bytes === null) return { text: null, version: null, loaded };
  return { text: textOf(bytes), version: versionOf(bytes), loaded };
}

function textOf(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** What src/control/routes.ts needs to put `bytes`, which were read as `file`, in place of `expected`. */
export const replacementOf = (
  place: RoutesPlace,
  given: { bytes: Uint8Array; file: RoutesFile; expected: string | null },
) => ({
  path: place.path,
  version: versionOf(given.bytes),
  expected: given.expected,
  /** @throws SluiceError unavailable if the file can't be read */
  current(): { version: string; changes: string[] } {
    const { version, loaded } = readStored(place);
    if (version === null)
      throw new SluiceError("unavailable", { detail: `The routes file ${reasonOf(loaded)}.` });
    return { version, changes: changesBetween(loaded, given.file) };
  },
  stage: () => stage(place.path, given.bytes),
});

const reasonOf = (loaded: LoadedRoutes): string =>
  loaded.kind === "bad" ? (loaded.faults[0]?.what ?? "") : "";

/** Writes a text beside the file, on its disk for good. @throws SluiceError unavailable if it can't */
export const stage = (path: string, bytes: Uint8Array): Staged =>
  written(() => {
    // If the path is a link, it stays one.
    const target = realpathSync(path);
    const beside = `${target}.new`;
    writeBeside(beside, bytes, statSync(target));
    return {
      place: () => written(() => exchange(beside, target)),
      discard: () => rmSync(beside, { force: true }),
    };
  });

type Kept = { mode: number; uid: number; gid: number };

function writeBeside(beside: string, bytes: Uint8Array, { mode, uid, gid }: Kept): void {
  rmSync(beside, { force: true }); // what a process that died left
  const file = openSync(beside, "wx", 0o600);
  try {
    const own = fstatSync(file);
    if (own.uid !== uid || own.gid !== gid) fchownSync(file, uid, gid);
    fchmodSync(file, mode & 0o7777);
    writeFileSync(file, bytes);
    fsyncSync(file);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
}

function exchange(beside: string, target: string): void {
  renameSync(beside, target);
  try {
    const folder = openSync(dirname(target), "r");
    fsyncSync(folder);
    closeSync(folder);
  } catch {
    return; // it is in place: where a folder can't be synced, a power cut may bring the file of before back
  }
}

/** @throws SluiceError unavailable that names what the system said */
function written<T>(body: () => T): T {
  try {
    return body();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "unknown";
    throw new SluiceError("unavailable", { detail: `The routes file can't be replaced (${code}).`, cause });
  }
}
