// What a customer gets of its usage, messages and statement, for bench/usage.ts: pages, and exports that are
// broken off and resumed as docs/reference/export.md says: a last line that isn't whole is dropped, and the
// cursor of the last whole row goes on. Bound: one list in memory; TRIES_MAX of a request, PIECES_MAX of an
// export.

import type { Format } from "../src/reports/params.ts";
import { sleep } from "../src/platform/retry.ts";
import { parseCsv, valueOf } from "../test/support/csv.ts";
import type { Fields } from "./usage-compare.ts";

export type Caller = { origin: string; apiKey: string };
type Query = Readonly<Record<string, string>>;

const TRIES_MAX = 60;
const PIECES_MAX = 20;
const RETRY_MAX_S = 5;
const NEWLINE = 0x0a;

/** All pages of a list, whose rows the answer has under `name`. */
export async function pagesOf(caller: Caller, path: string, name: string, query: Query): Promise<Fields[]> {
  const rows: Fields[] = [];
  let cursor: string | null = null;
  do {
    const asked: Query = cursor === null ? query : { ...query, cursor };
    const answer = await get(caller, path, asked);
    const page = (await answer.json()) as Record<string, unknown>;
    rows.push(...(page[name] as Fields[]));
    cursor = page.next_cursor as string | null;
  } while (cursor !== null);
  return rows;
}

export const walletAt = async (caller: Caller): Promise<Fields> =>
  (await (await get(caller, "/v1/wallet", {})).json()) as Fields;

/** `asOfMs`: the moment that all of it shows. */
export type Exported = { rows: Fields[]; asOfMs: number };

/**
 * A whole export. Its first requests are broken off after so many bytes each, its last one never.
 * @throws Error if the pieces show different moments or don't make one file
 */
export async function exportOf(
  caller: Caller,
  path: string,
  { format, ...query }: { format: Format } & Query,
  cuts: readonly number[] = [],
): Promise<Exported> {
  let file = "";
  let asOf: string | null = null;
  for (let at = 0; at < PIECES_MAX; at++) {
    const cursor = cursorAfter(file, format);
    if (cursor === null) file = ""; // not even one row: from the beginning again
    const asked = { ...query, format, ...(cursor === null ? {} : { cursor }) };
    const piece = await pieceOf(caller, path, asked, cuts[at] ?? Number.POSITIVE_INFINITY);
    if (cursor !== null && piece.asOf !== asOf)
      throw new Error(`${path}: a resumed export is as of ${piece.asOf}, not ${asOf}`);
    asOf = piece.asOf;
    file += piece.lines;
    if (piece.isWhole) return { rows: rowsOf(file, format), asOfMs: asOf === null ? 0 : Date.parse(asOf) };
  }
  throw new Error(`${path}: is not whole after ${PIECES_MAX} requests`);
}

type Piece = { lines: string; isWhole: boolean; asOf: string | null };

/**
 * What comes within so many bytes, without a last line that isn't whole. @throws Error if the gateway breaks
 * it off, which nobody asked for here
 */
async function pieceOf(caller: Caller, path: string, query: Query, bytesMax: number): Promise<Piece> {
  const breaking = new AbortController();
  const answer = await get(caller, path, query, breaking.signal);
  const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
  const chunks: Uint8Array[] = [];
  let isWhole = false;
  for (let bytes = 0; bytes < bytesMax; ) {
    const { done, value } = await reader.read();
    isWhole = done;
    if (value === undefined) break;
    chunks.push(value);
    bytes += value.length;
  }
  if (!isWhole) breaking.abort(); // closes the connection, whatever is still to come
  const all = Buffer.concat(chunks);
  const body = isWhole ? all : all.subarray(0, Math.min(all.length, bytesMax));
  const lines = body.subarray(0, body.lastIndexOf(NEWLINE) + 1);
  if (isWhole && lines.length < body.length) throw new Error(`${path}: its last line isn't whole`);
  return { lines: lines.toString(), isWhole, asOf: answer.headers.get("x-as-of") };
}

/** The cursor of the last row; null if there is none. */
function cursorAfter(file: string, format: Format): string | null {
  const from = file.lastIndexOf("\n", file.length - 2) + 1;
  const last = file.slice(from).trimEnd();
  if (last === "" || (format === "csv" && from === 0)) return null;
  return format === "csv"
    ? last.slice(last.lastIndexOf(",") + 1)
    : (JSON.parse(last) as { cursor: string }).cursor;
}

function rowsOf(file: string, format: Format): Fields[] {
  if (format === "ndjson")
    return file
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Fields);
  const [names = [], ...records] = parseCsv(file);
  return records.map((cells) => Object.fromEntries(cells.map((cell, n) => [names[n], valueOf(cell)])));
}

/** @throws Error if it is refused, or not answered for TRIES_MAX times */
async function get(
  { origin, apiKey }: Caller,
  path: string,
  query: Query,
  signal: AbortSignal | null = null,
): Promise<Response> {
  const url = `${origin}${path}?${new URLSearchParams(query).toString()}`;
  for (let tries = 1; ; tries++) {
    const answer = await fetch(url, { headers: { "x-api-key": apiKey }, signal });
    if (answer.ok) return answer;
    const text = await answer.text();
    if (answer.status !== 503 || tries >= TRIES_MAX)
      throw new Error(`GET ${path} was answered ${answer.status}: ${text.slice(0, 500)}`);
    await sleep(1_000 * Math.min(RETRY_MAX_S, Number(answer.headers.get("retry-after") ?? 1)));
  }
}
