// The fields of Jasmin's delivery receipts (https://docs.jasminsms.com, "HTTP API", "Delivery receipt").
// Invariant: the level is the one that happened, 1 or 2; of a message that no operator took it is the one
// that was asked for, because Jasmin's client at that level waits for nothing else.

import { ulidUuid } from "../id.ts";
import type { PeerEvent } from "./callback.ts";
import type { CallbackForm } from "./form.ts";
import { deliveredParts, receiptError, receiptState, shortTime, three } from "./receipt.ts";

const MISSING = "ND";

export function jasminFields(
  event: PeerEvent,
  { level: wanted }: Extract<CallbackForm, { peer: "jasmin" }>,
): [name: string, value: string][] {
  const level = levelOf(event, wanted);
  const { operator, call } = event;
  const fields: [string, string][] = [
    ["id", ulidUuid(event.messageId)],
    ["level", String(level)],
    ["message_status", level === 1 ? esmeName(event) : receiptState(event.status)],
    ["connector", operator ?? MISSING],
  ];
  if (level === 1) return fields;
  return [
    ...fields,
    ["id_smsc", call.operatorMessageId ?? MISSING],
    ["sub", three(event.parts)],
    ["dlvrd", three(deliveredParts(event))],
    ["subdate", shortTime(event.createdAtMs)],
    ["donedate", shortTime(event.occurredAtMs)],
    ["err", receiptError(event.error)],
    ["text", MISSING],
  ];
}

/** What an operator said of its submits is level 1, what it reported later level 2. */
function levelOf({ status }: PeerEvent, wanted: 1 | 2 | 3): 1 | 2 {
  if (status === "delivered" || status === "undelivered") return 2;
  if (status === "expired" || status === "canceled") return wanted === 1 ? 1 : 2;
  const isUnsent = status === "failed" || status === "rejected";
  return isUnsent && wanted === 2 ? 2 : 1;
}

/** Of an operator's SMPP status, as `A: 0x0B RINVDSTADR`, its own name. */
function esmeName({ status, error }: PeerEvent): string {
  if (status === "sent") return "ESME_ROK";
  const [, name = "RSUBMITFAIL"] = /\b0x[0-9a-fA-F]+ (R[A-Z0-9]+)$/.exec(error ?? "") ?? [];
  return `ESME_${name}`;
}
