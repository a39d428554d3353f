// `dlq`: lists dead letters, shows one with its bytes, puts them back where they came from, and drops one.
// Leaves whether a letter may go back to src/ledger/requeue-letter.ts. Exit code 1: a letter wasn't requeued.
// Bound: LETTERS_AT_ONCE_MAX letters a command, BYTES_SHOWN_MAX bytes of one.

import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { audited } from "../control/audit.ts";
import { LETTER_SOURCES, type LetterSource } from "../core/dead-letter.ts";
import { LETTERS_AT_ONCE_MAX } from "../core/limits.ts";
import { dropLetter, type LetterRow, listLetters } from "../ledger/dead-letters.ts";
import { lookAtLetter, type Requeue, requeueLetter } from "../ledger/requeue-letter.ts";
import type { Pool } from "../platform/mysql.ts";
import { say } from "../platform/output.ts";
import { columns } from "./columns.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, withDatabase } from "./database.ts";
import { oneOf, wholeNumber } from "./options.ts";

type Source = { source?: LetterSource };

const LISTED_DEFAULT = 100;
const BYTES_SHOWN_MAX = 512;

const anyId = wholeNumber(1, Number.MAX_SAFE_INTEGER);
const ids = (given: string, before: number[] = []): number[] => {
  before.push(anyId(given));
  return before;
};
const aSource = oneOf(...LETTER_SOURCES);
const SOURCES = LETTER_SOURCES.join(", ");

export function declareDeadLetters(program: Command): void {
  const dlq = program
    .command("dlq")
    .description("list, show, requeue and drop dead letters: what can't be read or sent");
  dlq
    .command("list")
    .description("list letters, oldest first: where each comes from, and why it could not be read or sent")
    .option("--source <source>", `only of this source: ${SOURCES}`, aSource)
    .option("--limit <n>", "at most this many", wholeNumber(1, LETTERS_AT_ONCE_MAX), LISTED_DEFAULT)
    .option(...jsonFlag)
    .action((options: Json & Source & { limit: number }) =>
      withDatabase(async (pool) => {
        const { source = null, limit, json } = options;
        const letters = await listLetters(pool, { source, limit });
        say(json ? JSON.stringify({ letters: letters.map(jsonOf) }) : asTable(letters, limit));
      }),
    );
  dlq
    .command("show")
    .description("show a letter, its bytes, and what requeuing it would do")
    .argument("<id>", "from `dlq list`", anyId)
    .option("--out <file>", "write the bytes, as they came, to this new file")
    .option(...jsonFlag)
    .action((id: number, options: Json & { out?: string }) =>
      withDatabase((pool) => show(pool, id, options)),
    );
  dlq
    .command("requeue")
    .description(
      "put letters back where they came from, once each; a message that was refunded, or that moved on, is " +
        "not sent by its letter. Exit 1 if a letter stays, with the reason",
    )
    .argument("[ids...]", "from `dlq list`", ids)
    .option("--source <source>", `the oldest ${LETTERS_AT_ONCE_MAX} of this source: ${SOURCES}`, aSource)
    .option(...jsonFlag)
    .action((given: number[], options: Json & Source) =>
      withDatabase((pool) => requeue(pool, given, options)),
    );
  dlq
    .command("drop")
    .description("delete a letter for good")
    .argument("<id>", "from `dlq list`", anyId)
    .option("--confirm <id>", "the same id again", anyId)
    .option(...jsonFlag)
    .action((id: number, options: Json & { confirm?: number }) =>
      withDatabase((pool) => drop(pool, id, options)),
    );
}

const missing = (id: number) => new Error(`no dead letter ${id}; see: ./sluice dlq list`);

async function show(pool: Pool, id: number, options: Json & { out?: string }): Promise<void> {
  const found = await lookAtLetter(pool, id);
  if (found === null) throw missing(id);
  const { payload, ...letter } = found.letter;
  if (options.out !== undefined) writeFileSync(options.out, payload, { flag: "wx", mode: 0o600 });
  const row = jsonOf({ ...letter, bytes: payload.length });
  if (options.json)
    return say(JSON.stringify({ ...row, requeue: found.requeue, base64: payload.toString("base64") }));
  for (const [name, value] of Object.entries(row)) say(`${name}: ${printable(String(value))}`);
  say(`requeue: ${told(id, found.requeue, "it would go")}`);
  say(hexDump(payload.subarray(0, BYTES_SHOWN_MAX)));
  if (payload.length > BYTES_SHOWN_MAX)
    say(`the first ${BYTES_SHOWN_MAX} of ${payload.length} bytes: --out FILE writes all of them`);
}

async function requeue(pool: Pool, given: readonly number[], options: Json & Source): Promise<void> {
  const { source, json = false } = options;
  if (given.length > 0 === (source !== undefined))
    throw new Error("name letters by their ids, or all of a source with --source");
  if (given.length > LETTERS_AT_ONCE_MAX) throw new Error(`at most ${LETTERS_AT_ONCE_MAX} letters at once`);
  const wanted =
    source === undefined
      ? [...new Set(given)]
      : (await listLetters(pool, { source, limit: LETTERS_AT_ONCE_MAX })).map(({ id }) => id);
  const results: { id: number; result: Requeue | null }[] = [];
  for (const id of wanted) {
    const result = await audited(byUser(pool), async (tx) => {
      const done = await requeueLetter(tx, id);
      const change = { action: "letter.requeue", subject: String(id) } as const;
      return { result: done, change: done?.kind === "requeued" ? change : null };
    });
    results.push({ id, result });
    if (!json) say(`${id}: ${result === null ? missing(id).message : told(id, result, "back")}`);
  }
  const letters = results.map(({ id, result }) => ({ id, ...(result ?? { kind: "missing" }) }));
  if (json) say(JSON.stringify({ letters }));
  else if (letters.length === 0) say(`no dead letters of source ${source}`);
  if (results.some(({ result }) => result?.kind !== "requeued")) process.exitCode = 1;
}

async function drop(pool: Pool, id: number, options: Json & { confirm?: number }): Promise<void> {
  const found = await lookAtLetter(pool, id);
  if (found === null) throw missing(id);
  if (options.confirm !== id) {
    const { source, place, reason, payload } = found.letter;
    throw new Error(
      `this deletes letter ${id} for good (${printable(`${source} ${place}`)}, ${payload.length} bytes: ` +
        `${printable(reason)}); to do it: ./sluice dlq drop ${id} --confirm ${id}`,
    );
  }
  const { source, place, reason } = found.letter;
  const isDropped = await audited(byUser(pool), async (tx) => {
    const done = await dropLetter(tx, id);
    const change = { action: "letter.drop", subject: String(id), old: { source, place, reason } } as const;
    return { result: done, change: done ? change : null };
  });
  if (!isDropped) throw missing(id);
  say(options.json ? JSON.stringify({ id, dropped: true }) : `${id}: dropped`);
}

const jsonOf = ({ id, source, place, reason, createdAtMs, bytes }: LetterRow) => ({
  id,
  source,
  place,
  reason,
  created_at: new Date(createdAtMs).toISOString(),
  bytes,
});

/** One line about what requeuing did, or would do; `goes` begins it where the letter goes back. */
export function told(id: number, result: Requeue, goes: string): string {
  switch (result.kind) {
    case "unreadable":
      return `not possible: it still can't be read (${result.reason})`;
    case "over":
      return (
        `not possible: no message of it may be sent by this letter (${listed(result)}); ` +
        `to forget it: ./sluice dlq drop ${id} --confirm ${id}`
      );
    case "requeued":
      if (result.into !== "outbox") {
        const into = result.into === "inbox" ? "the inbox" : result.into;
        return `${goes} to ${into}; if it still can't be read there, it becomes a letter again`;
      }
      if (result.messages.length === 0) return `${goes} to the outbox, for the report`;
      return (
        `${goes} to the outbox; messages to send: ${result.messages.join(", ")}` +
        (result.over.length === 0 ? "" : `; not to send: ${listed(result)}`)
      );
  }
}

const listed = ({ over }: { over: readonly { id: string; why: string }[] }): string =>
  over.length === 0 ? "it has none" : over.map(({ id, why }) => `${id} is ${why}`).join("; ");

const HEADS = ["id", "source", "place", "since", "bytes", "reason"] as const;

export function asTable(letters: readonly LetterRow[], limit: number): string {
  if (letters.length === 0) return "no dead letters";
  const cells = letters.map(({ id, source, place, createdAtMs, bytes, reason }) => [
    String(id),
    source,
    printable(place),
    new Date(createdAtMs).toISOString(),
    String(bytes),
    printable(reason),
  ]);
  const cut = letters.length === limit ? [`the first ${limit}: --limit shows more`] : [];
  return [...columns(HEADS, cells, [1, 2, 3, 5]), ...cut].join("\n");
}

/** Reasons may quote what came. */
const printable = (text: string): string => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?");

/** Lines of 16 bytes: offset, hexadecimal, and what of it is printable ASCII. */
export function hexDump(bytes: Buffer): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = bytes.subarray(at, at + 16);
    const hex = (part.toString("hex").match(/../g) ?? []).join(" ");
    const text = part.toString("latin1").replace(/[^\x20-\x7e]/g, ".");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${hex.padEnd(47)}  ${text}`);
  }
  return lines.length === 0 ? "(no bytes)" : lines.join("\n");
}
