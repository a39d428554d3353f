// What happens to the events of bench/usage.ts between Kafka and ClickHouse: some are lost there, so that
// they come first when all others are there, and a larger share comes again. Leaves Kafka to
// events-again.ts, which it runs on Node. Invariant: exactly the events that were lost come late; each is
// also among those that come again, or they would stay lost until the background check finds it.

import { spawn } from "node:child_process";
import { join } from "node:path";
import type { Clickhouse } from "../src/platform/clickhouse.ts";
import type { Again, Asked, Offsets } from "./events-again.ts";

type Say = (line: string) => void;
const TOOL = join(import.meta.dirname, "events-again.ts");
const LOG_CHARS_MAX = 4_000;

/** Where the event topics end. */
export const topicEnds = (say: Say): Promise<Offsets> => run(say, "ends");

/** Waits until ClickHouse has stored everything that is in the event topics now. */
export const untilRead = (say: Say): Promise<Offsets> => run(say, "wait");

/**
 * Lets ClickHouse forget the late events, then produces those that come again, among them the late ones, and
 * waits until it has stored them. Call it when ClickHouse has all of them.
 * @throws Error unless as many were forgotten as come late
 */
export async function disturb(clickhouse: Clickhouse, asked: Asked, say: Say): Promise<Again> {
  const forgotten = {
    status: await forget(clickhouse, "messages_log", "concat(id, ':', toString(sequence))", asked),
    ledger: await forget(clickhouse, "wallet_ledger", "event_id", asked),
  };
  say(`ClickHouse has forgotten ${forgotten.status + forgotten.ledger} events, which will come late`);
  const again = await run<Again>(say, "again", JSON.stringify(asked));
  const { status, ledger } = again.late;
  if (forgotten.status !== status || forgotten.ledger !== ledger)
    throw new Error(`forgotten: ${JSON.stringify(forgotten)}, late in Kafka: ${JSON.stringify(again.late)}`);
  return again;
}

async function forget(
  clickhouse: Clickhouse,
  table: string,
  eventId: string,
  { customerIds, seed, late }: Asked,
): Promise<number> {
  // Only numbers, because a mutation takes no parameters.
  const isLate =
    `customer_id IN (${customerIds.join(",")}) AND ` +
    `CRC32(concat('${seed}:', ${eventId})) % 1000 < ${late}`;
  const count = async () => {
    const sql = `SELECT uniqExact(${eventId}) AS n FROM ${table} WHERE ${isLate}`;
    return Number((await clickhouse.query<{ n: string }>(sql))[0]?.n);
  };
  const before = await count();
  await clickhouse.command(`ALTER TABLE ${table} DELETE WHERE ${isLate} SETTINGS mutations_sync = 1`);
  const left = await count();
  if (left > 0) throw new Error(`${left} late events are still in ${table}`);
  return before;
}

/** Runs events-again.ts; returns what it prints. @throws Error with its log if it fails */
function run<T>(say: Say, ...args: string[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const child = spawn("node", [TOOL, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let log = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-LOG_CHARS_MAX);
      say(chunk.toString().trimEnd());
    });
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve(JSON.parse(out) as T);
      else reject(new Error(`events-again.ts ${args[0]} ended with ${code}\n${log}`));
    });
  });
}
