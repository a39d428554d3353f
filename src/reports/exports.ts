// Exports: a list of any length as CSV or NDJSON, read page by page while it is taken. Each row ends with a
// cursor, from which another request goes on behind it: with the same filters, and as of the same moment.
// Leaves to each report: its rows, and what "as of one moment" means there.
// Invariants: a page is read only when the one before was taken; CSV is RFC 4180, and no spreadsheet takes a
// cell of it for a formula. Bound: EXPORT_PAGE_ROWS rows in memory.

import { SluiceError } from "../core/errors.ts";
import { type Format, type Query, readParams } from "./params.ts";

type Cell = string | number | null | undefined;
export type ExportPage<R> = {
  /** A row with the cursor of what follows it. */
  rows: { row: R; cursor: string }[];
  /** Of the next page; null at the end. */
  next: string | null;
  /** The moment that all pages show; null: nothing has happened yet. */
  as_of: string | null;
};
export type ExportOptions = {
  format: Format;
  /** The columns of CSV, in order, without the cursor. */
  columns: readonly string[];
  /** Where it goes on; null: from the beginning, in CSV with the names of the columns. */
  cursor: string | null;
  /** Whether this process is stopping. */
  isStopping: () => boolean;
};

export const MEDIA_TYPES: Record<Format, string> = {
  csv: "text/csv; charset=utf-8",
  ndjson: "application/x-ndjson",
};

/** The format that is asked for; null: a page of JSON. @throws SluiceError validation_failed */
export function formatOf(query: Query): Format | null {
  const params = readParams(query);
  const format = params.format();
  params.check();
  return format;
}

/** Reads the first page, and the others while the pieces are taken. @throws what the first read throws */
export async function openExport<R extends object>(
  read: (cursor: string | null) => Promise<ExportPage<R>>,
  options: ExportOptions,
): Promise<{ as_of: string | null; pieces: AsyncGenerator<string> }> {
  const first = await read(options.cursor);
  return { as_of: first.as_of, pieces: piecesOf(first, read, options) };
}

async function* piecesOf<R extends object>(
  first: ExportPage<R>,
  read: (cursor: string) => Promise<ExportPage<R>>,
  { format, columns, cursor, isStopping }: ExportOptions,
): AsyncGenerator<string> {
  if (format === "csv" && cursor === null) yield csvLine([...columns, "cursor"]);
  for (let page = first; ; page = await read(page.next)) {
    const lines = page.rows.map(({ row, cursor: after }) =>
      format === "csv"
        ? csvLine([...columns.map((column) => (row as Record<string, Cell>)[column]), after])
        : `${JSON.stringify({ ...row, cursor: after })}\n`,
    );
    if (lines.length > 0) yield lines.join("");
    if (page.next === null) return;
    if (isStopping()) throw new SluiceError("unavailable", { detail: "The process is stopping." });
  }
}

/** One record of RFC 4180; null and undefined are empty. */
export function csvLine(cells: readonly Cell[]): string {
  return `${cells.map((cell) => csvCell(String(cell ?? ""))).join(",")}\r\n`;
}

// What spreadsheets evaluate (OWASP, "CSV Injection"), also in full width; a quote is what undoes that, so a
// cell that begins with one gets another, and the first can always be taken away.
const FORMULA = /^['=+\-@\t\r\n＝＋－＠]/;
/** Such as a phone: as a formula it is the same number. */
const NUMBER = /^[+-]?\d+$/;
const QUOTED = /[",\r\n;\t]|^ | $/;

function csvCell(text: string): string {
  const safe = FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
  return QUOTED.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
