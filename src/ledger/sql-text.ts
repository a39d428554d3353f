// Builds SQL text for many rows in one statement. Only numbers, ULIDs and what `quote` has escaped are put
// into it.

import { escapeSql } from "../platform/mysql.ts";

// Most texts need no escaping; this test costs a tenth of mysql2's escape.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters MySQL wants escaped
const SPECIAL = /['"\\\0\b\t\n\r\x1a]/;

/** A string literal, or NULL. */
export const quote = (value: string | null): string =>
  value === null ? "NULL" : SPECIAL.test(value) ? escapeSql(value) : `'${value}'`;

/** Bytes as a hex literal. */
export const blob = (bytes: Buffer): string => `x'${bytes.toString("hex")}'`;

/** With more keys than this, a comparison that halves them costs less than the WHENs it saves. */
const WHENS_MAX = 8;

/** All of them in order, in pieces of at most `most`; a list that is short enough stays as it is. */
export function pieces<T>(all: readonly T[], most: number): (readonly T[])[] {
  if (all.length <= most) return all.length === 0 ? [] : [all];
  const count = Math.ceil(all.length / most);
  return Array.from({ length: count }, (_, at) => all.slice(at * most, (at + 1) * most));
}

let lastSecond = -1;
let lastPrefix = "";
/** A DATETIME(3) literal in UTC. Caches the second, because consecutive calls usually share it. */
export function dateTime(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastPrefix = `'${new Date(second * 1000).toISOString().slice(0, 19).replace("T", " ")}.`;
  }
  const milli = ms - second * 1000;
  return `${lastPrefix}${milli < 10 ? "00" : milli < 100 ? "0" : ""}${milli}'`;
}

/**
 * An expression for what each row gets, by its key: the value itself if all get the same, else a CASE, which
 * costs half of a join with a VALUES table. MySQL compares a row with one WHEN after the other, so keys are
 * halved until WHENS_MAX are left. `otherwise` is for all other keys. All values are SQL text.
 */
export function byKey(
  column: string,
  values: readonly (readonly [key: number | string, value: number | string])[],
  otherwise: number | string,
): string {
  const first = values[0]?.[1] ?? otherwise;
  if (values.every(([, value]) => value === first)) return String(first);
  const others = values.filter(([, value]) => value !== otherwise).sort(([a], [b]) => (a < b ? -1 : 1));
  const among = (from: number, to: number): string => {
    if (to - from > WHENS_MAX) {
      const half = (from + to) >> 1;
      return `IF(${column}<${others[half]?.[0]},${among(from, half)},${among(half, to)})`;
    }
    let sql = `CASE ${column}`;
    for (const [key, value] of others.slice(from, to)) sql += ` WHEN ${key} THEN ${value}`;
    return `${sql} ELSE ${otherwise} END`;
  };
  return among(0, others.length);
}

/** `ROW(a,b),ROW(c,d)` for a VALUES table. */
export const rows = (values: readonly (readonly (number | string)[])[]): string =>
  values.map((row) => `ROW(${row.join(",")})`).join(",");
