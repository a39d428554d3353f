// The customers of a simulated run: how they pay, what they want to be told of their messages, and where.
// Leaves what they do to clients.ts, and their ends of webhooks to receivers.ts.

import { ALL_STATUSES, type CallbackWish, maskOf } from "../../src/core/callback.ts";
import type { KeyOwner } from "../../src/customers/api-keys.ts";
import type { Server } from "../simulated-mysql/server.ts";
import type { Kernel } from "./kernel.ts";
import { signerSql } from "./peers.ts";

/** What customers want to be told: one of them everything, one little, the others nothing. */
export const WISHES: ReadonlyMap<number, CallbackWish> = new Map([
  [1, { statuses: ALL_STATUSES, hasUrl: true }],
  [2, { statuses: maskOf(["sent", "failed"]), hasUrl: true }],
]);

const OWN = "https://own.example.com";
/** Of the callback_urls. */
export const ORIGINS: readonly string[] = ["https://a.example.com", "https://b.example.com"];

export const ownUrlOf = (customerId: number): string => `${OWN}/${customerId}`;
/** What has a place of its own in the queue of webhooks, by the URL that is called. */
export const endpointAt = (url: string): { customerId: number; endpoint: string } => {
  const { origin, pathname } = new URL(url);
  return { customerId: Number(pathname.slice(1)), endpoint: origin === OWN ? "" : origin };
};

/** The callback_url of a customer's n-th message: every third has one, if its customer may give one. */
export function callbackUrlOf({ customerId, webhook }: KeyOwner, n: number): string | undefined {
  if (webhook === undefined || n % 3 > 0) return undefined;
  return `${ORIGINS[n % ORIGINS.length] as string}/${customerId}`;
}

/** All of them, also those that want to be told nothing but what a peer's client asks for (peers.ts). */
export const CUSTOMER_IDS: readonly number[] = [1, 2, 3];

const secretOf = (customerId: number): string => `whsec_${Buffer.alloc(32, customerId).toString("base64")}`;

/** Stores the customers. Call it at the beginning, when no statement fails. */
export function makeCustomers(kernel: Kernel, server: Server): KeyOwner[] {
  const { random } = kernel;
  const session = server.connect(null);
  return CUSTOMER_IDS.map((customerId) => {
    const priceNormal = random.pick([1, 3, 7]);
    const mode = random.chance(0.25) ? "strict" : "lease";
    const webhook = WISHES.get(customerId);
    const owner = {
      customerId,
      name: `customer-${customerId}`,
      priceNormal,
      priceExpress: priceNormal + 2,
      rateLimit: null,
      currency: "IRR",
      region: "IR",
      resendsUnknown: random.chance(0.5),
      mode,
      showsOtp: true,
      scopes: new Set(["send", "billing"]),
      ...(webhook === undefined ? {} : { webhook }),
    } as unknown as KeyOwner;
    const webhookSql =
      webhook === undefined
        ? ""
        : ";INSERT INTO webhooks (customer_id,url,statuses,secret) VALUES " +
          `(${customerId},'${ownUrlOf(customerId)}',${webhook.statuses},'${secretOf(customerId)}')`;
    session?.query(
      "INSERT INTO customers (customer_id,name,price_normal,price_express,mode) VALUES " +
        `(${customerId},'${owner.name}',${priceNormal},${priceNormal + 2},'${mode}');` +
        `INSERT INTO wallet_accounts (customer_id) VALUES (${customerId})${webhookSql};` +
        signerSql(customerId),
      [],
      (error) => {
        if (error !== null) throw error;
      },
    );
    return owner;
  });
}
