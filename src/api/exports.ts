// Lists that are to be had whole (src/reports/exports.ts): what their routes share. A route with `exported`
// answers a page of JSON, or, with the parameter `format`, all of its list.
// Invariant: no page is read for a caller that would be refused now.

import type { TObject } from "typebox";
import { type ExportPage, formatOf, MEDIA_TYPES, openExport } from "../reports/exports.ts";
import type { Query } from "../reports/params.ts";
import type { Call, Streamed } from "./route.ts";
import { type Streams, streamed } from "./streams.ts";

type Rows<R> = {
  /** The schema of a row; its properties are the columns. */
  row: TObject;
  /** Reads a page of the list; the query has its cursor. */
  read: (query: Query) => Promise<ExportPage<R>>;
};

/** The whole list, if that is asked for; otherwise null. @throws SluiceError */
export function exportOf<R extends object>(
  streams: Streams,
  call: Pick<Call, "query" | "request" | "owner" | "again" | "isStopping">,
  { row, read }: Rows<R>,
): Promise<Streamed> | null {
  const { query, isStopping } = call;
  const format = formatOf(query);
  if (format === null) return null;
  const columns = Object.keys(row.properties);
  const cursor = query.get("cursor") ?? null;
  const readAt = async (at: string | null) => {
    await call.again();
    return read(at === null ? query : new Map([...query, ["cursor", at]]));
  };
  return streamed(streams, call, async () => {
    const { as_of, pieces } = await openExport(readAt, { format, columns, cursor, isStopping });
    const headers = { "content-type": MEDIA_TYPES[format], ...(as_of === null ? {} : { "x-as-of": as_of }) };
    return { pieces, headers };
  });
}
