// Batches as tests send them, and what became of their messages and their customer's money.

import type { Pool } from "../../src/platform/mysql.ts";
import { post, type TestCustomer } from "./ingest-process.ts";

export type Batch = {
  batch_id: string;
  type: string;
  accepted: { index: number; id: string; encoding: string; parts: number; cost: number }[];
  rejected: { index: number; code: string; detail: string }[];
  cost: number;
  balance_after: number;
  guaranteed_by?: string;
};
type StoredRow = {
  id: string;
  phone: string;
  text: string;
  reference: string | null;
};

export const phone = (n: number): string => `+98912${1_000_000 + n}`;
/** So many messages, each to a phone of its own and with a text of its own. */
export const messages = (count: number, fields: object = {}) =>
  Array.from({ length: count }, (_, n) => ({ phone: phone(n), text: `hello ${n}`, ...fields }));

export const sendBatch = (
  { url }: { url: string },
  { apiKey }: TestCustomer,
  body: unknown,
  key: string | null = null,
): Promise<Response> =>
  post(`${url}/v1/sms/batches`, apiKey, body, key === null ? {} : { "idempotency-key": key });

export const storedOf = (pool: Pool, { customerId }: TestCustomer): Promise<StoredRow[]> =>
  pool.query<StoredRow[]>("SELECT id, phone, text, reference FROM messages WHERE customer_id=? ORDER BY id", [
    customerId,
  ]);

/** All that can still be spent, and what is reserved for messages. */
export async function walletOf(pool: Pool, { customerId }: TestCustomer) {
  const [row] = await pool.query<{ balance: number; reserved: number; held: string | null }[]>(
    "SELECT balance, reserved, (SELECT SUM(granted-spent) FROM credit_leases l " +
      "WHERE l.customer_id=w.customer_id) AS held FROM wallet_accounts w WHERE customer_id=?",
    [customerId],
  );
  const held = Number(row?.held ?? 0);
  return { left: (row?.balance ?? 0) + held, reserved: (row?.reserved ?? 0) - held };
}
