// What bench/usage.ts compares, as pure functions: from the rows of MySQL they make the lists that usage and
// exports must answer, and they name every row in which an answer differs. Leaves reading both sides to
// usage-books.ts and usage-api.ts. Invariant: a row that is missing, there twice, in no book, or has one
// other figure is a difference. Bound: SHOWN_MAX differences of a list are shown; the others are counted.

import type { Interval, UsageKey } from "../src/reports/params.ts";

/** A message, and what the ledger says of it. */
export type BookMessage = {
  id: string;
  lane: string;
  status: string;
  phone: string;
  /** The calling code of its phone, with the plus. */
  prefix: string;
  parts: number;
  /** parts × price, whether that was reserved or not. */
  price: number;
  /** What was reserved for it and not given back. */
  cost: number;
  refunded: number;
  reference: string | null;
  createdAtMs: number;
};
/** An entry as statements have it: grants and releases are none. */
export type BookEntry = { entryId: string; op: string; amount: number; createdAtMs: number };

type Cell = string | number | null | undefined;
export type Fields = Readonly<Record<string, Cell>>;
/** A list that has each row once: what its rows must hold, by what tells them apart. */
export type Book = ReadonlyMap<string, Fields>;

const SHOWN_MAX = 20;
const PERIOD_MS: Record<Interval, number> = { minute: 60_000, hour: 3_600_000, day: 86_400_000 };

/** Compares the fields of the book's rows; a null and an empty text are one, as CSV has no other. */
export function differencesOf(
  what: string,
  book: Book,
  rows: Iterable<readonly [key: string, fields: Fields]>,
): string[] {
  const found: string[] = [];
  const seen = new Set<string>();
  for (const [key, fields] of rows) {
    const wanted = book.get(key);
    if (wanted === undefined) found.push(`${key} should not be there`);
    else if (seen.has(key)) found.push(`${key} is there twice`);
    else
      for (const [name, value] of Object.entries(wanted))
        if (textOf(fields[name]) !== textOf(value))
          found.push(`${key}: ${name} is ${textOf(fields[name])}, not ${textOf(value)}`);
    seen.add(key);
  }
  for (const key of book.keys()) if (!seen.has(key)) found.push(`${key} is missing`);
  const shown = found.slice(0, SHOWN_MAX).map((difference) => `${what}: ${difference}`);
  return found.length > SHOWN_MAX
    ? [...shown, `${what}: and ${found.length - SHOWN_MAX} differences more`]
    : shown;
}

const textOf = (cell: Cell): string => String(cell ?? "");

/** The rows of GET /v1/reports/usage. */
export function usageBook(
  messages: readonly BookMessage[],
  interval: Interval,
  by: readonly UsageKey[],
): Book {
  const periodMs = PERIOD_MS[interval];
  const starts = new Map<number, string>();
  const sums = new Map<string, { figures: Record<string, number>; phones: Set<string> }>();
  for (const message of messages) {
    const startMs = Math.floor(message.createdAtMs / periodMs) * periodMs;
    const start = starts.get(startMs) ?? new Date(startMs).toISOString();
    starts.set(startMs, start);
    const key = usageKeyOf({ ...message, start }, by);
    const { figures, phones } = sums.get(key) ?? {
      figures: { messages: 0, parts: 0, cost: 0, refunded: 0 },
      phones: new Set<string>(),
    };
    figures.messages = (figures.messages ?? 0) + 1;
    for (const name of ["parts", "cost", "refunded"] as const)
      figures[name] = (figures[name] ?? 0) + message[name];
    phones.add(message.phone);
    sums.set(key, { figures, phones });
  }
  return new Map(
    [...sums].map(([key, { figures, phones }]) => [key, { ...figures, unique_phones: phones.size }]),
  );
}

/** What tells a row of usage apart. */
export const usageKeyOf = (row: Fields, by: readonly UsageKey[]): string =>
  [row.start, ...by.map((key) => row[key])].map(textOf).join(" ");

/** The rows of an export of GET /v1/reports/messages, by id. */
export const messagesBook = (messages: readonly BookMessage[]): Book =>
  new Map(
    messages.map(({ id, phone, lane, status, parts, price, reference, createdAtMs }) => [
      id,
      {
        phone,
        type: lane,
        status,
        parts,
        cost: price,
        reference,
        created_at: new Date(createdAtMs).toISOString(),
      },
    ]),
  );

/** The rows of GET /v1/wallet/ledger: the entries before that moment, in Unix milliseconds. */
export const statementBook = (entries: readonly BookEntry[], beforeMs: number): Book =>
  new Map(
    entries
      .filter(({ createdAtMs }) => createdAtMs < beforeMs)
      .map(({ entryId, op, amount, createdAtMs }) => [
        statementKeyOf({ entry_id: entryId, op }),
        {
          amount,
          message_id: OF_A_MESSAGE.has(op) ? entryId : null,
          created_at: new Date(createdAtMs).toISOString(),
        },
      ]),
  );

const OF_A_MESSAGE: ReadonlySet<string> = new Set(["reserve", "capture", "refund"]);
export const statementKeyOf = ({ entry_id, op }: Fields): string => `${textOf(op)} ${textOf(entry_id)}`;

/** What an entry does with the two figures of a wallet. */
const EFFECT: Readonly<Record<string, { balance: number; reserved: number }>> = {
  topup: { balance: 1, reserved: 0 },
  adjust_up: { balance: 1, reserved: 0 },
  adjust_down: { balance: -1, reserved: 0 },
  reserve: { balance: -1, reserved: 1 },
  capture: { balance: 0, reserved: -1 },
  refund: { balance: 1, reserved: -1 },
};

/** The wallet that a whole statement adds up to. @throws Error for an op that no statement has */
export function walletOf(rows: readonly Fields[]): { balance: number; reserved: number } {
  const wallet = { balance: 0, reserved: 0 };
  for (const { op, amount } of rows) {
    const effect = EFFECT[textOf(op)];
    if (effect === undefined) throw new Error(`a statement has no ${textOf(op)}`);
    wallet.balance += effect.balance * Number(amount);
    wallet.reserved += effect.reserved * Number(amount);
  }
  return wallet;
}
