// The schema of a message as customers see it, and an example.

import { Type } from "typebox";
import { LANES, STATUSES } from "../core/message.ts";
import { Count, Currency, CustomerId, Money, OrNull, Phone, Time, Ulid } from "./shapes.ts";

export const MessageShape = {
  id: Ulid,
  customer_id: CustomerId,
  phone: Phone,
  type: Type.Enum(LANES),
  status: Type.Enum(STATUSES),
  encoding: Type.String(),
  parts: Count,
  cost: Money,
  currency: Currency,
  from: OrNull(Type.String()),
  reference: OrNull(Type.String()),
  attempts: Count,
  last_error: OrNull(Type.String()),
  operator: OrNull(Type.String()),
  operator_message_id: OrNull(Type.String()),
  guaranteed_by: OrNull(Time),
  valid_until: Time,
  send_at: OrNull(Time),
  created_at: Time,
  updated_at: Time,
};

export const MESSAGE_EXAMPLE = {
  id: "01M7YBCG2N0V4QK5A1T8P6WJ3D",
  customer_id: "1",
  phone: "+989121234567",
  type: "express",
  status: "sent",
  encoding: "gsm7",
  parts: 1,
  cost: 700,
  currency: "IRR",
  from: null,
  reference: "order-1234",
  attempts: 1,
  last_error: null,
  operator: "A",
  operator_message_id: "7f3a",
  guaranteed_by: "2026-09-21T14:13:25.000Z",
  valid_until: "2026-09-24T14:13:20.000Z",
  send_at: null,
  created_at: "2026-09-21T14:13:20.000Z",
  updated_at: "2026-09-21T14:13:20.400Z",
};

/** The same, still to be sent. */
export const SCHEDULED_EXAMPLE = {
  ...MESSAGE_EXAMPLE,
  type: "normal",
  status: "scheduled",
  cost: 500,
  attempts: 0,
  operator: null,
  operator_message_id: null,
  guaranteed_by: null,
  valid_until: "2026-09-25T06:00:00.000Z",
  send_at: "2026-09-22T06:00:00.000Z",
  updated_at: "2026-09-21T14:13:20.000Z",
};
