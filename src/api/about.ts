// What a route says of itself for the reference: words, and an example of its body and of each answer.
// src/api/openapi/ prints them; its test compares the examples with the schemas.

import type { TSchema } from "typebox";
import type { ParamName } from "../reports/params.ts";
import type { HeaderName } from "./openapi/headers.ts";

/** The groups of routes, in the order of the reference. */
export const TAGS = {
  Messages: "Send messages, and see what became of them.",
  Codes: "One-time codes: send one by the express lane, and verify what its recipient typed.",
  Templates: "Texts with parameters, stored once and sent by their id.",
  Wallet: "Credit in whole minor units of one currency: top-ups, balance, statement, and the proof of both.",
  Reports: "What was sent, from the reporting database; `as_of` says how fresh an answer is.",
  Webhooks: "Calls to the customer's URL when the status of a message changes, or a message comes in.",
  "Opt-outs": "Phones that don't want a customer's messages.",
  Operators: "For operators, not for customers: delivery reports, and messages that come in.",
  Service: "For whoever runs Sluice, and for tools: probes, metrics, this document.",
} as const;
/** Those of the admin API. */
export const ADMIN_TAGS = {
  Customers: "Who may send, what they pay, how they are limited, and whether they are served.",
  Keys: "Customers' API keys.",
  Wallets: "Top-ups, adjustments with a reason, spend caps, statements.",
  Messages: "What became of one message: its attempts, its money, its webhooks.",
  Prices: "Price plans by destination.",
  Routes: "Operators and routes: what the routes file has, who would take a number, and another file.",
  Gateway: "Who sent the most, and the audit log.",
  Service: "For whoever runs Sluice, and for tools.",
} as const;
export type Tag = keyof typeof TAGS | keyof typeof ADMIN_TAGS;

export type PathParam = { schema: TSchema; description: string; example: string };

export type About = {
  /** Unique; generated clients name their functions after it. */
  operationId: string;
  tag: Tag;
  /** One line, without a full stop. */
  summary: string;
  /** Markdown: what the schemas and errors don't say. */
  description?: string;
  /** The parameters of the path, by name. */
  path?: Readonly<Record<string, PathParam>>;
  /** The parameters of the query that it does not do without; and the key, if it must have one. */
  needs?: readonly (ParamName | "Idempotency-Key")[];
  /** False: once it took effect, a repeat without key may be refused, or do more than the first. */
  repeatable?: false;
  /** An example of the body; text if its bytes are taken as they come. */
  body?: unknown;
  /** An example of each answer that has a body, by status. */
  answers: Readonly<Record<number, unknown>>;
  /** The media type of the answers; JSON unless given. */
  mediaType?: string;
  /** What an answer leads to: by operationId, where in the answer the `id` of that operation's path is. */
  links?: Readonly<Record<string, string>>;
  /** Headers of successful answers, besides those of every answer. */
  headers?: readonly HeaderName[];
};
