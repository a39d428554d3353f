// `seed`: creates two demo customers with money, once. The first one's API key is kept in the state folder,
// readable by its owner only, and replaced when it no longer works (a wiped database, a revoked key).

import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { makeCustomer as addCustomer } from "../control/customers.ts";
import { endKey, makeKey } from "../control/keys.ts";
import { payIn } from "../control/wallets.ts";
import { findKey, SCOPES_DEFAULT } from "../customers/api-keys.ts";
import { listCustomers, PRICE_EXPRESS_DEFAULT, PRICE_NORMAL_DEFAULT } from "../customers/customers.ts";
import { listKeys } from "../customers/key-admin.ts";
import type { Config } from "../platform/config.ts";
import { createPool, type Pool } from "../platform/mysql.ts";
import { say } from "../platform/output.ts";
import { byUser } from "./actor.ts";

const demoNames = ["demo", "demo-2"] as const;
const demoBalance = 10_000_000; // 20,000 normal parts

export type Demo = { customerId: number; apiKey: string; keyFile: string };

const demoKeyFile = (stateFolder: string): string => join(stateFolder, "demo-key");

/** Creates the demo customers if they are missing, and a key for the first one if its key does not work. */
export async function seed(config: Config, stateFolder: string): Promise<Demo> {
  const pool = createPool(config, { connections: 2, multipleStatements: true });
  try {
    const known = new Map((await listCustomers(pool)).map((row) => [row.name, Number(row.customer_id)]));
    const ids: number[] = [];
    for (const name of demoNames) ids.push(known.get(name) ?? (await makeCustomer(pool, name)));
    return await demoKey(pool, ids[0] ?? 0, demoKeyFile(stateFolder));
  } finally {
    await pool.end();
  }
}

export async function seedCommand(config: Config): Promise<void> {
  const { customerId } = await seed(config, resolve(config.stateFolder));
  say(`demo customer ${customerId}; its API key is in ${demoKeyFile(config.stateFolder)}`);
}

async function makeCustomer(pool: Pool, name: string): Promise<number> {
  const prices = { priceNormal: PRICE_NORMAL_DEFAULT, priceExpress: PRICE_EXPRESS_DEFAULT };
  const by = byUser(pool);
  const customerId = Number((await addCustomer(by, { name, ...prices, rateLimit: null })).customer_id);
  await payIn(by, customerId, demoBalance, "seed");
  return customerId;
}

async function demoKey(pool: Pool, customerId: number, file: string): Promise<Demo> {
  const kept = readKey(file);
  if (kept !== null && (await findKey(pool, kept))?.customerId === customerId)
    return { customerId, apiKey: kept, keyFile: file };
  // A lost key can't be shown again, so the oldest live one is revoked to make room.
  const live = (await listKeys(pool, customerId)).filter((key) => key.live);
  if (live.length > 1 && live[0] !== undefined) await endKey(byUser(pool), live[0].key_id);
  const { apiKey } = await makeKey(byUser(pool), customerId, SCOPES_DEFAULT);
  mkdirSync(join(file, ".."), { recursive: true });
  writeFileSync(file, `${apiKey}\n`, { mode: 0o600 });
  chmodSync(file, 0o600); // an existing file keeps its mode when it is rewritten
  return { customerId, apiKey, keyFile: file };
}

function readKey(file: string): string | null {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return null; // none yet
  }
}
