// What a customer has set about its webhooks: its URL, the statuses it wants to be told, whether it is
// told of endpoints that take no calls any more, below which credit it is told so, and the secrets that
// sign its calls. A secret can't be stored as a hash, because every call needs it; it is shown once, when
// it is made. Leaves deliveries and endpoints to src/ledger/webhook-*.ts. Invariant: every change is one
// of the customer's row too, so processes that cache customers see it within 2 s. Bound: two secrets, so
// that receivers can change theirs while both sign. Source: Standard Webhooks, "Signature scheme": whsec_
// and 24 to 64 random bytes in base64.

import { randomBytes } from "node:crypto";
import { ALL_STATUSES, maskOf, statusesOf } from "../core/callback.ts";
import { callbackUrlProblem, type UrlRules } from "../core/callback-url.ts";
import { SluiceError } from "../core/errors.ts";
import { WEBHOOK_OLD_SECRET_MS } from "../core/webhook-limits.ts";
import type { Status } from "../core/message.ts";
import type { Connection, Pool } from "../platform/mysql.ts";

const SECRET_BYTES = 32;

/** Fields left out stay as they are. */
export type WebhookChange = {
  /** null: only messages with a callback_url are told. */
  url?: string | null;
  statuses?: readonly Status[];
  /** Whether an event says that an endpoint takes no calls any more. */
  tellPauses?: boolean;
  /** Below which credit, in minor units, an event says so; null: none does. */
  lowBalance?: number | null;
};
export type WebhookSettings = {
  url: string | null;
  statuses: Status[];
  tellPauses: boolean;
  lowBalance: number | null;
  /** Until when the secret before the present one signs too. */
  oldSecretUntil: string | null;
};

const newSecret = (): string => `whsec_${randomBytes(SECRET_BYTES).toString("base64")}`;

/**
 * Sets up or changes a customer's webhook; returns the secret if this made one, null if there was one. Tells
 * everything, pauses too, unless it says what. @throws SluiceError not_found, validation_failed
 */
export async function setWebhook(
  pool: Pool,
  customerId: number,
  { url, statuses, tellPauses, lowBalance }: WebhookChange,
  rules: UrlRules,
): Promise<string | null> {
  const problem = typeof url === "string" ? callbackUrlProblem(url, rules) : null;
  if (problem !== null)
    throw new SluiceError("validation_failed", { errors: [{ field: "url", reason: problem }] });
  const secret = newSecret();
  const mask = statuses === undefined ? undefined : maskOf(statuses);
  return change(pool, customerId, async (conn) => {
    const known = await conn.query("SELECT 1 FROM webhooks WHERE customer_id=? FOR UPDATE", [customerId]);
    if (known.length === 0) {
      await conn.write(
        "INSERT INTO webhooks (customer_id, url, statuses, tell_pauses, low_balance, secret) " +
          "VALUES (?, ?, ?, ?, ?, ?)",
        [customerId, url ?? null, mask ?? ALL_STATUSES, tellPauses ?? true, lowBalance ?? null, secret],
      );
      return secret;
    }
    if (url !== undefined)
      await conn.write("UPDATE webhooks SET url=? WHERE customer_id=?", [url, customerId]);
    if (mask !== undefined)
      await conn.write("UPDATE webhooks SET statuses=? WHERE customer_id=?", [mask, customerId]);
    if (tellPauses !== undefined)
      await conn.write("UPDATE webhooks SET tell_pauses=? WHERE customer_id=?", [tellPauses, customerId]);
    if (lowBalance !== undefined)
      // Nobody looks without a threshold, so with the next one a fall is told anew.
      await conn.write(
        "UPDATE webhooks SET low_balance=?, is_low=is_low AND ? IS NOT NULL WHERE customer_id=?",
        [lowBalance, lowBalance, customerId],
      );
    return null;
  });
}

/**
 * Makes a new secret and returns it. The one before signs too for WEBHOOK_OLD_SECRET_MS, or not at all if
 * `now`. @throws SluiceError not_found; validation_failed if two are in use already
 */
export function rotateSecret(pool: Pool, customerId: number, now: boolean): Promise<string> {
  const secret = newSecret();
  return change(pool, customerId, async (conn) => {
    const [row] = await conn.query<{ two: 0 | 1 }[]>(
      "SELECT COALESCE(old_secret_until > NOW(3), 0) AS two FROM webhooks WHERE customer_id=? FOR UPDATE",
      [customerId],
    );
    if (row === undefined) throw noWebhook(customerId);
    if (row.two === 1 && !now) {
      const reason = "is still being changed: the secret before it is in use (--now ends both)";
      throw new SluiceError("validation_failed", { errors: [{ field: "secret", reason }] });
    }
    const old = now
      ? "old_secret=NULL, old_secret_until=NULL"
      : `old_secret=secret, old_secret_until=NOW(3) + INTERVAL ${WEBHOOK_OLD_SECRET_MS * 1_000} MICROSECOND`;
    await conn.write(`UPDATE webhooks SET ${old}, secret=? WHERE customer_id=?`, [secret, customerId]);
    return secret;
  });
}

/** Messages accepted from now on are told to nobody. Returns false if there was nothing to remove. */
export const removeWebhook = (pool: Pool, customerId: number): Promise<boolean> =>
  change(pool, customerId, async (conn) => {
    const { affectedRows } = await conn.write("DELETE FROM webhooks WHERE customer_id=?", [customerId]);
    return affectedRows > 0;
  });

type SettingsRow = {
  url: string | null;
  statuses: number;
  tell_pauses: 0 | 1;
  low_balance: number | null;
  old_secret_until: Date | null;
};

/** Without the secrets. @throws SluiceError not_found */
export async function readWebhook(pool: Pool, customerId: number): Promise<WebhookSettings> {
  const [row] = await pool.query<SettingsRow[]>(
    "SELECT url, statuses, tell_pauses, low_balance, old_secret_until FROM webhooks WHERE customer_id=?",
    [customerId],
  );
  if (row === undefined) throw noWebhook(customerId);
  const until = row.old_secret_until;
  return {
    url: row.url,
    statuses: statusesOf(row.statuses),
    tellPauses: row.tell_pauses === 1,
    lowBalance: row.low_balance,
    oldSecretUntil: until !== null && until.getTime() > Date.now() ? until.toISOString() : null,
  };
}

const noWebhook = (customerId: number) =>
  new SluiceError("not_found", { detail: `Customer ${customerId} has no webhook.` });

/** Runs `body` with the customer's row locked, and marks it as changed. @throws SluiceError not_found */
function change<T>(pool: Pool, customerId: number, body: (conn: Connection) => Promise<T>): Promise<T> {
  return pool.transaction(async (conn) => {
    const { affectedRows } = await conn.write(
      "UPDATE customers SET updated_at=CURRENT_TIMESTAMP(6) WHERE customer_id=?",
      [customerId],
    );
    if (affectedRows === 0) throw new SluiceError("not_found", { detail: `No customer ${customerId}.` });
    return body(conn);
  });
}

/** What a customer's calls need: where they go by default, and the secrets that sign them, newest first. */
export type WebhookSigning = { customerId: number; url: string | null; secrets: string[] };

/** Those of these customers that have a webhook. */
export async function findSigning(
  conn: Pick<Connection, "query">,
  customerIds: readonly number[],
): Promise<WebhookSigning[]> {
  if (customerIds.length === 0) return [];
  const rows = await conn.query<
    { customer_id: number; url: string | null; secret: string; old_secret: string | null }[]
  >(
    "SELECT customer_id, url, secret, IF(old_secret_until > NOW(3), old_secret, NULL) AS old_secret " +
      `FROM webhooks WHERE customer_id IN (${customerIds})`,
  );
  return rows.map((row) => ({
    customerId: row.customer_id,
    url: row.url,
    secrets: row.old_secret === null ? [row.secret] : [row.secret, row.old_secret],
  }));
}
