// Holds what must be true of webhook events as they are committed: each change of a status that its customer
// wants to be told is one event, committed with it; so is each endpoint that stops; and no event exists
// without either. Leaves what becomes of events to receivers.ts.

import { wants } from "../../src/core/callback.ts";
import type { Status } from "../../src/core/message.ts";
import { isInbound, isPause, unpackWebhookEvents } from "../../src/core/webhook-event.ts";
import type { PauseEvent } from "../../src/core/webhook-pause.ts";
import type { RowChange, Server } from "../simulated-mysql/server.ts";
import type { Values } from "../simulated-mysql/tables.ts";
import { ownUrlOf, WISHES } from "./customers.ts";
import { asIsAsked, isPeerUrl, peerStatuses } from "./peers.ts";
import { hold } from "./hold.ts";

export type Told = {
  /** Sees every commit of the database. */
  onCommit(changes: readonly RowChange[]): void;
  /** All that has to be told so far, and the URL at which. */
  readonly urls: ReadonlyMap<string, string>;
  /** That this message came to one of these statuses, if it has been told so far. */
  find(messageId: string, statuses: readonly Status[]): string | undefined;
  counts: { told: number; paused: number };
};

/** What an event tells: a change. */
export const nameOfChange = (messageId: string, sequence: number, status: string): string =>
  `${messageId}:${sequence}:${status}`;
/** What an event tells: at this URL, that an endpoint stopped. */
export const nameOfPause = (customerId: number, endpoint: string, atMs: number, url: string): string =>
  `${customerId} ${endpoint} stopped at ${atMs}, told at ${url}`;

/** What an event tells: that a message came in. */
export const nameOfInbound = (inboundId: string): string => `received ${inboundId}`;

export function createTold(tables: () => Server["tables"]): Told {
  const urls = new Map<string, string>();
  const ofMessage = new Map<string, string[]>();
  const counts = { told: 0, paused: 0 };
  const expect = (what: string, url: string) => {
    hold(!urls.has(what), "what happened is told once", () => what);
    urls.set(what, url);
  };
  /** As it is after the commit. What stopped isn't taken up again while others stop. */
  const takesCalls = (customerId: number): boolean => {
    const rows = [...(tables().get("webhook_endpoints")?.rows.values() ?? [])];
    const own = rows.find(({ committed: c }) => c?.customer_id === customerId && c.endpoint === "");
    return own === undefined || own.committed?.state === "active";
  };
  const checkPauses = (pauses: readonly PauseEvent[], stopped: readonly Values[]) => {
    for (const pause of pauses) {
      const { customerId, endpoint, occurredAtMs, state } = pause;
      hold(
        stopped.some((row) => isOf(row, pause) && row.state === state && row.stopped_at === occurredAtMs),
        "only an endpoint that stopped is told as paused",
        () => JSON.stringify(pause),
      );
      const url = pause.url ?? ownUrlOf(customerId);
      hold(!isPeerUrl(url), "no pause is told where a peer's callbacks go", () => JSON.stringify(pause));
      expect(nameOfPause(customerId, endpoint, occurredAtMs, url), url);
    }
    for (const row of stopped) {
      if (!WISHES.has(Number(row.customer_id)) || !takesCalls(Number(row.customer_id))) continue;
      const events = pauses.filter((pause) => isOf(row, pause));
      hold(
        events.length === 1 && events[0]?.url === null,
        "a pause is told with the commit that makes it, at the customer's own URL",
        () => `${JSON.stringify(row)}, events ${JSON.stringify(events)}`,
      );
    }
    counts.paused += pauses.length;
  };
  return {
    urls,
    counts,
    find: (messageId, statuses) =>
      ofMessage.get(messageId)?.find((name) => statuses.some((status) => name.endsWith(`:${status}`))),
    onCommit(changes) {
      const events = changes.flatMap(({ table, before, after }) =>
        table === "webhook_events" && before === null && after !== null
          ? unpackWebhookEvents(after.payload as Uint8Array)
          : [],
      );
      const told = events.flatMap((event) =>
        "messageId" in event ? [nameOfChange(event.messageId, event.sequence, event.status)] : [],
      );
      const made = changes.flatMap(({ table, before, after }) => {
        if (table !== "messages" || after === null || before?.sequence === after.sequence) return [];
        hold(asIsAsked(after), "a message keeps what its client asked to be told", () =>
          JSON.stringify(after),
        );
        const statuses = peerStatuses(after) ?? WISHES.get(Number(after.customer_id))?.statuses ?? 0;
        if (!wants(statuses, after.status as Status)) return [];
        const name = nameOfChange(String(after.id), Number(after.sequence), String(after.status));
        return [[name, after] as const];
      });
      const names = made.map(([name]) => name);
      hold(
        told.toSorted().join() === names.toSorted().join(),
        "a change is told with the commit that makes it",
        () => `changes ${names.join(" ")}, events ${told.join(" ")}`,
      );
      for (const event of events) {
        if (!("messageId" in event)) continue;
        const [, row] = made.find(([name]) => name.startsWith(`${event.messageId}:${event.sequence}:`)) ?? [];
        const isRight = (event.call?.form ?? null) === (row?.callback_form ?? null);
        hold(isRight, "a change is told in the form that its client asked for", () => JSON.stringify(event));
      }
      for (const [name, row] of made) {
        expect(name, urlOf(row));
        const id = String(row.id);
        ofMessage.set(id, [...(ofMessage.get(id) ?? []), name]);
      }
      counts.told += told.length;
      for (const { inboundId, customerId } of events.filter(isInbound))
        expect(nameOfInbound(inboundId), ownUrlOf(customerId));
      checkPauses(events.filter(isPause), changes.flatMap(stoppedBy));
    },
  };
}

const isOf = (row: Values, { customerId, endpoint }: PauseEvent): boolean =>
  row.customer_id === customerId && row.endpoint === endpoint;

const urlOf = ({ callback_url, customer_id }: Values): string =>
  callback_url === null ? ownUrlOf(Number(customer_id)) : String(callback_url);

function stoppedBy({ table, before, after }: RowChange): Values[] {
  if (table !== "webhook_endpoints" || before?.state !== "active" || after === null) return [];
  return after.state === "active" ? [] : [after];
}
