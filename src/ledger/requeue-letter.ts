// Puts a dead letter's bytes back where they came from. Owns whether they may go back; leaves storing letters
// to dead-letters.ts and sending to relay and sender.
// Invariants: the letter ends in the transaction that puts its bytes back, so they go back once. A message
// goes back only while it is queued at its record's attempt: one that was refunded, requeued or taken since
// is never sent by its letter, and what the sweep requeues afterwards leaves the letter's record unclaimed.
// Bound: one letter a transaction, an outbox row at most.

import type { LetterSource } from "../core/dead-letter.ts";
import { unpackEvents } from "../core/event-record.ts";
import { type LaneRecord, packLaneRow, unpackLaneRecord, unpackLaneRow } from "../core/lane-record.ts";
import { settlementOf, type Status } from "../core/message.ts";
import { RecordError } from "../core/packed.ts";
import { unpackReports } from "../core/raw-report.ts";
import { unpackWebhookEvents } from "../core/webhook-event.ts";
import type { Connection, Pool } from "../platform/mysql.ts";
import { dropLetter, lockLetter, type StoredLetter } from "./dead-letters.ts";
import { lockRows } from "./settle.ts";
import { blob } from "./sql-text.ts";

/** A message of a letter that its letter can't send any more, and why. */
export type Over = { id: string; why: string };
/** The table that its bytes go back to. */
type Into = "outbox" | "inbox" | "webhook_events";
/** What requeuing a letter does: its bytes go back, or they stay because nothing could come of it. */
export type Requeue =
  | { kind: "requeued"; into: Into; messages: string[]; over: Over[] }
  | { kind: "over"; over: Over[] }
  | { kind: "unreadable"; reason: string };

/** Requeues a letter, unless nothing could come of it; null if there is none. */
export function requeueLetter(pool: Pick<Pool, "transaction">, id: number): Promise<Requeue | null> {
  return pool.transaction(async (conn): Promise<Requeue | null> => {
    const letter = await lockLetter(conn, id);
    if (letter === null) return null;
    const { result, inserts } = await planOf(conn, letter);
    if (result.kind !== "requeued") return result;
    for (const insert of inserts) await conn.write(insert);
    await dropLetter(conn, id);
    return result;
  });
}

/** A letter and what requeuing it would do now; null if there is none. */
export function lookAtLetter(
  pool: Pick<Pool, "transaction">,
  id: number,
): Promise<{ letter: StoredLetter; requeue: Requeue } | null> {
  return pool.transaction(async (conn): Promise<{ letter: StoredLetter; requeue: Requeue } | null> => {
    const letter = await lockLetter(conn, id);
    return letter === null ? null : { letter, requeue: (await planOf(conn, letter)).result };
  });
}

type Plan = { result: Requeue; inserts: string[] };

async function planOf(conn: Connection, { source, payload }: StoredLetter): Promise<Plan> {
  try {
    if (!Object.hasOwn(PUT_BACK, source)) throw new RecordError(`no source ${source} in this version`);
    return await PUT_BACK[source](conn, payload);
  } catch (error) {
    if (!(error instanceof RecordError)) throw error;
    return { result: { kind: "unreadable", reason: error.message }, inserts: [] };
  }
}

// By source: reads the bytes as this version can, throwing RecordError, and says what goes back.
const PUT_BACK: Record<LetterSource, (conn: Connection, payload: Buffer) => Promise<Plan>> = {
  record: async (conn, payload) => ofMessages(conn, [unpackLaneRecord(payload)]),
  messages: async (conn, payload) => ofMessages(conn, unpackLaneRow(payload)),
  // The report keeps one row for each event, however often it comes.
  events: async (_, payload) => {
    unpackEvents(payload);
    return whole("outbox", `INSERT INTO outbox (lane,payload) VALUES ('events',${blob(payload)})`);
  },
  // Whether it can be read is up to routes.yaml, which the dlr role has.
  report: async (_, payload) => {
    unpackReports(payload);
    return whole("inbox", `INSERT INTO inbox (payload) VALUES (${blob(payload)})`);
  },
  // A change that was told already is the same delivery, under its id.
  webhook: async (_, payload) => {
    unpackWebhookEvents(payload);
    return whole("webhook_events", `INSERT INTO webhook_events (payload) VALUES (${blob(payload)})`);
  },
};

const whole = (into: Into, insert: string): Plan => ({
  result: { kind: "requeued", into, messages: [], over: [] },
  inserts: [insert],
});

async function ofMessages(conn: Connection, records: readonly LaneRecord[]): Promise<Plan> {
  const rows = await lockRows(
    conn,
    records.map(({ id }) => id),
  );
  const present = new Map(rows.map(({ record, status }) => [record.id, { status, attempt: record.attempt }]));
  const over: Over[] = [];
  const waiting = records.filter((record) => {
    const why = whyNot(record.attempt, present.get(record.id));
    if (why !== null) over.push({ id: record.id, why });
    return why === null;
  });
  if (waiting.length === 0) return { result: { kind: "over", over }, inserts: [] };
  const inserts = [...Map.groupBy(waiting, ({ lane }) => lane)].map(
    ([lane, of]) => `INSERT INTO outbox (lane,payload) VALUES ('${lane}',${blob(packLaneRow(of))})`,
  );
  const messages = waiting.map(({ id }) => id);
  return { result: { kind: "requeued", into: "outbox", messages, over }, inserts };
}

/** Why this attempt of a message can't be sent; null if it can. */
function whyNot(attempt: number, now: { status: Status; attempt: number } | undefined): string | null {
  if (now === undefined) return "no message of this database";
  const { status } = now;
  const settled = settlementOf(status);
  if (settled === "refund") return `${status} and refunded: it must be accepted anew to be sent`;
  if (settled === "capture") return `${status}: an operator took it`;
  if (now.attempt !== attempt) return `${status}: it was requeued under a later attempt`;
  return status === "queued" ? null : `${status}: it is on its way`;
}
