// The contents of the event topics, as ClickHouse would keep them: one line per event_id, of which all copies
// must be equal. At the end they must agree exactly with the database.

import { hold } from "./hold.ts";
import type { Model } from "./model.ts";
import type { Server } from "../simulated-mysql/server.ts";

export type Events = {
  take(value: Buffer): void;
  check(model: Model, server: Server): void;
};

export function createEvents(): Events {
  const lines = new Map<string, Record<string, unknown>>();
  const latest = new Map<string, { sequence: number; status: string; unreserved: unknown }>();
  return {
    take(value) {
      for (const line of value.toString().split("\n")) {
        if (line === "") continue;
        const fields = JSON.parse(line) as Record<string, unknown>;
        const eventId = String(fields.event_id);
        const known = lines.get(eventId);
        if (known === undefined) lines.set(eventId, fields);
        else
          hold(
            JSON.stringify(known) === JSON.stringify(fields),
            "an event's copies are alike",
            () => `${line}; before: ${JSON.stringify(known)}`,
          );
        if (fields.sequence === undefined) continue;
        const [id, sequence] = [String(fields.id), Number(fields.sequence)];
        const status = String(fields.status);
        hold(
          fields.unreserved === undefined || !SUBMITTED.test(status),
          "what is sent is reserved",
          () => line,
        );
        if ((latest.get(id)?.sequence ?? -1) < sequence)
          latest.set(id, { sequence, status, unreserved: fields.unreserved });
      }
    },
    check(model, server) {
      for (const { committed } of server.tables.get("wallet_ledger")?.rows.values() ?? []) {
        if (committed === null) continue;
        const event = lines.get(`${String(committed.entry_id)}:${String(committed.leg)}`);
        hold(
          event?.amount === committed.amount && event?.op === committed.op,
          "every entry is an event",
          () => `${JSON.stringify(committed)}, event ${JSON.stringify(event)}`,
        );
      }
      for (const { id, status, values } of model.messages.values()) {
        if (!isSettledStatus(status)) continue;
        const event = latest.get(id);
        hold(
          event?.status === status,
          "the newest event of a message is its status",
          () => `${id} is ${status}, its events say ${event?.status}`,
        );
        hold(
          (event?.unreserved ?? 0) === values.unreserved,
          "the newest event of a message says whether it was reserved",
          () => `${id} is ${status}, unreserved ${Number(values.unreserved)}`,
        );
      }
    },
  };
}

/** Statuses that no message reaches before a claim. */
const SUBMITTED = /^(sending|unknown|sent|delivered|undelivered)$/;

const isSettledStatus = (status: string): boolean => status !== "sending" && status !== "queued";
