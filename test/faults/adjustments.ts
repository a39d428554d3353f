// Adjustments of wallets in the load: an admin corrects some customers' wallets over the admin API, in both
// directions, each under a key, with which it is repeated until it is answered for certain, and sometimes
// again afterwards. Leaves the verdict to checker-money.ts. What is asked for follows from the seed.
// Invariant: no two adjustments have the same amount, so each is known by its entry alone.

import { makeToken } from "../../src/control/admin-tokens.ts";
import { createIdFactory } from "../../src/core/id.ts";
import type { Pool } from "../../src/platform/mysql.ts";
import { sleep } from "../../src/platform/retry.ts";
import { randomFrom } from "../support/seed.ts";
import { type AdjustRequest, type AdjustTry, files, openLines } from "./evidence.ts";
import { type SideLoad, startSideLoad } from "./side-load.ts";

const EVERY_MS = 700;
const AGAIN_MS = 600;
const ANSWER_MAX_MS = 8_000;
const AMOUNT_MIN = 1_000;
const TWICE_SHARE = 0.2;
/** Every other answer is certain. */
const AGAIN = new Set([0, 409, 429, 503]);

/** Makes a token that may change wallets. */
export async function makeAdmin(pool: Pool): Promise<string> {
  const actor = { via: "cli", who: "faults", origin: "here" } as const;
  const by = { pool, actor, id: createIdFactory({ now: Date.now }) };
  return (await makeToken(by, { name: "faults", scope: "write" })).token;
}

/** `url`: of the admin API. */
export function startAdjustments(
  folder: string,
  options: { url: string; token: string; customers: readonly string[]; seed: number },
): SideLoad {
  const { url, token, customers } = options;
  const log = openLines<AdjustRequest>(folder, files.adjustments);
  const random = randomFrom(options.seed + 4);
  let n = 0;
  const ask = async ({ key, customer, amount }: AdjustRequest): Promise<AdjustTry> => {
    try {
      const answer = await fetch(`${url}/admin/v1/customers/${customer}/adjustments`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          "idempotency-key": key,
        },
        body: JSON.stringify({ amount, reason: `the fault suite's ${key}` }),
        signal: AbortSignal.timeout(ANSWER_MAX_MS),
      });
      const { entry_id: entry = null } = (await answer.json()) as { entry_id?: string };
      const replayed = answer.headers.get("idempotent-replayed") === "true";
      return { status: answer.status, entry, replayed };
    } catch {
      return { status: 0, entry: null, replayed: false };
    }
  };
  const adjust = async (request: AdjustRequest, isTwice: boolean, isOver: () => boolean) => {
    for (let left = isTwice ? 2 : 1; left > 0 && !isOver(); ) {
      const answer = await ask(request);
      request.tries.push(answer);
      if (!AGAIN.has(answer.status)) left--;
      await sleep(AGAIN_MS);
    }
    log.add(request);
  };
  const begin = (isOver: () => boolean) => {
    const customer = customers[Math.floor(random() * customers.length)] as string;
    const amount = (random() < 0.5 ? 1 : -1) * (AMOUNT_MIN + n);
    const request = { key: `adjust-${n++}`, customer, amount, tries: [] };
    return [adjust(request, random() < TWICE_SHARE, isOver)];
  };
  return startSideLoad(EVERY_MS, begin, () => log.close());
}
