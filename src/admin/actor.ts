// Who makes the changes of commands: the user of the operating system, on this host. Whoever may use the
// database may run commands, so this says who did, not who may.

import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Posting } from "../control/wallets.ts";
import { type Actor, ADMIN_NAME_CHARS_MAX } from "../core/audit.ts";
import { createIdFactory } from "../core/id.ts";
import type { Pool } from "../platform/mysql.ts";

const id = createIdFactory({ now: Date.now });

/** Changes by this user; `pool` must allow several statements. */
export const byUser = (pool: Pool): Posting => ({ pool, actor: user(), id, now: Date.now });

function user(): Actor {
  const sudo = process.env.SUDO_USER ?? "";
  return {
    via: "cli",
    who: userName().slice(0, ADMIN_NAME_CHARS_MAX),
    // Set by sudo itself; only root could forge it, who could change the database, too.
    origin: `${hostname()}${sudo === "" ? "" : ` (sudo by ${sudo})`}`.slice(0, 200),
  };
}

/** Not by userInfo(): Bun's believes USER, which may be absent, or be anything. */
function userName(): string {
  const uid = String(process.getuid?.() ?? "unknown");
  try {
    const users = readFileSync("/etc/passwd", "utf8").split("\n");
    const [name] = users.map((line) => line.split(":")).find((fields) => fields[2] === uid) ?? [];
    return name ?? `uid ${uid}`;
  } catch {
    return `uid ${uid}`;
  }
}
