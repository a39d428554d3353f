// Messages that come in during a run: an operator's end that posts them until each is acknowledged, some of
// them twice; and the verdict on what became of them. Leaves evidence files to evidence.ts.
// Invariant: an acknowledgement is logged once it came. What is posted follows from the seed.

import { sleep } from "../../src/platform/retry.ts";
import { randomFrom } from "../support/seed.ts";
import type { Say } from "./checker.ts";
import { type Evidence, files, type InboundAnswer, openLines } from "./evidence.ts";
import { type SideLoad, startSideLoad } from "./side-load.ts";

/** The type of their events, as the receiver logs it in place of a status. */
export const RECEIVED = "message.received";
/** The number of a customer, which must be registered for it. */
export const inboundNumberOf = (customer: string): string => `3000${customer}`;

const EVERY_MS = 250;
const AGAIN_MS = 500;
const ANSWER_MAX_MS = 5_000;
const TWICE_SHARE = 0.1;

/** `url`: of the API. */
export function startInbound(
  folder: string,
  { url, customers, seed }: { url: string; customers: readonly string[]; seed: number },
): SideLoad {
  const log = openLines<InboundAnswer>(folder, files.inbound);
  const random = randomFrom(seed + 3);
  let n = 0;
  const post = async (customer: string, id: string, body: string, isOver: () => boolean) => {
    while (!isOver()) {
      const status = await fetch(`${url}/mo/A`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
        signal: AbortSignal.timeout(ANSWER_MAX_MS),
      }).then(
        async (answer) => (await answer.text(), answer.status),
        () => 0,
      );
      if (status === 200) return log.add({ id, customer });
      await sleep(AGAIN_MS);
    }
  };
  const begin = (isOver: () => boolean) => {
    const id = `mo-${n++}`;
    const customer = customers[Math.floor(random() * customers.length)] as string;
    const text = `Inbound ${id}`;
    const body = JSON.stringify({ id, from: "989120000001", to: inboundNumberOf(customer), text });
    const copies = random() < TWICE_SHARE ? 2 : 1;
    return Array.from({ length: copies }, () => post(customer, id, body, isOver));
  };
  return startSideLoad(EVERY_MS, begin, () => log.close());
}

/** What was acknowledged is stored once, for its customer, and told once if that has a URL. */
export function checkInbound({ inbound, webhooks }: Evidence, say: Say): void {
  const rows = Map.groupBy(inbound.rows, ({ operatorId }) => operatorId);
  const customers = new Map(inbound.answers.map(({ id, customer }) => [id, customer]));
  for (const [id, customer] of customers) {
    const stored = rows.get(id) ?? [];
    if (stored.length !== 1 || stored[0]?.customer !== customer)
      say("inbound_not_once", `${id} for ${customer}: ${JSON.stringify(stored)}`);
  }
  const told = new Set(webhooks.filter(({ status }) => status === RECEIVED).map(({ event }) => event));
  for (const { event, told: isWanted, operatorId } of inbound.rows)
    if (told.has(event) !== (isWanted === 1)) say("inbound_not_told", `${operatorId} as ${event}`);
  const events = new Set(inbound.rows.map(({ event }) => event));
  for (const event of told) if (!events.has(event)) say("inbound_not_told", `${event}, which nobody sent`);
}
