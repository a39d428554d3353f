// Planted bugs in quiet hours; bugs.ts has the list of all. One seed in ten has quiet hours.

import { type Bug, bug } from "./bug.ts";

const DRAFT = "src/core/draft.ts";
const QUIET = "src/core/quiet-hours.ts";

export const QUIET_BUGS: readonly Bug[] = [
  bug(
    "quiet",
    "normal messages are sent within quiet hours",
    DRAFT,
    "draft: waits === null ? draft : { ...draft, ...waits }",
    "draft",
  ),
  bug("quiet", "express waits, too", DRAFT, 'return lane === "express" ? null : putOff(', "return putOff("),
  bug(
    "quiet",
    "a time within quiet hours is kept",
    DRAFT,
    "atMs: sendAtMs ?? nowMs, validForMs });",
    "atMs: nowMs, validForMs });",
  ),
  bug(
    "quiet",
    "what is put off is valid for as long from the end of quiet hours on",
    QUIET,
    "return { sendAtMs, validForMs: leftMs };",
    "return { sendAtMs, validForMs };",
  ),
  bug(
    "quiet",
    "quiet hours are those of UTC",
    QUIET,
    "const local = instant.toZonedDateTimeISO(zone);",
    'const local = instant.toZonedDateTimeISO(zone === "" ? zone : "UTC");',
  ),
  bug("quiet", "quiet hours end a minute later", QUIET, "minute >= untilMin]", "minute > untilMin]"),
  bug(
    "quiet",
    "all of a batch are sent when its first message is",
    "src/ingest/accept-batch.ts",
    "recordOf(id(), payer, { ...draft, lane }, { traceparent, promisedMs }),",
    "recordOf(id(), payer, { ...draft, ...{ sendAtMs: wanted.sendAtMs as number }, lane }, " +
      "{ traceparent, promisedMs }),",
  ),
  bug(
    "quiet",
    "what is put off is queued at once",
    "src/ledger/schedule-rows.ts",
    "`AND run_at<=NOW(3) ORDER BY",
    "`ORDER BY",
  ),
];
