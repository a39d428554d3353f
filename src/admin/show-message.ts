// What the commands of `message` print. Never a message's text, which may be a one-time code.

import { quotedIdKeys, storedId } from "../operators/reports/matching.ts";
import { createClickhouse } from "../platform/clickhouse.ts";
import { loadConfig } from "../platform/config.ts";
import { say } from "../platform/output.ts";
import { findByOperator, refusalsBy, type WholeMessage, wholeMessage } from "../reports/message-lookup.ts";
import type { Message, MessageDeps } from "../reports/messages-list.ts";
import type { Step } from "../reports/steps.ts";
import { columns } from "./columns.ts";
import { type Json, withDatabase } from "./database.ts";

export type FindOptions = Json & { operator: string; operatorMessageId: string; from?: number; to?: number };

export type RefusalsOptions = Json & { operator: string; from?: number; to?: number };

const REFUSALS_PERIOD_MS = 3_600_000;
/** For a statement that reads all customers' messages of a period. */
const TIMEOUT_MS = 70_000;

/** @throws SluiceError not_found */
export const showMessage = (id: string, { json }: Json): Promise<void> =>
  withBoth(async (deps) => {
    const message = await wholeMessage(deps, id);
    say(json ? JSON.stringify(message) : asText(message).join("\n"));
  });

/** @throws Error if there is none; SluiceError reports_unavailable */
export const findMessages = ({
  json,
  operator,
  operatorMessageId: id,
  ...period
}: FindOptions): Promise<void> =>
  withBoth(async (deps) => {
    const { from: fromMs = null, to: toMs = null } = period;
    if (fromMs !== null && fromMs >= (toMs ?? Date.now())) throw new Error("--from must be before --to");
    const [ids, keys] = [[id, storedId(id)], quotedIdKeys(id)];
    const { messages, reported } = await findByOperator(deps, { operator, ids, keys, fromMs, toMs });
    if (json) say(JSON.stringify({ messages, reported }));
    else if (messages.length > 0) say(asTable(messages));
    else
      throw new Error(
        `no message of operator ${operator} with its id ${JSON.stringify(id)}; the report was asked from ` +
          `${reported?.from} to ${reported?.to}: for another period, --from and --to`,
      );
  });

/** @throws Error if the period is none; SluiceError reports_unavailable */
export const showRefusals = ({ json, operator, ...period }: RefusalsOptions): Promise<void> =>
  withBoth(async (deps) => {
    const { to: toMs = Date.now(), from: fromMs = toMs - REFUSALS_PERIOD_MS } = period;
    if (fromMs >= toMs) throw new Error("--from must be before --to");
    const refusals = await refusalsBy(deps, { operator, fromMs, toMs });
    const [from, to] = [new Date(fromMs).toISOString(), new Date(toMs).toISOString()];
    if (json) return say(JSON.stringify({ from, to, refusals }));
    if (refusals.length === 0)
      return say(`none of the messages of ${from} to ${to} was refused by ${operator}`);
    const cells = refusals.map(({ messages, newest, why }) => [String(messages), newest, why]);
    say(columns(["messages", "the newest", "why"], cells, [1, 2]).join("\n"));
  });

const withBoth = (use: (deps: MessageDeps) => Promise<void>): Promise<void> =>
  withDatabase(async (pool) => {
    const clickhouse = createClickhouse(loadConfig(process.env), { timeoutMs: TIMEOUT_MS });
    try {
      await use({ pool, clickhouse });
    } finally {
      await clickhouse.close();
    }
  });

const FOUND_HEADS = ["id", "customer", "phone", "status", "operator's id", "accepted"];

const asTable = (messages: readonly Message[]): string =>
  columns(
    FOUND_HEADS,
    messages.map((row) => [
      row.id,
      row.customer_id,
      row.phone,
      row.status,
      row.operator_message_id ?? "-",
      row.created_at,
    ]),
    [0, 2, 3, 4, 5],
  ).join("\n");

const STEP_HEADS = ["at", "after", "step", "attempt", "operator", "what", "error"];
const WEBHOOK_HEADS = ["occurred", "status", "state", "calls", "last answer", "to"];
const ENTRY_HEADS = ["at", "entry", "amount"];
const REPORT_AWAY = "not known now: ClickHouse does not answer";

function asText({ timeline: _, steps, entries, webhooks, ...fields }: WholeMessage): string[] {
  const known = Object.entries(fields).filter(([, value]) => value !== null);
  return [
    ...known.map(([name, value]) => `${name}: ${value}`),
    "",
    "what happened:",
    ...(steps === null ? [REPORT_AWAY] : columns(STEP_HEADS, steps.map(stepCells), [0, 2, 4, 5, 6])),
    "",
    "its money:",
    ...(entries.length === 0
      ? ["nothing was reserved"]
      : columns(
          ENTRY_HEADS,
          entries.map(({ created_at, op, amount }) => [created_at, op, String(amount)]),
          [0, 1],
        )),
    "",
    "its webhooks, of the last 8 days:",
    ...webhookLines(webhooks),
  ];
}

function webhookLines(webhooks: WholeMessage["webhooks"]): string[] {
  if (webhooks === null) return [REPORT_AWAY];
  if (webhooks.length === 0) return ["none"];
  const cells = webhooks.map((row) => [
    row.occurred_at,
    row.status ?? "-",
    row.state,
    String(row.attempts),
    String(row.last_code ?? row.last_error ?? "-"),
    row.endpoint ?? "the customer's URL",
  ]);
  return columns(WEBHOOK_HEADS, cells, [0, 1, 2, 4, 5]);
}

const stepCells = (step: Step): string[] => [
  step.at,
  `${step.after_ms} ms`,
  step.step,
  String(step.attempt ?? "-"),
  step.operator ?? "-",
  whatOf(step),
  step.error ?? "",
];

/** The operator's answer, the status that was reported, or what was told and how that was answered. */
function whatOf({ step, answer, status, endpoint, code, took_ms: tookMs }: Step): string {
  if (step === "webhook")
    return `${status} to ${endpoint ?? "the customer's URL"}: ${code ?? "no answer"} after ${tookMs} ms`;
  return answer ?? status ?? "-";
}
