// Holds what must be true of webhook events: each change of a status that its customer wants to be told is
// one event, committed with it, and no event exists without its change. Deliveries are tested against real
// engines (test/integration/webhook*.test.ts).

import { ALL_STATUSES, type CallbackWish, maskOf, wants } from "../../src/core/callback.ts";
import type { Status } from "../../src/core/message.ts";
import { isPause, unpackWebhookEvents } from "../../src/core/webhook-event.ts";
import type { RowChange } from "../simulated-mysql/server.ts";
import { hold } from "./hold.ts";

/** What customers want to be told: one of them everything, one little, the others nothing. */
export const WISHES: ReadonlyMap<number, CallbackWish> = new Map([
  [1, { statuses: ALL_STATUSES, hasUrl: true }],
  [2, { statuses: maskOf(["sent", "failed"]), hasUrl: true }],
]);

export type Told = { onCommit(changes: readonly RowChange[]): void; counts: { told: number } };

export function createTold(): Told {
  const seen = new Set<string>();
  const counts = { told: 0 };
  return {
    counts,
    onCommit(changes) {
      const events: string[] = [];
      for (const { table, before, after } of changes)
        if (table === "webhook_events" && before === null && after !== null)
          for (const event of unpackWebhookEvents(after.payload as Uint8Array))
            if (!isPause(event)) events.push(`${event.messageId}:${event.sequence}:${event.status}`);
      const made = changes.flatMap(({ table, before, after }) => {
        if (table !== "messages" || after === null || before?.sequence === after.sequence) return [];
        const statuses = WISHES.get(Number(after.customer_id))?.statuses ?? 0;
        const isTold = wants(statuses, after.status as Status);
        return isTold ? [`${String(after.id)}:${String(after.sequence)}:${String(after.status)}`] : [];
      });
      hold(
        events.toSorted().join() === made.toSorted().join(),
        "a change is told with the commit that makes it",
        () => `changes ${made.join(" ")}, events ${events.join(" ")}`,
      );
      for (const event of events) {
        hold(!seen.has(event), "a change is told once", () => event);
        seen.add(event);
      }
      counts.told += events.length;
    },
  };
}
