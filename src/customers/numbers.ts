// The numbers at which customers are reached: who owns what comes in there, whole or by keyword. Leaves
// finding the owner of a message to src/ledger/number-owners.ts.
// Invariant: a number and keyword have one owner. Bound: NUMBER_KEYWORDS_MAX rows of one number.

import { SluiceError } from "../core/errors.ts";
import { fold } from "../core/fold.ts";
import { KEYWORD_CHARS_MAX, NUMBER_KEYWORDS_MAX } from "../core/inbound-limits.ts";
import { commandOf } from "../core/opt-out-words.ts";
import { isRegistrable, senderKey } from "../core/opt-out.ts";
import { senderProblem } from "../core/parts.ts";
import { isError } from "../platform/mysql-errors.ts";
import type { Pool } from "../platform/mysql.ts";
import { requireCustomer } from "./customers.ts";

type RegisteredNumber = {
  number: string;
  /** null: whatever begins with none of the number's keywords. */
  keyword: string | null;
  customer_id: string;
  created_at: string;
};

/** As they are stored. @throws SluiceError validation_failed */
function registered(number: string, keyword: string | null): { number: string; keyword: string } {
  const folded = keyword === null ? "" : fold(keyword);
  const errors: { field: string; reason: string }[] = [];
  const key = senderKey(number);
  const problem =
    senderProblem(number) ?? (isRegistrable(key) ? null : "must be a number, or a name in ASCII");
  if (problem !== null) errors.push({ field: "number", reason: problem });
  const isWord = folded !== "" && !folded.includes(" ") && folded.length <= KEYWORD_CHARS_MAX;
  if (keyword !== null && !isWord)
    errors.push({ field: "keyword", reason: `must be one word of at most ${KEYWORD_CHARS_MAX} characters` });
  else if (keyword !== null && commandOf(keyword, "") !== null)
    errors.push({ field: "keyword", reason: "must not be a word by which phones opt out or in" });
  if (errors.length > 0) throw new SluiceError("validation_failed", { errors });
  return { number: key, keyword: folded };
}

/** @throws SluiceError not_found; validation_failed, also if it has an owner */
export async function addNumber(
  pool: Pool,
  customerId: number,
  number: string,
  keyword: string | null,
): Promise<void> {
  const row = registered(number, keyword);
  await requireCustomer(pool, customerId);
  const [count] = await pool.query<{ n: number }[]>(
    "SELECT COUNT(*) AS n FROM inbound_numbers WHERE number=?",
    [row.number],
  );
  if (Number(count?.n ?? 0) >= NUMBER_KEYWORDS_MAX)
    throw refused("number", `has ${NUMBER_KEYWORDS_MAX} keywords already`);
  try {
    await pool.write("INSERT INTO inbound_numbers (number, keyword, customer_id) VALUES (?, ?, ?)", [
      row.number,
      row.keyword,
      customerId,
    ]);
  } catch (error) {
    if (!isError(error, "duplicate")) throw error;
    throw refused(keyword === null ? "number" : "keyword", "has an owner already (number list shows it)");
  }
}

const refused = (field: string, reason: string): SluiceError =>
  new SluiceError("validation_failed", { errors: [{ field, reason }] });

/** Returns whose it was. @throws SluiceError not_found, validation_failed */
export async function removeNumber(pool: Pool, number: string, keyword: string | null): Promise<number> {
  const row = registered(number, keyword);
  const [owner] = await pool.query<{ customer_id: number }[]>(
    "SELECT customer_id FROM inbound_numbers WHERE number=? AND keyword=?",
    [row.number, row.keyword],
  );
  const { affectedRows } = await pool.write("DELETE FROM inbound_numbers WHERE number=? AND keyword=?", [
    row.number,
    row.keyword,
  ]);
  if (affectedRows === 0 || owner === undefined)
    throw new SluiceError("not_found", { detail: "Nobody has this number or keyword." });
  return Number(owner.customer_id);
}

/** All numbers, or those of one customer, by number. */
export async function listNumbers(pool: Pool, customerId: number | null): Promise<RegisteredNumber[]> {
  const rows = await pool.query<{ number: string; keyword: string; customer_id: number; created_at: Date }[]>(
    "SELECT number, keyword, customer_id, created_at FROM inbound_numbers " +
      `${customerId === null ? "" : "WHERE customer_id=? "}ORDER BY number, keyword`,
    customerId === null ? [] : [customerId],
  );
  return rows.map(({ keyword, customer_id, created_at, number }) => ({
    number,
    keyword: keyword === "" ? null : keyword,
    customer_id: String(customer_id),
    created_at: created_at.toISOString(),
  }));
}
