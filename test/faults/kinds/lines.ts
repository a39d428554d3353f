// Faults of the lines (connections between roles and engines), made by the proxies: cut at COMMIT, reset,
// slow.

import { sleep } from "../../../src/platform/retry.ts";
import type { Line } from "../stack.ts";
import type { Injector } from "./context.ts";

// Text in the transaction whose COMMIT is cut, by line; the index of the fault selects one.
const OF: Partial<Record<Line, readonly string[]>> = {
  // The line of dlr and webhook, too (stack.ts).
  "ingest-mysql": [
    "INSERT INTO messages",
    "INSERT INTO messages",
    "wallet_accounts",
    "idempotency_keys",
    "FROM inbox WHERE id IN",
    "webhook_deliveries",
  ],
  "relay-mysql": ["FROM outbox WHERE id IN"],
  "sender-mysql": ["INSERT INTO claims", "claims WHERE claim_id", "wallet_accounts"],
};
// Traffic is steady: every kind of transaction comes within a second or two, unless its role is away.
const CUT_MAX_MS = 8_000;
const BACK_MAX_MS = 15_000;

export const cutCommit: Injector = async ({ stack }, { target, choice, index }) => {
  const line = target as Line;
  const texts = OF[line] ?? [];
  const of = texts[index % texts.length] ?? "";
  const proxy = stack.lines[line];
  let happened = false;
  const cut = proxy.cutAtCommit(of, choice as "before" | "after").then(() => (happened = true));
  await Promise.race([cut, sleep(CUT_MAX_MS)]);
  if (happened) return `cut ${choice} COMMIT of "${of}"`;
  proxy.disarm();
  // Something must be cut, so cut everything, whatever it is doing.
  proxy.cutAll();
  proxy.mend();
  return `no COMMIT of "${of}" came; all of the line was reset`;
};

export const reset: Injector = async ({ stack }, { target, ms }) => {
  const proxy = stack.lines[target as Line];
  // Its role may still be recovering from the previous fault.
  const endMs = performance.now() + BACK_MAX_MS;
  while (proxy.connections() === 0 && performance.now() < endMs) await sleep(50);
  const connections = proxy.connections();
  proxy.cutAll();
  await sleep(ms);
  proxy.mend();
  return `${connections} connections reset`;
};

export const latency: Injector = async ({ stack }, { target, ms, choice }) => {
  const proxy = stack.lines[target as Line];
  proxy.delay(Number(choice));
  await sleep(ms);
  proxy.delay(0);
  return `${choice} ms more each way`;
};
