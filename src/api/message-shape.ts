// The schema of a message as customers see it.

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
  created_at: Time,
  updated_at: Time,
};
