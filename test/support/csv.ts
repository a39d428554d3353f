// Reads CSV as RFC 4180 says, and as docs/reference/export.md says what a cell means.

const CELL = /("(?:[^"]|"")*"|[^,"\r\n]*)(,|\r\n)/gy;

/** The records of a text that ends with a whole one. @throws Error if it doesn't, or isn't CSV */
export function parseCsv(text: string): string[][] {
  const records: string[][] = [[]];
  let read = 0;
  for (const [all, cell = "", end] of text.matchAll(CELL)) {
    read += all.length;
    records.at(-1)?.push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    if (end === "\r\n") records.push([]);
  }
  if (read !== text.length || records.pop()?.length !== 0)
    throw new Error(`not CSV from character ${read} on: ${JSON.stringify(text.slice(read, read + 100))}`);
  return records;
}

/** What the cell was before a quote kept spreadsheets from evaluating it. */
export const valueOf = (cell: string): string => (cell.startsWith("'") ? cell.slice(1) : cell);
