// Quiet hours in a simulated run: customers whose normal messages wait for some phones, while quiet hours end
// or begin in the middle of the traffic. Drawn from a generator of its own, and only in one seed of ten, of
// which none has other scheduled messages, batches or caps, so that the other seeds run as they would
// without.
// Invariants checked here, by arithmetic that knows no time zones: exactly the normal messages that would be
// sent within quiet hours are put off, until their end; they are valid until they would have been; none is
// queued, or submitted, before.

import { quietUntilOf } from "../../src/core/quiet-hours.ts";
import type { KeyOwner } from "../../src/customers/api-keys.ts";
import type { RowChange } from "../simulated-mysql/server.ts";
import type { Values } from "../simulated-mysql/tables.ts";
import { referenceIn } from "./answers.ts";
import type { Clients } from "./clients.ts";
import { callbackUrlOf } from "./customers.ts";
import { hold } from "./hold.ts";
import type { Kernel } from "./kernel.ts";
import { createRandom } from "./random.ts";

export type Quiets = {
  readonly has: boolean;
  /** Gives customers quiet hours, and sends some messages for so long. */
  start(clients: Clients, owners: readonly KeyOwner[], forMs: number): void;
  /** Sees every commit of the database; `nowMs`: by its clock. */
  onCommit(changes: readonly RowChange[], nowMs: number): void;
  /** An operator took a message; `nowMs`: by the database's clock. */
  onTaken(id: string, nowMs: number): void;
  counts: Record<string, number>;
};
/** Of some phones, in Unix milliseconds. */
type Quiet = { phones: ReadonlySet<string>; fromMs: number; untilMs: number };
type Stored = { untilMs: number | null };

const hasQuiets = (seed: number): boolean =>
  seed % 6 === 1 && seed % 5 !== 4 && seed % 7 !== 3 && seed % 21 !== 4 && seed % 21 !== 10;
const PHONES = 12;
const MINUTE_MS = 60_000;
const DAY_MIN = 1_440;
/** Of each zone in January: minutes before UTC. The phones' own zone is the first. */
const ZONES = [
  [null, 210],
  ["UTC", 0],
  ["Asia/Kathmandu", 345],
  ["America/New_York", -300],
] as const;
/** As in schedules.ts. */
const CLOCK_MS = 2_000;
/** Between the decision and the message's id at most: opt-outs may have to be read first. */
const NEAR_MS = 10_000;
const VALID_S = 600;

/** Of all clients: clients.ts and batches.ts send to the same. */
const phoneOf = (n: number): string => `+98912${1_000_000 + n}`;

export function createQuiets(kernel: Kernel, seed: number): Quiets {
  const random = createRandom(seed + 0x417e);
  const has = hasQuiets(seed);
  const counts = { "quiet hours asked": 0, "put off": 0 };
  const quiets = new Map<number, Quiet>();
  /** When messages were asked for, by reference: those of others are asked for at once. */
  const wanted = new Map<string, number>();
  const stored = new Map<string, Stored>();
  // The next whole minute, at which quiet hours can end or begin, comes after a part of the traffic.
  if (has) kernel.leap(MINUTE_MS - 300 - random.int(1_500));
  const boundaryMs = Math.ceil(kernel.wallMs(null) / MINUTE_MS) * MINUTE_MS;

  const give = (owner: KeyOwner): void => {
    const [zone, aheadMin] = random.pick(ZONES);
    const ends = random.chance(0.6);
    const fromMs = boundaryMs - (ends ? 30 * MINUTE_MS : 0);
    const untilMs = boundaryMs + (ends ? 0 : (1 + random.int(2)) * MINUTE_MS);
    const minute = (ms: number) => (Math.floor(ms / MINUTE_MS) + aheadMin + DAY_MIN) % DAY_MIN;
    const rule = { fromMin: minute(fromMs), untilMin: minute(untilMs), zone };
    const some = random.chance(0.5) ? 1 : 0.4;
    const phones = Array.from({ length: PHONES }, (_, n) => phoneOf(n)).filter(() => random.chance(some));
    owner.quietUntil = quietUntilOf(phones.map((phone) => ({ ...rule, prefix: phone.slice(1) })));
    quiets.set(owner.customerId, { phones: new Set(phones), fromMs, untilMs });
  };

  /** Until when a message is put off that would be sent then; null: it isn't. */
  const endOf = (row: Values, atMs: number): number | null => {
    const quiet = quiets.get(Number(row.customer_id));
    if (quiet === undefined || row.lane !== "normal" || !quiet.phones.has(String(row.phone))) return null;
    return atMs >= quiet.fromMs && atMs < quiet.untilMs ? quiet.untilMs : null;
  };
  const send = (clients: Clients, owner: KeyOwner): void => {
    const name = `quiet-${++counts["quiet hours asked"]}`;
    const size = random.chance(0.3) ? 2 + random.int(4) : 1;
    const references = size === 1 ? [name] : Array.from({ length: size }, (_, at) => referenceIn(name, at));
    const atMs = Math.floor(kernel.wallMs(null) + random.between(60_000, 200_000));
    const isLater = random.chance(0.3);
    if (isLater) for (const reference of references) wanted.set(reference, atMs);
    const terms = {
      type: "normal",
      callback_url: callbackUrlOf(owner, counts["quiet hours asked"]),
      ...(isLater ? { send_at: new Date(atMs).toISOString() } : {}),
      ...(random.chance(0.4) ? { valid_for: VALID_S } : {}),
    };
    const messages = references.map((reference) => ({
      phone: phoneOf(random.int(PHONES)),
      text: "it's late",
      reference,
    }));
    const body = size === 1 ? { ...messages[0], ...terms } : { messages, ...terms };
    const key = random.chance(0.5) ? name : null;
    const route = size === 1 ? "send" : "batch";
    const request = { route, owner, body: Buffer.from(JSON.stringify(body)), key } as const;
    clients.ask(request, name, key !== null && random.chance(0.3) ? [random.between(0, 400)] : []);
  };

  const onStored = (row: Values): void => {
    const createdMs = Number(row.created_at);
    const wantedMs = wanted.get(String(row.reference)) ?? 0;
    const isLater = wantedMs > createdMs;
    const sendAtMs = row.send_at === null ? null : Number(row.send_at);
    const moments = isLater ? [wantedMs] : [createdMs, createdMs - NEAR_MS];
    const atMs = moments.find((ms) => sendAtMs === (endOf(row, ms) ?? (isLater ? wantedMs : null)));
    const detail = () => `${JSON.stringify(row)}: asked for ${moments}, quiet until ${endOf(row, createdMs)}`;
    hold(atMs !== undefined, "exactly what would be sent within quiet hours waits for their end", detail);
    const untilMs = endOf(row, atMs);
    stored.set(String(row.id), { untilMs });
    if (untilMs === null) return;
    counts["put off"]++;
    const fromMs = isLater ? wantedMs : createdMs;
    const validMs = row.valid_until === null ? null : Number(row.valid_until) - fromMs;
    const isValid = validMs === null || Math.abs(validMs - VALID_S * 1_000) <= NEAR_MS;
    hold(isValid, "what is put off is valid until it would have been", detail);
  };

  return {
    has,
    counts,
    start(clients, owners, forMs) {
      if (!has) return;
      for (const owner of owners) {
        give(owner);
        const everyMs = random.pick([100, 300]);
        const next = () => {
          if (kernel.nowMs() > forMs) return;
          send(clients, owner);
          kernel.after(random.between(0, 2 * everyMs), null, next);
        };
        kernel.after(random.between(50, 500), null, next);
      }
    },
    onCommit(changes, nowMs) {
      if (!has) return;
      for (const { table, before, after } of changes) {
        if (table !== "messages" || after === null) continue;
        if (before === null) onStored(after);
        else if (before.status === "scheduled" && after.status === "queued")
          hold(
            nowMs >= Number(after.send_at) - CLOCK_MS,
            "nothing is queued before its time",
            () => `${String(after.id)} for ${Number(after.send_at)}, now ${nowMs}`,
          );
      }
    },
    onTaken(id, nowMs) {
      const untilMs = stored.get(id)?.untilMs ?? null;
      hold(
        untilMs === null || nowMs >= untilMs - CLOCK_MS,
        "no normal message is submitted within quiet hours",
        () => `${id} waits until ${untilMs}, now ${nowMs}`,
      );
    },
  };
}
