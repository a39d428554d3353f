// `admin-token`: who may use the admin API. Only on the database: the API itself makes no tokens.

import type { Command } from "commander";
import {
  ADMIN_SCOPES,
  type AdminScope,
  listTokens,
  makeToken,
  type NewToken,
  revokeToken,
} from "../control/admin-tokens.ts";
import { ADMIN_NAME_CHARS_MAX } from "../core/audit.ts";
import type { Pool } from "../platform/mysql.ts";
import { OutputError } from "../platform/output.ts";
import { byUser } from "./actor.ts";
import { type Json, jsonFlag, print, withDatabase } from "./database.ts";
import { label, oneOf } from "./options.ts";

export function declareAdminTokens(program: Command): void {
  const token = program.command("admin-token").description("tokens of those who may use the admin API");
  token
    .command("create")
    .description("make a token and print it, once")
    .argument("<name>", "of who uses it, as the audit log will name it", label(ADMIN_NAME_CHARS_MAX))
    .option("--scopes <scope>", "read, or write, which may read, too", oneOf(...ADMIN_SCOPES), "read")
    .option(...jsonFlag)
    .action((name: string, options: Json & { scopes: AdminScope }) =>
      withDatabase((pool) => create(pool, name, options)),
    );
  token
    .command("list")
    .description("list all tokens, without the tokens themselves")
    .option(...jsonFlag)
    .action((options: Json) =>
      withDatabase(async (pool) => print(options, { tokens: await listTokens(pool) })),
    );
  token
    .command("revoke")
    .description("revoke a token; it is refused from then on")
    .argument("<token-id>", "from `admin-token list`")
    .option(...jsonFlag)
    .action((tokenId: string, options: Json) =>
      withDatabase(async (pool) => {
        await revokeToken(byUser(pool), tokenId);
        print(options, { token_id: tokenId, revoked: true });
      }),
    );
}

/** A token that could not be printed is revoked, because nobody has it. */
async function create(pool: Pool, name: string, options: Json & { scopes: AdminScope }): Promise<void> {
  const made: NewToken = await makeToken(byUser(pool), { name, scope: options.scopes });
  try {
    print(options, { ...made });
  } catch (cause) {
    await revokeToken(byUser(pool), made.token_id);
    throw new OutputError("the new token could not be printed and was revoked", { cause });
  }
}
