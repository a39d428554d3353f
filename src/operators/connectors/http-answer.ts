// What an operator's answer over HTTP says about its submit: rules of the routes file, compiled once for each
// operator. The first rule that fits decides. Leaves the sending to http-exchange.ts.
// Invariants: an answer that no rule fits, or that should be accepted but has no usable id, is lost, because
// the message may have been taken; a number is an id as it is written, of any size; no secret of ours gets
// from an answer into a reason.
// Bound: IDS_MAX ids; what an expression costs is bounded in expression.ts.

import { type Static, Type } from "typebox";
import { OPERATOR_MESSAGE_ID_CHARS_MAX, TEXT_PARTS_MAX } from "../../core/limits.ts";
import { STATUS_CLASSES } from "../../platform/smpp/status.ts";
import type { Answer } from "./connector.ts";
import { compileExpression } from "./expression.ts";
import { scalar } from "./http-request.ts";

const closed = { additionalProperties: false };
/** An operator may split a text its own way. */
const IDS_MAX = 4 * TEXT_PARTS_MAX;

/** The words of SMPP's statuses (platform/smpp/status.ts), and that it was taken. */
const MEANINGS = ["accepted", ...STATUS_CLASSES] as const;

const PATH = "^[^.]{1,100}(\\.[^.]{1,100}){0,9}$";
const Path = (description: string) =>
  Type.String({
    pattern: PATH,
    errorMessage: "must be a path into JSON: up to 10 names with dots between them, such as messages.0.id",
    description,
  });
const Expression = (description: string) => Type.String({ minLength: 1, maxLength: 500, description });
const httpStatus = { minimum: 100, maximum: 599 };

type Found = string | { matches: string };
/** Something in the answer: a path into JSON, or a group of an expression. */
const locator = (description: string) =>
  Type.Unsafe<Found>({
    anyOf: [Path("a path"), Type.Object({ matches: Expression("what the first group finds") }, closed)],
    errorMessage: "must be a path into JSON, such as messages.0.id, or { matches: an expression }",
    description,
  });

export const RULE = Type.Object(
  {
    means: Type.Enum(MEANINGS, { description: "what such an answer says about the message" }),
    status: Type.Optional(
      Type.Unsafe<number | { from: number; to: number }>({
        anyOf: [
          Type.Integer(httpStatus),
          Type.Object({ from: Type.Integer(httpStatus), to: Type.Integer(httpStatus) }, closed),
        ],
        errorMessage: "must be a status such as 200, or { from: 400, to: 499 }",
        description: "of HTTP",
      }),
    ),
    field: Type.Optional(Path("a field of the JSON; without `is` and `matches`: it is there")),
    is: Type.Optional(
      Type.Array(scalar("a value"), {
        minItems: 1,
        maxItems: 200,
        description: "the field's values; without a field, those of the answer",
      }),
    ),
    matches: Type.Optional(Expression("an expression that the field matches; without a field, the answer")),
  },
  closed,
);

export const ANSWER = Type.Object(
  {
    id: Type.Optional(locator("the operator's id of the message; none: it gives no id")),
    reason: Type.Optional(locator("why it is refused")),
    rules: Type.Array(RULE, {
      minItems: 1,
      maxItems: 100,
      description: "the first that fits decides; if none does, the message is lost",
    }),
  },
  { ...closed, description: "how the answer is read" },
);
export type AnswerSettings = Static<typeof ANSWER>;
type Rule = AnswerSettings["rules"][number];

/** Of an operator whose entry says nothing about its answers: {operator_message_id}, or {code, permanent}. */
export const OWN_ANSWER: AnswerSettings = {
  id: "operator_message_id",
  reason: "code",
  rules: [
    { status: 200, means: "accepted" },
    { status: { from: 400, to: 499 }, field: "permanent", is: [true], means: "for_good" },
    { status: { from: 400, to: 499 }, field: "permanent", is: [false], means: "later" },
    { status: 503, field: "permanent", is: [true], means: "for_good" },
    { status: 503, means: "later" },
    { status: 429, means: "later" },
    { status: { from: 400, to: 499 }, means: "for_good" },
  ],
};

type Options = {
  secrets: readonly string[];
  /** Told of refusals that are the operator's or our account's fault. */
  warn(reason: string): void;
};

/** Pure, but for the warning. */
export function compileAnswer(settings: AnswerSettings, { secrets, warn }: Options) {
  const rules = settings.rules.map(compileRule);
  const idsOf = settings.id === undefined ? null : compileFound(settings.id);
  const reasonsOf = settings.reason === undefined ? null : compileFound(settings.reason);
  const reasonOf = (answer: Reading): string => {
    const [reason = ""] = reasonsOf?.(answer) ?? [];
    return `${answer.status} ${shown(reason, secrets) || "refused"}`;
  };
  return (status: number, text: string): Answer => {
    const answer = createReading(status, text.trim());
    const means = rules.find(({ fits }) => fits(answer))?.means;
    switch (means) {
      case undefined:
        return { kind: "lost", reason: `status ${status}` };
      case "accepted": {
        const ids = idsOf === null ? [""] : (idsOf(answer) ?? []);
        const operatorMessageIds = ids.map((id) => id.trim().slice(0, OPERATOR_MESSAGE_ID_CHARS_MAX));
        const areUsable = idsOf === null || operatorMessageIds.every((id) => /^[\x21-\x7e]+$/.test(id));
        return ids.length > 0 && ids.length <= IDS_MAX && areUsable
          ? { kind: "accepted", operatorMessageIds }
          : { kind: "lost", reason: `${status} without an id` };
      }
      case "perhaps_taken":
        return { kind: "lost", reason: `${reasonOf(answer)}, perhaps taken` };
      case "elsewhere":
        warn(reasonOf(answer));
        return { kind: "refused", permanent: false, reason: reasonOf(answer) };
      case "later":
      case "for_good":
        return { kind: "refused", permanent: means === "for_good", reason: reasonOf(answer) };
    }
  };
}

/** For a log, and for the customer: short, printable, and without what only we and the operator know. */
function shown(reason: string, secrets: readonly string[]): string {
  // A shorter one, such as a user's name, is part of many words.
  const hidden = (text: string, own: string) => (own.length < 4 ? text : text.replaceAll(own, "***"));
  return secrets
    .reduce(hidden, reason)
    .replaceAll(/[^\x20-\x7e]+/g, "?")
    .trim()
    .slice(0, 60);
}

// ---- rules ----

type Compiled = { means: Rule["means"]; fits(answer: Reading): boolean };

function compileRule({ means, status, field, is, matches }: Rule): Compiled {
  const from = typeof status === "object" ? status.from : (status ?? 0);
  const to = typeof status === "object" ? status.to : (status ?? 999);
  const path = field?.split(".");
  const values = is === undefined ? null : new Set(is.map(String));
  const expression = matches === undefined ? null : compileExpression(matches);
  const holds = (text: string) => (values?.has(text) ?? true) && (expression?.fits(text) ?? true);
  return {
    means,
    fits(answer) {
      if (answer.status < from || answer.status > to) return false;
      if (path === undefined) return holds(answer.text);
      return answer.at(path)?.every(holds) ?? false;
    },
  };
}

/** The texts of what is found; null if nothing is. */
function compileFound(found: Found): (answer: Reading) => readonly string[] | null {
  if (typeof found === "string") {
    const path = found.split(".");
    return (answer) => answer.at(path);
  }
  const expression = compileExpression(found.matches);
  return ({ text }) => {
    const group = expression.find(text);
    return group === null ? null : [group];
  };
}

// ---- JSON ----

/** An answer, its JSON parsed when a rule first asks for it. */
type Reading = {
  status: number;
  text: string;
  /** The texts at a path, several where it has a `*`; null if one is missing, null, or not a single value. */
  at(path: readonly string[]): string[] | null;
};

function createReading(status: number, text: string): Reading {
  // undefined: not parsed yet. Null has no fields, like what isn't JSON.
  let plain: unknown;
  let exact: unknown;
  return {
    status,
    text,
    at(path) {
      if (plain === undefined) plain = parsed(text);
      const values = walk(plain, path);
      if (!values.some((value) => typeof value === "number")) return textsOf(values);
      // Reading every number as it is written takes some µs, so only if one is asked for.
      if (exact === undefined) exact = parsed(text, asWritten);
      return textsOf(walk(exact, path));
    },
  };
}

const asWritten = (_: string, value: unknown, context?: { source?: string }): unknown =>
  typeof value === "number" ? (context?.source ?? String(value)) : value;

function parsed(text: string, reviver?: typeof asWritten): unknown {
  try {
    const value: unknown = JSON.parse(text, reviver);
    return value ?? null;
  } catch {
    return null;
  }
}

/** The values at a path; undefined for what is missing. `*` is each item, or the one that is in no list. */
function walk(json: unknown, path: readonly string[]): unknown[] {
  let values = [json];
  for (const name of path)
    values =
      name === "*"
        ? values.flatMap((value): unknown[] => (Array.isArray(value) ? value : [value]))
        : values.map((value) => own(value, name));
  return values;
}

const own = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;

function textsOf(values: readonly unknown[]): string[] | null {
  const texts: string[] = [];
  for (const value of values) {
    if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") return null;
    texts.push(String(value));
  }
  return texts.length > 0 ? texts : null;
}
