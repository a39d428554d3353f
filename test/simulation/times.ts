// What must hold of the time that a message has, as the requirements say it: it is tried again while it has
// time, it isn't sent when that is over, and it expires no earlier. Allows for the clocks of its processes,
// which may be some seconds off. And what reconcile relies on: the row of an express message says when it was
// taken, and that decides its charge. Leaves all other money and its statuses to model.ts.

import type { RowChange } from "../simulated-mysql/server.ts";
import type { Values } from "../simulated-mysql/tables.ts";
import { hold } from "./hold.ts";

export type Times = {
  /** `submittedAtMs`: by true time. */
  onTaken(id: string, submittedAtMs: number): void;
  /** Sees every commit of the database. */
  onCommit(changes: readonly RowChange[]): void;
};

const USUAL_MS = 72 * 3_600_000;
/** With less time than this left there is no other attempt. */
const LEFT_MAX_MS: Record<string, number> = { normal: 20_000, express: 4_000 };
/** Two processes' clocks, five seconds off each, and the way to the operator. */
const CLOCKS_MS = 15_000;
const FOR_GOOD = /number_refused|no operator takes this number/;

export function createTimes(): Times {
  const ends = new Map<string, number>();
  return {
    onTaken(id, submittedAtMs) {
      const late = submittedAtMs - (ends.get(id) ?? Number.POSITIVE_INFINITY);
      hold(
        late < CLOCKS_MS,
        "nothing is sent when its time is over",
        () => `${id} was taken ${late} ms too late`,
      );
    },
    onCommit(changes) {
      checkCharges(changes);
      for (const { table, before, after } of changes) {
        if (table !== "messages" || after === null) continue;
        ends.set(String(after.id), validUntil(after));
        const became = before?.status === after.status ? null : after.status;
        const detail = () =>
          `${String(after.id)} at attempt ${Number(after.attempt)}: ${String(after.last_error)}`;
        if (became === "failed" && before?.status === "sending")
          hold(FOR_GOOD.test(String(after.last_error)), "what is refused for now is tried again", detail);
        if (became !== "expired") continue;
        const end = Math.min(validUntil(after), Number(after.guaranteed_by ?? Number.POSITIVE_INFINITY));
        const left = end - Number(after.updated_at);
        const most = (LEFT_MAX_MS[String(after.lane)] as number) + CLOCKS_MS;
        hold(left < most, "what expires had no time left for another attempt", detail);
      }
    },
  };
}

const validUntil = ({ valid_until, send_at, created_at }: Values): number =>
  valid_until === null ? Number(send_at ?? created_at) + USUAL_MS : Number(valid_until);

function checkCharges(changes: readonly RowChange[]): void {
  const closes = new Map<unknown, unknown>();
  for (const { table, after } of changes)
    if (table === "wallet_ledger" && after?.leg === "close") closes.set(after.entry_id, after.op);
  for (const { table, before, after } of changes) {
    if (table !== "messages" || after === null || after.guaranteed_by === null) continue;
    const { taken_at: takenAt, guaranteed_by: promised, status } = after;
    const detail = () =>
      `${String(after.id)} ${String(status)}: ${String(takenAt)}, promised ${String(promised)}`;
    const isTaken = status === "sent" || String(status).endsWith("delivered");
    hold((takenAt !== null) === isTaken, "when express was taken is noted, once it is", detail);
    hold((before?.taken_at ?? takenAt) === takenAt, "when express was taken is noted once", detail);
    if (!isTaken || !closes.has(after.id)) continue;
    const charge = Number(takenAt) > Number(promised) ? "refund" : "capture";
    hold(closes.get(after.id) === charge, "express is charged by when it is noted as taken", detail);
  }
}
