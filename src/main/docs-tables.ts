// Tables inside hand-written pages: docs/CONNECTORS.md and docs/reference/message.md, operator.md, wallet.md
// and dlr.md contain them between markers, generated from the message machine, the posting table, the schema
// of the routes file, and the tables of placeholders, reports and SMPP's statuses. The meaning of a status or
// operation, which no other code has, is written here; the types make sure that none is left out.

import { EFFECTS, type LedgerOp, OPS, POSTINGS } from "../core/ledger.ts";
import type { TSchema } from "typebox";
import {
  ACCEPTED,
  CHARGING,
  canMove,
  isFinal,
  STATUSES,
  type Status,
  sequenceOf,
  UNRESERVED,
} from "../core/message.ts";
import { ANSWER, RULE } from "../operators/connectors/http-answer.ts";
import { KIND_NAMES, settingsOf } from "../operators/connectors/kinds.ts";
import { TLV } from "../operators/connectors/smpp-tlvs.ts";
import { PLACEHOLDERS } from "../operators/connectors/template.ts";
import { type Keywords, wanted } from "../operators/read-schema.ts";
import { ROUTE } from "../operators/routes-file.ts";
import { REPORTS } from "../operators/reports/settings.ts";
import { TERMS } from "../operators/terms.ts";
import { CODES, LAST_ERRORS } from "../operators/reports/codes.ts";
import { REPORT_STATUSES, type ReportStatus } from "../operators/reports/report.ts";
import { STATES, WORDS } from "../operators/reports/words.ts";
import { hex } from "../platform/smpp/pdu.ts";
import { COMMAND_STATUSES, STATUS_CLASSES, type StatusClass } from "../platform/smpp/status.ts";

const MEANING: Record<Status, [meaning: string, until: string]> = {
  scheduled: [
    "accepted, to be sent later",
    "until its `send_at`; while no relay runs or its customer is suspended, longer. `failed`, `rejected` " +
      "and `expired` are allowed, but nothing makes them of it before it is `queued`",
  ],
  queued: [
    "waits in the outbox, in Kafka, in a held row, or for its next attempt",
    "until its time is over, see [attempts](#attempts); longer while no sender runs or reaches an operator",
  ],
  sending: ["claimed by a sender", "`CLAIM_TTL_MS` (30 s), then `unknown`"],
  unknown: [
    "submitted, but the answer was lost: an operator may have taken it",
    "`UNKNOWN_TTL_MS` (24 h), then `failed`",
  ],
  sent: ["an operator took it", ""],
  delivered: ["by the operator's report", ""],
  undelivered: ["by the operator's report; `last_error` says why", ""],
  failed: [
    "not sent: refused for good by every operator asked, impossible to produce, or unknown for too long",
    "",
  ],
  rejected: [
    "in [mode async](wallet.md#mode-async): nobody could pay when it was to be sent; `last_error` says why",
    "",
  ],
  expired: ["its time was over before an operator took it: `valid_for`, or express's promise", ""],
  canceled: [
    "its customer canceled it while it was `scheduled`, or its phone opted out then: `last_error` is " +
      "`opted_out`",
    "",
  ],
};

const WRITTEN_BY: Record<LedgerOp, string> = {
  topup: "`POST /v1/wallet/topup`, the door `sms`, `./sluice topup`",
  grant: "an ingest process that needs credit; a claim that reserves",
  reserve: "the group commit that accepts the message; mode `async`: its first claim",
  capture: "the settlement, once an operator took the message",
  refund: "the settlement of a message that was not sent, or of an express message that was late",
  release: "the process that ends a lease: its owner, or the reaper",
  adjust_up: "a correction by whoever runs Sluice: `./sluice adjust`, the admin API",
  adjust_down: "the same, downwards; never below what the wallet holds",
};

const REPORTED: Record<ReportStatus, string> = {
  delivered: "the phone has it",
  undelivered: "the operator gave up, or deleted it",
  expired: "not delivered within its validity",
  rejected: "refused after it had been taken",
  unknown: "the operator doesn't know; any word in no table. Ends nothing",
  none: "an intermediate notice. Ends nothing",
};

const DONE: Record<StatusClass, string> = {
  later: "refused for now: another operator gets it, or this one at the next attempt",
  elsewhere: "the same; the cause is the operator or our account, so look at it",
  for_good: "refused for good: fails and is refunded once every operator asked says so",
  perhaps_taken: "`unknown`: never sent again, settled by its report or the time limit",
};

/** By the name in the markers. */
export const TABLES: Record<string, () => string> = {
  statuses: () =>
    table(
      ["status", "rank", "meaning", "what may follow", "for how long"],
      STATUSES.map((status) => {
        const after = STATUSES.filter((to) => canMove(status, to)).map((to) =>
          to === "queued" && status !== "scheduled" ? "queued (next attempt)" : to,
        );
        const [meaning, until] = MEANING[status];
        const rank = String(sequenceOf(0, status));
        return [`\`${status}\``, rank, meaning, after.join(", ") || "nothing", until];
      }),
    ),
  charging: () =>
    table(
      ["when", "status", "money"],
      [
        ["it is accepted", list(ACCEPTED), "reserve"],
        ["it is accepted in mode `async`", list(ACCEPTED), "nothing"],
        ["nothing is reserved yet, and it is claimed", "`sending`", "reserve"],
        ["nothing is reserved yet, and it ends", list(UNRESERVED.filter(isFinal)), "nothing"],
        ...CHARGING.map(({ when, to, charge }) => [when, list(to), charge ?? "stays reserved"]),
      ],
    ),
  postings: () =>
    table(
      ["op", "leg", "from", "to", "written by", "balance", "reserved"],
      OPS.map((op) => {
        const { leg, from, to } = POSTINGS[op];
        const { balance, reserved } = EFFECTS[op];
        return [`\`${op}\``, leg, from, to, WRITTEN_BY[op], sign(balance), sign(reserved)];
      }),
    ),
  reported: () =>
    table(
      ["status", "meaning", "words", "`message_state`"],
      REPORT_STATUSES.map((status) => {
        const words = Object.keys(WORDS).filter((word) => WORDS[word] === status);
        const states = STATES.flatMap((state, number) => (state === status ? [number] : []));
        return [`\`${status}\``, REPORTED[status], words.join(", "), states.join(", ")];
      }),
    ),
  last_errors: () =>
    table(
      ["code", "meaning", "SMPP `network_error_code`", "Twilio", "Vonage", "Infobip", "Kavenegar", "Amazon"],
      Object.entries(LAST_ERRORS).map(([code, meaning]) => {
        const codes = (["smpp", "twilio", "vonage", "infobip", "kavenegar", "sns"] as const).map((shape) =>
          Object.keys(CODES[shape])
            .filter((each) => CODES[shape][each] === code)
            .join(", "),
        );
        return [`\`${code}\``, meaning, ...codes];
      }),
    ),
  smpp_statuses: () =>
    table(
      ["class", "the message is", "`command_status`"],
      STATUS_CLASSES.map((kind) => {
        const rows = COMMAND_STATUSES.filter((each) => each.kind === kind);
        const names = rows.map(({ name, range: [from, to] }) => `${hexes(from, to)} ${name}`);
        return [`\`${kind}\``, DONE[kind], names.join(" · ") + (kind === "elsewhere" ? " · any other" : "")];
      }),
    ),
  placeholders: () =>
    table(
      ["placeholder", "stands for"],
      Object.entries(PLACEHOLDERS).map(([name, { meaning }]) => [`\`{${name}}\``, meaning]),
    ),
  answer: () => table(FIELD_HEAD, fieldRows(ANSWER.properties)),
  rules: () => table(FIELD_HEAD, fieldRows(RULE.properties)),
  tlvs: () => table(FIELD_HEAD, fieldRows(TLV.properties)),
  terms: () => table(FIELD_HEAD, fieldRows(TERMS)),
  reports: () => table(FIELD_HEAD, fieldRows(REPORTS.properties)),
  kinds: () =>
    table(
      ["kind", ...FIELD_HEAD],
      KIND_NAMES.flatMap((kind) => fieldRows(settingsOf(kind)).map((cells) => [`\`${kind}\``, ...cells])),
    ),
  routes: () => table(FIELD_HEAD, fieldRows(ROUTE.properties)),
};

const hexes = (from: number, to: number): string => (from === to ? hex(from) : `${hex(from)}-${hex(to)}`);

const FIELD_HEAD = ["field", "value", "default", "meaning"];

/** Fields of the routes file, from their schema. */
function fieldRows(fields: Record<string, TSchema>): string[][] {
  return Object.entries(fields).map(([name, schema]) => {
    const { default: fallback, description = "", ...words } = schema as Keywords;
    return [
      `\`${name}\``,
      wanted(words).replace(/^must be /, ""),
      fallback === undefined ? "" : `\`${JSON.stringify(fallback)}\``,
      description,
    ];
  });
}

/**
 * The page with every marked table regenerated. @throws Error for a marker without a table or without an end
 */
export function withTables(page: string): string {
  return page.replace(/^<!-- table (\w+)[^\n]*-->\n[\s\S]*?(?=^<!-- \/table -->$)/gm, (_, name: string) => {
    const make = TABLES[name];
    if (make === undefined) throw new Error(`no table ${name}`);
    return `${mark(name)}\n${make()}\n`;
  });
}

/** The names of the tables in a page. */
export const tablesOf = (page: string): string[] =>
  [...page.matchAll(/^<!-- table (\w+)/gm)].map((match) => match[1] as string);

const mark = (name: string): string =>
  `<!-- table ${name}: written by \`bun src/main/docs.ts\`; change the code it comes from instead -->`;

const row = (cells: readonly string[]): string =>
  `|${cells.map((cell) => (cell === "" ? " " : ` ${cell} `)).join("|")}|`;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), `|${"---|".repeat(head.length)}`, ...rows.map(row)].join("\n");

const list = (statuses: readonly Status[]): string => statuses.map((status) => `\`${status}\``).join(", ");

const sign = (effect: number): string => (effect === 0 ? "" : effect > 0 ? "+" : "−");
