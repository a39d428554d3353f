// What Kannel's and Jasmin's callbacks have in common with the receipts of SMPP: the states of a message, the
// short time and the text of a receipt (SMPP 3.4, appendix B). Times are UTC.

import { ulidUuid } from "../id.ts";
import type { Status } from "../message.ts";
import type { PeerEvent } from "./callback.ts";

const STATES: Partial<Record<Status, string>> = {
  queued: "BUFFRED",
  sent: "ACCEPTD",
  delivered: "DELIVRD",
  undelivered: "UNDELIV",
  failed: "UNDELIV",
  rejected: "REJECTD",
  expired: "EXPIRED",
  canceled: "DELETED",
};

export const receiptState = (status: Status): string => STATES[status] ?? "UNKNOWN";

/** YYMMDDhhmm */
export const shortTime = (ms: number): string =>
  new Date(ms).toISOString().slice(2, 16).replace(/[-T:]/g, "");

/** Three digits of what an operator said about a failure, as `other (027)` does; 000 without any. */
export function receiptError(error: string | null): string {
  const [, digits = ""] = /\((\d{1,3})\)$/.exec(error ?? "") ?? [];
  return digits.padStart(3, "0");
}

export const three = (n: number): string => String(n).padStart(3, "0");

/** How many of its parts were delivered. */
export const deliveredParts = ({ status, parts }: Pick<PeerEvent, "status" | "parts">): number =>
  status === "delivered" ? parts : 0;

export const receiptText = (event: PeerEvent): string =>
  `id:${ulidUuid(event.messageId)} sub:${three(event.parts)} dlvrd:${three(deliveredParts(event))} ` +
  `submit date:${shortTime(event.createdAtMs)} done date:${shortTime(event.occurredAtMs)} ` +
  `stat:${receiptState(event.status)} err:${receiptError(event.error)} text:`;
