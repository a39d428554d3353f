// Who the requests of a run are from: a key for each scope, with that scope and no other. Those that send
// and read are of one customer, so that what is sent can be read; top-ups fill another one's wallet, until no
// more fits in it; and whatever may be done with the scope admin starts from a third. For the admin API a
// token for each scope, one that was revoked, and customers that nothing else uses: they may be suspended.

import { type AdminScope, makeToken, revokeToken } from "../../src/control/admin-tokens.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { createKey, type Scope } from "../../src/customers/api-keys.ts";
import { createCustomer, setOtpCode } from "../../src/customers/customers.ts";
import { setWebhook } from "../../src/customers/webhooks.ts";
import { topUp } from "../../src/ledger/topup.ts";
import type { Config } from "../../src/platform/config.ts";
import type { Pool } from "../../src/platform/mysql.ts";

export type Callers = {
  keys: Readonly<Record<Scope, string>>;
  customerIds: readonly number[];
};

type Admins = {
  tokens: Readonly<Record<AdminScope, string>>;
  revoked: string;
  /** What they change. */
  customerIds: readonly number[];
};

/**
 * Settings of their gateway. Callbacks lead to this machine, and codes to numbers at random are what the
 * guard against pumping is for.
 */
export const SETTINGS = {
  webhookAllowPrivate: 1,
  otpResendS: 0,
  otpPhoneHourly: 0,
  otpCustomerHourly: 0,
  otpRangeHourly: 0,
  otpVerifiedPercent: 0,
} as const satisfies Partial<Config>;

/** More than any run can spend. */
const OPENING = 1_000_000_000_000;

const ADMINISTERED = 3;

const id = createIdFactory({ now: Date.now });

async function makeCustomer(pool: Pool, name: string): Promise<number> {
  const terms = { priceNormal: 500, priceExpress: 700, rateLimit: null };
  const customerId = await createCustomer(pool, { name, ...terms });
  await topUp({ pool, id, now: Date.now }, customerId, OPENING, "opening");
  return customerId;
}

/** `callbackUrl`: on this machine; it is told everything. */
export async function makeCallers(pool: Pool, callbackUrl: string): Promise<Callers> {
  const customer = (name: string): Promise<number> => makeCustomer(pool, name);
  const keyOf = async (customerId: number, scope: Scope): Promise<string> =>
    (await createKey({ pool, id }, customerId, [scope])).apiKey;
  const [sender, payer, admin] = [await customer("sends"), await customer("pays"), await customer("admin")];
  await setOtpCode(pool, sender, true);
  await setWebhook(pool, sender, { url: `${callbackUrl}/own` }, { allowPrivate: true });
  const keys = {
    send: await keyOf(sender, "send"),
    read: await keyOf(sender, "read"),
    billing: await keyOf(payer, "billing"),
    admin: await keyOf(admin, "admin"),
  };
  return { keys, customerIds: [sender, payer, admin] };
}

/** `pool` must allow several statements. */
export async function makeAdmins(pool: Pool): Promise<Admins> {
  const by = { pool, id, actor: { via: "cli", who: "fuzz", origin: "here" } } as const;
  const tokenOf = (name: string, scope: AdminScope) => makeToken(by, { name, scope });
  const [read, write, gone] = [
    await tokenOf("reads", "read"),
    await tokenOf("writes", "write"),
    await tokenOf("gone", "write"),
  ];
  await revokeToken(by, gone.token_id);
  const customerIds: number[] = [];
  for (let n = 1; n <= ADMINISTERED; n++) customerIds.push(await makeCustomer(pool, `administered ${n}`));
  return { tokens: { read: read.token, write: write.token }, revoked: gone.token, customerIds };
}
