// Templates of requests: a text with placeholders such as {phone}, compiled once for each operator. Owns the
// placeholders and their values; leaves the places where templates stand to http-request.ts.
// Nothing is evaluated: a placeholder is a name of the table below, or a secret that the operator's entry
// names. Invariant: each value is encoded for the place it stands in, so no text, sender or secret can end
// that place; literals are the author's.

import { idNumber } from "../../core/id.ts";
import type { LaneRecord } from "../../core/lane-record.ts";
import { nationalForms } from "../../core/phone.ts";
import { validUntilOf } from "../../core/retries.ts";

export type Scalar = string | number | boolean;
/** What an operator's entry adds to the messages. */
export type TemplateSettings = {
  /** The sender of messages without one. */
  sender?: string | undefined;
  /** Its own words for our encodings. */
  encodings?: { gsm7?: Scalar | undefined; ucs2?: Scalar | undefined } | undefined;
  secrets?: Readonly<Record<string, string>> | undefined;
};

type Placeholder = {
  meaning: string;
  /** Whatever the customer wrote: not in a path, where ".." would lead elsewhere. */
  free?: true;
  /** Null if the message has none. */
  of(message: LaneRecord, settings: TemplateSettings): Scalar | null;
};

export const PLACEHOLDERS: Readonly<Record<string, Placeholder>> = {
  id: { meaning: "our id of the message, 26 characters", of: ({ id }) => id },
  phone: { meaning: "the recipient in E.164: `+989121234567`", of: ({ phone }) => phone },
  phone_digits: { meaning: "without the plus: `989121234567`", of: ({ phone }) => phone.slice(1) },
  phone_national: {
    meaning: "as it is dialled within its country: `09121234567`",
    of: ({ phone }) => nationalForms(phone).dialled,
  },
  phone_nsn: {
    meaning: "its national significant number: `9121234567`",
    of: ({ phone }) => nationalForms(phone).significant,
  },
  text: { meaning: "the text", free: true, of: ({ text }) => text },
  text_ucs2_hex: {
    meaning: "the text as UCS-2 (UTF-16, big-endian) in hex: `0633…`",
    of: ({ text }) => Buffer.from(text, "utf16le").swap16().toString("hex").toUpperCase(),
  },
  from: {
    meaning: "the message's `from`; `sender` of the entry if it has none",
    free: true,
    of: ({ from }, { sender }) => from ?? sender ?? null,
  },
  parts: { meaning: "how many parts the text has; a number in JSON", of: ({ parts }) => parts },
  encoding: {
    meaning: "`gsm7` or `ucs2`, or the operator's own word from `encodings`",
    of: ({ encoding }, { encodings }) => encodings?.[encoding] ?? encoding,
  },
  valid_until: {
    meaning: "until when it is worth delivering: `2026-01-05T03:04:05.006Z`",
    of: (message) => new Date(validUntilOf(message)).toISOString(),
  },
  valid_until_unix: {
    meaning: "the same in seconds since 1970; a number in JSON",
    of: (message) => Math.floor(validUntilOf(message) / 1_000),
  },
  id_number: {
    meaning: "a number of at most 19 digits made of our id, for operators that take no letters",
    of: ({ id }) => idNumber(id),
  },
  traceparent: {
    meaning: "the W3C trace context; each request has it as a header already",
    of: ({ traceparent }) => traceparent || null,
  },
};
const SECRET = "secret.";

// ---- reading ----

/** A literal, or the name of a placeholder. */
type Piece = { literal: string } | { name: string };

const TOKEN = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;
// What authors of other template languages write; taken literally, the operator would get the name.
const MUSTACHE = /(?<!\{)\{\{\s*([\w.]+)\s*\}\}(?!\})/;

function parse(text: string): Piece[] | { problem: string } {
  const pieces: Piece[] = [];
  let literal = "";
  let at = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [token, name] = match;
    literal += text.slice(at, match.index);
    at = match.index + token.length;
    if (token === "{{" || token === "}}") literal += token.slice(1);
    else if (name === undefined)
      return { problem: `has a "${token}" without its other half: for a brace itself write it twice` };
    else {
      if (literal !== "") pieces.push({ literal });
      literal = "";
      pieces.push({ name });
    }
  }
  literal += text.slice(at);
  if (literal !== "") pieces.push({ literal });
  return pieces;
}

const isKnown = (name: string): boolean => Object.hasOwn(PLACEHOLDERS, name);

/** What is wrong with a template, for whoever wrote it; null if nothing is. */
export function templateProblem(
  text: string,
  { secrets, inPath = false }: { secrets: readonly string[]; inPath?: boolean },
): string | null {
  const mustache = MUSTACHE.exec(text)?.[1];
  if (mustache !== undefined && (isKnown(mustache) || mustache.startsWith(SECRET)))
    return "has a placeholder in two braces: write it in one";
  if (text.includes("${")) return 'has a "${": a placeholder is {name}, without the dollar sign';
  const pieces = parse(text);
  if ("problem" in pieces) return pieces.problem;
  for (const piece of pieces) {
    if ("literal" in piece) continue;
    const { name } = piece;
    if (name.startsWith(SECRET)) {
      if (!secrets.includes(name.slice(SECRET.length)))
        return `{${name}} is not in \`secrets\`: name where that one is kept`;
    } else if (!isKnown(name))
      return (
        `has a placeholder that doesn't exist: it can be ${Object.keys(PLACEHOLDERS).join(", ")}, ` +
        "or secret.NAME of `secrets`; {{ and }} are braces"
      );
    else if (inPath && PLACEHOLDERS[name]?.free === true)
      return `{${name}} can't be in a path: put it in the query or the body`;
  }
  return null;
}

// ---- compiling ----

/** How a place takes what stands in it. */
export type Place = { literal(text: string): string; value(text: string): string };
/** Null if the template is a single placeholder for which the message has no value. */
export type Compiled = (message: LaneRecord) => string | null;

/** @throws Error for a template that the check of the routes file refuses */
export function compileTemplate(text: string, settings: TemplateSettings, place: Place): Compiled {
  const pieces = parse(text);
  if ("problem" in pieces) throw new Error(`a template ${pieces.problem}`);
  const parts = pieces.map((piece) =>
    "literal" in piece ? place.literal(piece.literal) : valueOf(piece.name, settings),
  );
  const [only = ""] = parts;
  if (parts.length <= 1) {
    if (typeof only === "string") return () => only;
    return (message) => {
      const value = only(message);
      return value === null ? null : place.value(String(value));
    };
  }
  return (message) => {
    let made = "";
    for (const part of parts) {
      if (typeof part === "string") made += part;
      else made += place.value(String(part(message) ?? ""));
    }
    return made;
  };
}

type Value = (message: LaneRecord) => Scalar | null;

/** @throws Error for an unknown name */
function valueOf(name: string, settings: TemplateSettings): Value {
  const secret = name.startsWith(SECRET) ? settings.secrets?.[name.slice(SECRET.length)] : undefined;
  if (secret !== undefined) return () => secret;
  const placeholder = isKnown(name) ? PLACEHOLDERS[name] : undefined;
  if (placeholder === undefined) throw new Error(`no placeholder {${name}}`);
  return (message) => placeholder.of(message, settings);
}

/** Any text as a template that means just that text. */
export const literally = (text: string): string => text.replaceAll(/[{}]/g, "$&$&");

// ---- JSON ----

export type Json = Scalar | null | readonly Json[] | { readonly [name: string]: Json };

const IN_STRING: Place = {
  literal: (text) => JSON.stringify(text).slice(1, -1),
  value: (text) => JSON.stringify(text).slice(1, -1),
};

/**
 * A value of JSON whose texts are templates, as text. A member or item that is a single placeholder without a
 * value is left out; one that is {parts}, say, is a number. Names are as written.
 */
export function compileJson(json: Json, settings: TemplateSettings): Compiled {
  if (typeof json === "string") return compileString(json, settings);
  if (json === null || typeof json !== "object") {
    const text = JSON.stringify(json);
    return () => text;
  }
  if (isList(json)) {
    const items = json.map((item) => compileJson(item, settings));
    return (message) =>
      `[${items
        .map((item) => item(message))
        .filter((item) => item !== null)
        .join(",")}]`;
  }
  const members = Object.entries(json).map(
    ([name, value]) => [`${JSON.stringify(name)}:`, compileJson(value, settings)] as const,
  );
  return (message) => {
    let made = "";
    for (const [name, value] of members) {
      const text = value(message);
      if (text !== null) made += (made === "" ? name : `,${name}`) + text;
    }
    return `{${made}}`;
  };
}

// Array.isArray doesn't narrow a readonly list.
const isList = (json: Json): json is readonly Json[] => Array.isArray(json);

function compileString(text: string, settings: TemplateSettings): Compiled {
  const pieces = parse(text);
  const [only] = "problem" in pieces ? [] : pieces;
  if (only === undefined || "problem" in pieces || pieces.length > 1 || "literal" in only) {
    const inside = compileTemplate(text, settings, IN_STRING);
    return (message) => `"${inside(message) ?? ""}"`;
  }
  const value = valueOf(only.name, settings);
  return (message) => {
    const found = value(message);
    return found === null ? null : JSON.stringify(found);
  };
}
