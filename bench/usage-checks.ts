// The comparisons of bench/usage.ts, one customer after the other: asks the API for each list, in all its
// forms, and collects every difference from the books. Leaves judging a list to usage-compare.ts.

import type { Interval, UsageKey } from "../src/reports/params.ts";
import type { BenchCustomer } from "./harness.ts";
import { exportOf, pagesOf, walletAt } from "./usage-api.ts";
import type { Sums } from "./usage-books.ts";
import {
  type BookEntry,
  type BookMessage,
  differencesOf,
  type Fields,
  messagesBook,
  statementBook,
  statementKeyOf,
  usageBook,
  usageKeyOf,
  walletOf,
} from "./usage-compare.ts";

/** In Unix milliseconds: all messages were accepted within. */
export type Window = { fromMs: number; toMs: number };
export type Checks = {
  usage(customer: BenchCustomer, messages: readonly BookMessage[]): Promise<void>;
  /** The sums of all customers, once `usage` has been called for each. */
  totals(sums: Sums): void;
  messages(customer: BenchCustomer, messages: readonly BookMessage[]): Promise<void>;
  /** Also compares the wallet with the sum of its statement. `byPages`: instead of an export. */
  statement(customer: BenchCustomer, entries: readonly BookEntry[], byPages: boolean): Promise<void>;
  result(): { failures: string[]; rows: number; cuts: number };
};

const INTERVALS = ["minute", "hour", "day"] as const satisfies readonly Interval[];
const ALL: readonly UsageKey[] = ["lane", "status", "prefix"];
const BYS: readonly (readonly UsageKey[])[] = [[], ["status"], ALL];
const FORMATS = ["csv", "ndjson"] as const;
const SUMS = ["messages", "parts", "cost", "refunded"] as const satisfies readonly (keyof Sums)[];
const [USAGE, MESSAGES, STATEMENT] = ["/v1/reports/usage", "/v1/reports/messages", "/v1/wallet/ledger"];
/** Of a row of an export, at least: to break it off somewhere within. */
const ROW_BYTES = 150;
const CUTS = 2;

export function createChecks({
  origin,
  window,
  random,
}: {
  origin: string;
  window: Window;
  random: () => number;
}): Checks {
  const failures: string[] = [];
  let [compared, cuts] = [0, 0];
  const all = Object.fromEntries(INTERVALS.map((interval) => [interval, noSums()]));
  const period = { from: new Date(window.fromMs).toISOString(), to: new Date(window.toMs).toISOString() };
  const callerOf = ({ apiKey }: BenchCustomer) => ({ origin, apiKey });
  const compare = (what: string, book: ReadonlyMap<string, Fields>, rows: [string, Fields][]) => {
    compared += rows.length;
    failures.push(...differencesOf(what, book, rows));
  };
  /** Where requests of an export of so many rows are broken off. */
  const cutsIn = (rows: number): number[] => {
    if (rows === 0) return [];
    cuts += CUTS;
    return Array.from({ length: CUTS }, () => Math.floor((random() * rows * ROW_BYTES) / CUTS));
  };

  return {
    async usage(customer, messages) {
      const name = `usage of customer ${customer.customerId}`;
      for (const interval of INTERVALS)
        for (const by of BYS) {
          const query = { interval, by: by.join(",") || "none", ...period };
          const rows = await pagesOf(callerOf(customer), USAGE, "usage", { ...query, limit: "1000" });
          const what = `${name} by ${interval}, ${query.by}`;
          compare(what, usageBook(messages, interval, by), keyedBy(by, rows));
          if (by.length === 0) for (const row of rows) add(all[interval] as Sums, row);
        }
      const book = usageBook(messages, "minute", ALL);
      for (const format of FORMATS) {
        const query = { format, interval: "minute", by: ALL.join(","), ...period };
        const { rows } = await exportOf(callerOf(customer), USAGE, query, cutsIn(book.size));
        compare(`${name} as ${format}`, book, keyedBy(ALL, rows));
      }
    },
    totals(sums) {
      for (const interval of INTERVALS)
        for (const name of SUMS)
          if (all[interval]?.[name] !== sums[name])
            failures.push(`${name} of all usage by ${interval}: ${all[interval]?.[name]}, not ${sums[name]}`);
    },
    async messages(customer, messages) {
      const book = messagesBook(messages);
      for (const format of FORMATS) {
        const query = { format, ...period };
        const { rows } = await exportOf(callerOf(customer), MESSAGES, query, cutsIn(book.size));
        const keyed = rows.map((row): [string, Fields] => [String(row.id), row]);
        compare(`messages of customer ${customer.customerId} as ${format}`, book, keyed);
      }
    },
    async statement(customer, entries, byPages) {
      const { customerId } = customer;
      const caller = callerOf(customer);
      const compareWith = (what: string, rows: Fields[], beforeMs: number) => {
        const keyed = rows.map((row): [string, Fields] => [statementKeyOf(row), row]);
        compare(`statement of customer ${customerId} ${what}`, statementBook(entries, beforeMs), keyed);
      };
      let rows: Fields[] = [];
      for (const format of FORMATS) {
        const exported = await exportOf(caller, STATEMENT, { format }, cutsIn(byPages ? 0 : entries.length));
        compareWith(`as ${format}`, exported.rows, exported.asOfMs);
        rows = exported.rows;
      }
      if (byPages) {
        rows = await pagesOf(caller, STATEMENT, "entries", { limit: "1000" });
        compareWith("by pages", rows, Number.POSITIVE_INFINITY);
      }
      const wallet = new Map([[`wallet of customer ${customerId}`, walletOf(rows)]]);
      compare("sum of the statement", wallet, [[`wallet of customer ${customerId}`, await walletAt(caller)]]);
    },
    result: () => ({ failures, rows: compared, cuts }),
  };
}

const noSums = (): Sums => ({ messages: 0, parts: 0, cost: 0, refunded: 0 });

function add(sums: Sums, row: Fields): void {
  for (const name of SUMS) sums[name] += Number(row[name]);
}

const keyedBy = (by: readonly UsageKey[], rows: readonly Fields[]): [string, Fields][] =>
  rows.map((row) => [usageKeyOf(row, by), row]);
