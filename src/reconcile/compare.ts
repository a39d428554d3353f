// Compares MySQL with ClickHouse, in the same way for ledger entries and message statuses (a Stream each).
// Days whose sums differ are divided into seconds, and only seconds that differ are read row by row; under
// load those are the latest few. A row that ClickHouse lacks is pending while it may be on its way, and lost
// after that; a row that MySQL lacks is looked up again in MySQL's present state, because ClickHouse is read
// after the snapshot. Bounds: ROWS_AT_ONCE rows of each side in memory, ROWS_MAX read in one run.

import type { Books, DaySum } from "./books.ts";
import { PENDING_MS } from "./books.ts";

/** One event as either side has it: an entry, or the latest event of a message. */
export type EventRow = {
  customerId: number;
  /** entry_id and leg, or the message's id */
  eventId: string;
  /** What must be equal: op and amount, or the status. */
  value: string;
  /** The sequence of a status; 0 for entries, which never change. */
  order: number;
  atMs: number;
};
export type Second = { second: number; rows: number; fingerprint: string };

export type Stream = {
  topic: "wallet.ledger" | "sms.status";
  /** Without young rows. */
  mySeconds(day: string): Promise<Second[]>;
  theirSeconds(day: string): Promise<Second[]>;
  /** Including young rows. */
  myRows(day: string, seconds: readonly number[]): Promise<EventRow[]>;
  theirRows(day: string, seconds: readonly number[]): Promise<EventRow[]>;
  /** The same rows as MySQL has them now, outside the snapshot. */
  rowsNow(rows: readonly EventRow[]): Promise<EventRow[]>;
};

/** How far ClickHouse has read in a topic, and how long ago it last received anything from it. */
export type Reached = { newestMs: number; quietMs: number };

export type Difference = {
  /** Lost on the way: ClickHouse already has newer ones. */
  missing: EventRow[];
  /** ClickHouse has nothing newer, but it has been quiet and these are TAIL_MS old. */
  tail: EventRow[];
  /** To be sent again: `missing`, `tail` and younger rows after a tail. */
  resend: EventRow[];
  different: EventRow[];
  extra: EventRow[];
  pending: number;
  /** Rows of days with too many differences to be read. */
  unread: number;
};

const ROWS_AT_ONCE = 100_000;
/** Some 20 s of reading; if more rows differ, they have one cause, and only their number is reported. */
const ROWS_MAX = 1_000_000;
/** Seconds in one statement, so that their list stays under ClickHouse's limit of 256 KiB. */
const SECONDS_AT_ONCE = 10_000;
const TAIL_MS = 600_000;
const NOW_ROWS = 500;

/** Days on which rows that aren't young differ, and how many young rows are missing so far. */
export function daysThatDiffer(
  mine: readonly DaySum[],
  theirs: readonly DaySum[],
): { days: string[]; young: number } {
  const days = new Set<string>();
  let young = 0;
  for (const { mine: my, their } of paired(mine, theirs)) {
    if (sameSum(my, their)) continue;
    const sum = (my ?? their) as DaySum;
    if (!sum.young) days.add(sum.day);
    else young += Math.max(0, (my?.count ?? 0) - (their?.count ?? 0)) || (my === undefined ? 0 : 1);
  }
  return { days: [...days].sort(), young };
}

export type Pair = { mine: DaySum | undefined; their: DaySum | undefined };

/** Pairs the sums of both sides by customer, day, op or status, and age. */
export function paired(mine: readonly DaySum[], theirs: readonly DaySum[]): Pair[] {
  const keyOf = (sum: DaySum) => `${sum.customerId}/${sum.day}/${sum.what}/${sum.young}`;
  const pairs = new Map<string, Pair>();
  for (const sum of mine) {
    const pair = pairs.get(keyOf(sum));
    if (pair?.mine === undefined) pairs.set(keyOf(sum), { mine: sum, their: undefined });
    else pair.mine = plus(pair.mine, sum); // queued, and sending whose latest event is queued
  }
  for (const sum of theirs) {
    const pair = pairs.get(keyOf(sum));
    if (pair === undefined) pairs.set(keyOf(sum), { mine: undefined, their: sum });
    else pair.their = sum;
  }
  return [...pairs.values()];
}

function plus(a: DaySum, b: DaySum): DaySum {
  const fingerprint = String(BigInt(a.fingerprint) + BigInt(b.fingerprint));
  return { ...a, count: a.count + b.count, amount: a.amount + b.amount, fingerprint };
}

/** ClickHouse's sums of old days have no fingerprint. */
export function sameSum(mine: DaySum | undefined, their: DaySum | undefined): boolean {
  if (mine === undefined || their === undefined) return false;
  const sameRows = their.fingerprint === "" || their.fingerprint === mine.fingerprint;
  return mine.count === their.count && mine.amount === their.amount && sameRows;
}

/** Reads the rows that differ on these days. */
export async function differencesOf(
  stream: Stream,
  books: Books,
  days: readonly string[],
  reached: Reached,
): Promise<Difference> {
  const none = { missing: [], tail: [], resend: [], different: [], extra: [] };
  const found: Difference = { ...none, pending: 0, unread: 0 };
  let rowsLeft = ROWS_MAX;
  for (const day of days) {
    const seconds = await secondsThatDiffer(stream, day);
    for (const chunk of chunksOf(seconds)) {
      const rows = chunk.reduce((sum, second) => sum + second.rows, 0);
      if (rowsLeft < rows) {
        found.unread += rows;
        continue;
      }
      rowsLeft -= rows;
      const list = chunk.map(({ second }) => second);
      compareRows(found, books, reached, await stream.myRows(day, list), await stream.theirRows(day, list));
    }
  }
  found.extra = await stillExtra(stream, found.extra);
  return found;
}

async function secondsThatDiffer(stream: Stream, day: string): Promise<Second[]> {
  const theirs = new Map((await stream.theirSeconds(day)).map((s) => [s.second, s]));
  const differ: Second[] = [];
  for (const mine of await stream.mySeconds(day)) {
    const their = theirs.get(mine.second);
    theirs.delete(mine.second);
    if (their?.fingerprint === mine.fingerprint && their.rows === mine.rows) continue;
    differ.push({ ...mine, rows: Math.max(mine.rows, their?.rows ?? 0) });
  }
  return [...differ, ...theirs.values()].sort((a, b) => a.second - b.second);
}

function chunksOf(seconds: readonly Second[]): Second[][] {
  const chunks: Second[][] = [];
  let rows = 0;
  for (const second of seconds) {
    const last = chunks.at(-1);
    if (last === undefined || rows + second.rows > ROWS_AT_ONCE || last.length === SECONDS_AT_ONCE) {
      chunks.push([second]);
      rows = second.rows;
    } else {
      last.push(second);
      rows += second.rows;
    }
  }
  return chunks;
}

function compareRows(
  found: Difference,
  books: Books,
  reached: Reached,
  mine: readonly EventRow[],
  theirs: readonly EventRow[],
): void {
  const others = new Map(theirs.map((row) => [keyOf(row), row]));
  for (const row of mine) {
    const their = others.get(keyOf(row));
    others.delete(keyOf(row));
    if (their !== undefined && their.order === row.order) {
      if (their.value !== row.value) found.different.push(their);
    } else if (their !== undefined && their.order > row.order) {
      found.extra.push(their);
    } else if (row.atMs < books.cutoffMs) {
      const fate = fateOf(row, books, reached);
      if (fate !== "pending") found.resend.push(row);
      if (fate === "lost") found.missing.push(row);
      else if (fate === "tail" && row.atMs < books.nowMs - TAIL_MS) found.tail.push(row);
      else found.pending++;
    }
  }
  found.extra.push(...others.values());
}

/** `tail`: the row isn't in the outbox, and ClickHouse is quiet without having read this far. */
function fateOf(row: EventRow, books: Books, { newestMs, quietMs }: Reached): "pending" | "tail" | "lost" {
  if (row.atMs >= books.outboxFromMs) return "pending";
  if (row.atMs <= newestMs - PENDING_MS) return "lost";
  if (quietMs < PENDING_MS) return "pending"; // it is catching up
  return "tail";
}

/** Those rows that MySQL still doesn't have in this form. */
async function stillExtra(stream: Stream, rows: readonly EventRow[]): Promise<EventRow[]> {
  const extra: EventRow[] = [];
  for (let i = 0; i < rows.length; i += NOW_ROWS) {
    const chunk = rows.slice(i, i + NOW_ROWS);
    const now = new Map((await stream.rowsNow(chunk)).map((row) => [keyOf(row), row]));
    for (const row of chunk) {
      const present = now.get(keyOf(row));
      const isThere =
        present !== undefined &&
        (present.order > row.order || (present.order === row.order && present.value === row.value));
      if (!isThere) extra.push(row);
    }
  }
  return extra;
}

const keyOf = ({ customerId, eventId }: EventRow): string => `${customerId}/${eventId}`;

/** A list of these seconds for either engine's SQL. Numbers only. */
export const listOf = (seconds: readonly number[]): string => seconds.map(Number).join(",");
