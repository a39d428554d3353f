// The fields of a report that came by HTTP, as JSON, a form or a query: every value as the text that was
// written. Leaves to the shapes which field means what.
// Invariant: a number is never converted (ids are texts, of any size), a value that nobody asks for can't
// make a report unreadable, and bytes that are no UTF-8 are never guessed at. Bound: REPORT_ENTRIES_MAX
// entries and parameters.

import type { RawReport } from "../../core/raw-report.ts";
import { REPORT_ENTRIES_MAX } from "../../core/limits.ts";
import { ReportError } from "./report.ts";

export type HttpReport = Exclude<RawReport, { via: "smpp" }>;

export type Fields = {
  /**
   * The first of these that has a text: null if none has, "" being none. A name may be a path into JSON.
   * @throws ReportError not_utf8
   */
  text(...names: (string | undefined)[]): string | null;
  /** The first that is there, be it empty, with its blanks. @throws ReportError not_utf8 */
  whole(...names: string[]): string | null;
  /** The bytes of a text, of any encoding. */
  bytes(name: string | undefined): Uint8Array | null;
  /** Whether JSON has it, be it an object, or a parameter, be it empty. */
  has(name: string): boolean;
};

/**
 * The entries of a report: those of the list at `path` in JSON, or of the list that the whole body is;
 * otherwise the one report that body and query are together.
 * @throws ReportError not_utf8, not_json, no_entries, too_many_entries
 */
export function entriesOf(report: HttpReport, path?: string): Fields[] {
  const query = parametersOf(Buffer.from(report.query.replace(/^\?/, ""), "utf8"));
  const json = jsonOf(report);
  if (json === undefined) return [fieldsOf(undefined, [...formOf(report), ...query])];
  const found = path === undefined || Array.isArray(json) ? json : at(json, path);
  if (found === undefined || found === null || typeof found !== "object")
    throw new ReportError("no_entries", `no object or list at ${path ?? "the top"}`);
  if (!Array.isArray(found)) return [fieldsOf(found, query)];
  bounded(found.length, "entries");
  // What the query says can only be about a single report.
  return found.map((entry: unknown) => fieldsOf(entry, found.length === 1 ? query : []));
}

// ---- JSON ----

/** undefined if the body is no JSON and doesn't claim to be. */
function jsonOf({ contentType, body }: HttpReport): unknown {
  const start = body.find((byte) => byte > 0x20 && byte !== 0xef && byte !== 0xbb && byte !== 0xbf);
  if (start === undefined) return undefined;
  const looksLikeJson = start === 0x7b || start === 0x5b;
  if (!looksLikeJson && !/\bjson\b/i.test(contentType)) return undefined;
  try {
    // Every number becomes the text it was written as.
    return JSON.parse(utf8(body), (_, value: unknown, context?: { source?: string }) =>
      typeof value === "number" ? (context?.source ?? String(value)) : value,
    );
  } catch (cause) {
    if (cause instanceof ReportError) throw cause;
    // Nesting too deep to be parsed is a RangeError.
    throw new ReportError("not_json", cause instanceof Error ? cause.name : "?", { cause });
  }
}

/** What JSON has under a name, or under a path `a.b.0`; undefined if nothing. */
function at(json: unknown, path: string): unknown {
  if (own(json, path) !== undefined || !path.includes(".")) return own(json, path);
  return path.split(".").reduce(own, json);
}

const own = (json: unknown, name: string): unknown =>
  typeof json === "object" && json !== null && Object.hasOwn(json, name)
    ? (json as Record<string, unknown>)[name]
    : undefined;

// ---- forms and queries ----

/** The value is still encoded: most are never asked for. */
type Parameter = { name: string; encoded: string };

function formOf({ body }: HttpReport): Parameter[] {
  return parametersOf(Buffer.from(body.buffer, body.byteOffset, body.length));
}

/** application/x-www-form-urlencoded; of a name given twice the first counts. */
function parametersOf(bytes: Buffer): Parameter[] {
  if (bytes.length === 0) return [];
  const pairs = bytes
    .toString("latin1")
    .split("&", REPORT_ENTRIES_MAX + 1)
    .filter((pair) => pair !== "");
  bounded(pairs.length, "parameters");
  return pairs.map((pair) => {
    const equals = pair.indexOf("=");
    const name = equals < 0 ? pair : pair.slice(0, equals);
    return {
      name: /[%+\x80-\xff]/.test(name) ? percentDecoded(name).toString("utf8") : name,
      encoded: equals < 0 ? "" : pair.slice(equals + 1),
    };
  });
}

/** A percent sign without two hex digits stands for itself, as in the URL standard. */
function percentDecoded(latin1: string): Buffer {
  const blanks = latin1.replaceAll("+", " ");
  const decoded = blanks.includes("%")
    ? blanks.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : blanks;
  return Buffer.from(decoded, "latin1");
}

// ---- fields ----

function fieldsOf(entry: unknown, parameters: readonly Parameter[]): Fields {
  const valueOf = (name: string): string | Uint8Array | null => {
    const value = at(entry, name);
    if (typeof value === "string" || typeof value === "boolean") return String(value);
    const encoded = parameters.find((parameter) => parameter.name === name)?.encoded;
    return encoded === undefined ? null : percentDecoded(encoded);
  };
  return {
    text(...names) {
      for (const name of names) {
        const value = name === undefined ? null : valueOf(name);
        const text = (value instanceof Uint8Array ? utf8(value) : (value ?? "")).trim();
        if (text !== "") return text;
      }
      return null;
    },
    whole(...names) {
      for (const name of names) {
        const value = valueOf(name);
        if (value !== null) return typeof value === "string" ? value : utf8(value);
      }
      return null;
    },
    bytes(name) {
      const value = name === undefined ? null : valueOf(name);
      return typeof value === "string" ? Buffer.from(value) : value;
    },
    has: (name) => at(entry, name) !== undefined || parameters.some((parameter) => parameter.name === name),
  };
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

function utf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new ReportError("not_utf8", "bytes that are no UTF-8", { cause });
  }
}

function bounded(count: number, what: string): void {
  if (count > REPORT_ENTRIES_MAX)
    throw new ReportError("too_many_entries", `more than ${REPORT_ENTRIES_MAX} ${what}`);
}
