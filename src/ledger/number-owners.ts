// Whose number an inbound message came to. Leaves registering numbers to src/customers/numbers.ts.
// Operators write a number with or without its country, or with its trunk prefix: it matches as it is
// registered, or, if the registered one has no country, behind that of its customer's region.
// Invariant: a message has one owner at most; but STOP and START, which are none of a shared number's
// keywords, are for all of its owners, also beside one for everything else, so nobody goes on sending to a
// phone that said STOP. Bound: NUMBER_KEYWORDS_MAX rows.

import { foldDigits } from "../core/fold.ts";
import { NUMBER_KEYWORDS_MAX } from "../core/inbound-limits.ts";
import type { Command } from "../core/opt-out-words.ts";
import { isRegistrable, senderKey } from "../core/opt-out.ts";
import { callingCodeOf } from "../core/phone.ts";
import type { Connection } from "../platform/mysql.ts";
import { quote } from "./sql-text.ts";

export type NumberOwner = {
  customerId: number;
  /** As registered. */
  number: string;
  /** "" for whatever begins with none of the others. */
  keyword: string;
  region: string;
  /** Whether the customer has a URL, at which it is told. */
  hasUrl: boolean;
};

type Row = { customer_id: number; number: string; keyword: string; region: string; url: string | null };

const CALLING_CODE_DIGITS_MAX = 3;

/** All that is registered for a number as an operator writes it. */
export async function findNumbers(conn: Pick<Connection, "query">, to: string): Promise<NumberOwner[]> {
  const key = senderKey(foldDigits(to));
  if (!isRegistrable(key)) return [];
  const isNumber = /^\d+$/.test(key);
  const candidates = [key];
  for (let digits = 1; isNumber && digits <= CALLING_CODE_DIGITS_MAX && digits < key.length; digits++)
    candidates.push(key.slice(digits));
  const rows = await conn.query<Row[]>(
    "SELECT n.customer_id, n.number, n.keyword, c.region, w.url FROM inbound_numbers AS n " +
      "FORCE INDEX (PRIMARY) JOIN customers AS c ON c.customer_id=n.customer_id " +
      "LEFT JOIN webhooks AS w ON w.customer_id=n.customer_id " +
      `WHERE n.number IN (${candidates.map(quote)}) ORDER BY n.number, n.keyword ` +
      `LIMIT ${candidates.length * NUMBER_KEYWORDS_MAX}`,
  );
  const exact = rows.filter(({ number }) => number === key);
  const found =
    exact.length > 0 ? exact : rows.filter(({ number, region }) => callingCodeOf(region) + number === key);
  return found.map(({ customer_id, url, ...row }) => ({
    ...row,
    customerId: customer_id,
    hasUrl: url !== null,
  }));
}

/** `keyword`: the first word of the text, folded; `commandOf`: what the text asks for in a region. */
export function ownersOf(
  numbers: readonly NumberOwner[],
  { keyword, commandOf }: { keyword: string; commandOf: (region: string) => Command | null },
): NumberOwner[] {
  const named = keyword === "" ? undefined : numbers.find((one) => one.keyword === keyword);
  if (named !== undefined) return [named];
  const rest = numbers.filter((one) => one.keyword === "");
  const commands = numbers.map(({ region }) => commandOf(region));
  if (rest.length > 0 && !commands.some((command) => command === "stop" || command === "start")) return rest;
  const commanded = numbers.filter((_, at) => commands[at] !== null);
  return [...new Map([...commanded, ...rest].map((one) => [one.customerId, one])).values()];
}
