// Admin tokens: who may use the admin API. A token is its row's id and 256 random bits, shown once; the row
// has its SHA-256, which at that length needs no salt or stretching. It is read for each request, because
// admins make few, so a revoked token is refused at once, by every process. Invariant: hashes are compared in
// a time that doesn't depend on them.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { ADMIN_NAME_CHARS_MAX } from "../core/audit.ts";
import { SluiceError } from "../core/errors.ts";
import { nameProblem } from "../customers/customers.ts";
import type { Pool } from "../platform/mysql.ts";
import { audited, type By } from "./audit.ts";

/** `write` may read, too. */
export const ADMIN_SCOPES = ["read", "write"] as const;
export type AdminScope = (typeof ADMIN_SCOPES)[number];
/** Who calls. */
export type Admin = { name: string; tokenId: string; scope: AdminScope };

export type NewToken = { token_id: string; name: string; scope: AdminScope; token: string };
export type TokenRow = {
  token_id: string;
  name: string;
  scope: AdminScope;
  created_at: string;
  /** null: it works */
  revoked_at: string | null;
};

const SECRET_BYTES = 32;
const TOKEN = /^sat_([0-9A-HJKMNP-TV-Z]{26})_[\w-]{43}$/;
const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();

/** Makes a token and returns it; it can't be read again. @throws SluiceError validation_failed */
export async function makeToken(
  by: By & { id: () => string },
  { name, scope }: { name: string; scope: AdminScope },
): Promise<NewToken> {
  const reason = nameProblem(name, ADMIN_NAME_CHARS_MAX);
  if (reason !== null) throw new SluiceError("validation_failed", { errors: [{ field: "name", reason }] });
  return audited(by, async (tx) => {
    const tokenId = by.id();
    const token = `sat_${tokenId}_${randomBytes(SECRET_BYTES).toString("base64url")}`;
    await tx.write("INSERT INTO admin_tokens (token_id, token_hash, name, scope) VALUES (?, ?, ?, ?)", [
      tokenId,
      hashOf(token),
      name,
      scope,
    ]);
    return {
      result: { token_id: tokenId, name, scope, token },
      change: { action: "token.create", subject: tokenId, new: { name, scope } },
    };
  });
}

/** Every process refuses it from now on. @throws SluiceError not_found if there is none that isn't revoked */
export const revokeToken = (by: By, tokenId: string): Promise<void> =>
  audited(by, async (tx) => {
    const { affectedRows } = await tx.write(
      "UPDATE admin_tokens SET revoked_at=NOW(3) WHERE token_id=? AND revoked_at IS NULL",
      [tokenId],
    );
    if (affectedRows === 0) {
      const detail = `no live token ${JSON.stringify(tokenId)}; see: ./sluice admin-token list`;
      throw new SluiceError("not_found", { detail });
    }
    const [row] = await tx.query<{ name: string }[]>("SELECT name FROM admin_tokens WHERE token_id=?", [
      tokenId,
    ]);
    return {
      result: undefined,
      change: { action: "token.revoke", subject: tokenId, old: { name: row?.name } },
    };
  });

/** Oldest first, the revoked ones too; never a token itself. */
export async function listTokens(pool: Pick<Pool, "query">): Promise<TokenRow[]> {
  type Found = Omit<TokenRow, "created_at" | "revoked_at"> & { created_at: Date; revoked_at: Date | null };
  const found = await pool.query<Found[]>(
    "SELECT token_id, name, scope, created_at, revoked_at FROM admin_tokens ORDER BY token_id",
  );
  return found.map((row) => ({
    ...row,
    created_at: row.created_at.toISOString(),
    revoked_at: row.revoked_at?.toISOString() ?? null,
  }));
}

/** Whose token this is; null if it is none, or was revoked. */
export async function findAdmin(pool: Pick<Pool, "query">, token: string): Promise<Admin | null> {
  const tokenId = TOKEN.exec(token)?.[1];
  if (tokenId === undefined) return null;
  const [row] = await pool.query<{ token_hash: Buffer; name: string; scope: AdminScope }[]>(
    "SELECT token_hash, name, scope FROM admin_tokens WHERE token_id=? AND revoked_at IS NULL",
    [tokenId],
  );
  if (row === undefined || !timingSafeEqual(row.token_hash, hashOf(token))) return null;
  return { name: row.name, tokenId, scope: row.scope };
}
