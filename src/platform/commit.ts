// The commit of the checkout that this process runs, read once, when it starts: later another one's files may
// lie there. Read from .git itself: git need not be installed, and refuses a checkout that belongs to another
// user, as /opt/sluice does for its roles.

import { readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const SHOWN_CHARS = 12;

/** The first digits of the commit that is checked out in `root`; empty if that is no checkout. */
export function commitOf(root: string): string {
  try {
    const folder = gitFolder(root);
    const head = lineOf(join(folder, "HEAD"));
    const [, ref] = /^ref: (.*)$/.exec(head) ?? [];
    const commit = ref === undefined ? head : commitAt(ref, folder);
    return /^[0-9a-f]{40,64}$/.test(commit) ? commit.slice(0, SHOWN_CHARS) : "";
  } catch {
    return ""; // no checkout, or one that this user can't read
  }
}

/** Of a worktree `.git` is a file that names its folder. */
function gitFolder(root: string): string {
  const path = join(root, ".git");
  if (statSync(path).isDirectory()) return path;
  return resolve(root, lineOf(path).replace(/^gitdir: /, ""));
}

function commitAt(ref: string, folder: string): string {
  const shared = resolve(folder, tried(() => lineOf(join(folder, "commondir"))) ?? ".");
  const loose = tried(() => lineOf(join(shared, ref)));
  if (loose !== null) return loose;
  const packed = readFileSync(join(shared, "packed-refs"), "utf8").split("\n");
  return packed.find((line) => line.endsWith(` ${ref}`))?.split(" ", 1)[0] ?? "";
}

const lineOf = (path: string): string => readFileSync(path, "utf8").trim();

function tried<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** Of this checkout. */
export const COMMIT = commitOf(fileURLToPath(new URL("../..", import.meta.url)));
