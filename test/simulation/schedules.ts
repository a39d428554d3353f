// Scheduled messages in a simulated run: customers that send messages for later, some of them in batches,
// cancel some and put some off, while relays move what is due, and customers are suspended and resumed. What
// they do is drawn from a generator of its own, and only in one seed of seven, so that the other seeds run as
// they would without. Seeds of their own have messages that wait for the end of quiet hours (quiets.ts).
// Invariants checked here: a message is queued at its time, not before, and goes into the outbox once; not
// while its customer is suspended; exactly the scheduled ones have a row of the schedule, for that time; what
// counts from it moves with it; a cancel or change that is answered is stored, and one that is refused came
// too late.

import type { KeyOwner } from "../../src/customers/api-keys.ts";
import { setSuspended } from "../../src/customers/customers.ts";
import { unpackLaneRow } from "../../src/core/lane-record.ts";
import type { RowChange } from "../simulated-mysql/server.ts";
import type { Values } from "../simulated-mysql/tables.ts";
import { referenceIn } from "./answers.ts";
import type { Clients } from "./clients.ts";
import { callbackUrlOf } from "./customers.ts";
import { hold } from "./hold.ts";
import { isOfInbounds } from "./inbounds.ts";
import type { Kernel } from "./kernel.ts";
import type { Model } from "./model.ts";
import { createQuiets } from "./quiets.ts";
import { createRandom } from "./random.ts";
import type { Answer, Ingest, Request, World } from "./roles.ts";

export type Schedules = {
  /** Whether this seed has any. */
  readonly has: boolean;
  /** Sends some for so long. */
  start(clients: Clients, owners: readonly KeyOwner[], forMs: number, suspend: Suspend): void;
  /**
   * Sees every commit of the database; `nowMs`: by its clock; `begunAfter`: how many came before its
   * transaction began.
   */
  onCommit(changes: readonly RowChange[], nowMs: number, begunAfter: number): void;
  /** An operator took a message; `nowMs`: by the database's clock. */
  onTaken(id: string, nowMs: number): void;
  counts: Record<string, number>;
};
/** As `./sluice customer suspend` and `resume` do it; may fail. */
type Suspend = (customerId: number, isSuspended: boolean) => Promise<void>;
type Deps = {
  model: Model;
  ingests: () => readonly Ingest[];
  isCalm: () => boolean;
};

const SEEDS = 7;
const WITH_SCHEDULES = 3;
const PHONES = 12;
/** The database's clock may be set back between the moment at which something is due and its commit. */
const CLOCK_MS = 2_000;
/** By how much the clock of an ingest process may be ahead. */
const WALLS_MS = 30_000;
const VALID_S = 600;
const AGAIN_MAX = 2;
/** Some are suspended until the second leap. */
const SUSPENDED_MOST_MS = 90_000;
const LOOK_MS = 100;

/** What the command line does, in a process of its own. */
export function createSuspend({ kernel, network }: World): Suspend {
  const of = kernel.spawn("admin");
  const pool = kernel.inside(of, () => network.pool(of, 1));
  return (customerId, isSuspended) => kernel.inside(of, () => setSuspended(pool, customerId, isSuspended));
}

export function createSchedules(kernel: Kernel, seed: number, { model, ingests, isCalm }: Deps): Schedules {
  const random = createRandom(seed + 0x5ced);
  const has = seed % SEEDS === WITH_SCHEDULES;
  const quiets = createQuiets(kernel, seed);
  const counts = {
    "scheduled asked": 0,
    scheduled: 0,
    "scheduled moved": 0,
    canceled: 0,
    changed: 0,
    suspended: 0,
    held: 0,
  };
  /** When each message was asked for, by its reference. */
  const wanted = new Map<string, number>();
  const rows = new Map<string, Values>();
  /** All times that were ever stored for a message. */
  const times = new Map<string, Set<number>>();
  const produced = new Set<string>();
  let commits = 0;
  /** Suspended customers, and which commit suspended each: the how-manieth. */
  const suspended = new Map<string, number>();

  const aheadMs = (): number => random.pick([300, 900, 2_500, 60_000, 600_000]) * random.between(0.3, 1);
  const timeText = (inMs: number): string => new Date(Math.floor(kernel.wallMs(null) + inMs)).toISOString();
  const bodyOf = (reference: string, text: string) => ({
    phone: `+98912${1_000_000 + random.int(PHONES)}`,
    text,
    reference,
  });

  const send = (clients: Clients, owner: KeyOwner): void => {
    const name = `later-${++counts["scheduled asked"]}`;
    const sendAt = timeText(aheadMs());
    const terms = {
      type: random.chance(0.3) ? "express" : "normal",
      send_at: sendAt,
      callback_url: callbackUrlOf(owner, counts["scheduled asked"]),
      ...(random.chance(0.4) ? { valid_for: VALID_S } : {}),
    };
    const size = random.chance(0.2) ? 2 + random.int(4) : 1;
    const references = size === 1 ? [name] : Array.from({ length: size }, (_, at) => referenceIn(name, at));
    for (const reference of references) wanted.set(reference, Date.parse(sendAt));
    const messages = references.map((reference) => bodyOf(reference, "it's later"));
    const body = size === 1 ? { ...messages[0], ...terms } : { messages, ...terms };
    const route = size === 1 ? "send" : "batch";
    const key = random.chance(0.5) ? name : null;
    const request = { route, owner, body: Buffer.from(JSON.stringify(body)), key } as const;
    clients.ask(request, name, key !== null && random.chance(0.3) ? [random.between(0, 400)] : []);
  };

  /** Asks one process to cancel a message, or to send it at another time, and again if nothing came of it. */
  const ask = (owner: KeyOwner, id: string, inMs: number | null, again = 0): void => {
    const living = ingests().filter(({ of }) => of.alive);
    if (living.length === 0) return;
    const to = random.pick(living);
    const body = inMs === null ? "" : JSON.stringify({ send_at: timeText(inMs) });
    const route = inMs === null ? "cancel" : "change";
    const request: Request = { route, owner, body: Buffer.from(body), key: null, id };
    const askedMs = kernel.wallMs(null);
    let isHeard = true;
    kernel.after(random.between(0.1, 2), to.of, () => {
      const answered = (answer: Answer | null) =>
        void kernel.after(random.between(0.1, 2), null, () => {
          if (answer !== null && isHeard) check(id, inMs === null ? null : body, askedMs, answer);
          if (answer?.status !== 200 && again < AGAIN_MAX) ask(owner, id, inMs, again + 1);
        });
      to.handle(request, { traceparent: "", isGone: () => !isHeard }).then(answered, () => answered(null));
      if (random.chance(0.1)) kernel.after(random.between(0, 20), to.of, () => (isHeard = false));
    });
  };

  const check = (id: string, change: string | null, askedMs: number, { status, body }: Answer): void => {
    const message = model.messages.get(id);
    const detail = () => `${id} ${change ?? "canceled"}: ${status} ${body}; it is ${message?.status}`;
    kernel.note("answer", `${change === null ? "cancel" : "change"} ${id} ${status}`);
    if (status === 200 && change === null) {
      counts.canceled++;
      hold(message?.status === "canceled", "a cancel that is answered is stored", detail);
    } else if (status === 200) {
      counts.changed++;
      const atMs = Date.parse((JSON.parse(change as string) as { send_at: string }).send_at);
      // What is over by the process's clock is sent at once; the process may have stood still before it read.
      const untilMs = atMs + WALLS_MS + kernel.wallMs(null) - askedMs;
      const isStored = [...(times.get(id) ?? [])].some((ms) => ms >= atMs && ms < untilMs);
      hold(isStored, "a change that is answered is stored", detail);
    } else if (status === 409)
      hold(message?.status !== "scheduled", "409 only for what is no longer scheduled", detail);
    else if (status === 422) hold(change !== null && !isCalm(), "422 only for a time that is over", detail);
    else hold(status === 503 && !isCalm(), "no other answer to a cancel or a change", detail);
  };

  /** Suspends or resumes a customer, however often that takes; then calls `done`. */
  const setTo = (suspend: Suspend, customerId: number, isSuspended: boolean, done: () => void): void => {
    const again = () => void kernel.after(LOOK_MS, null, () => setTo(suspend, customerId, isSuspended, done));
    suspend(customerId, isSuspended).then(done, again);
  };
  /** Suspends a customer for so long by the clock on the wall, which leaps. */
  const suspendFor = (suspend: Suspend, customerId: number, forMs: number): void =>
    setTo(suspend, customerId, true, () => {
      counts.suspended++;
      const endMs = kernel.wallMs(null) + forMs;
      const look = (): void => {
        if (kernel.wallMs(null) >= endMs) setTo(suspend, customerId, false, () => undefined);
        else kernel.after(LOOK_MS, null, look);
      };
      look();
    });

  const start: Schedules["start"] = (clients, owners, forMs, suspend) => {
    quiets.start(clients, owners, forMs);
    if (!has) return;
    for (const { customerId } of owners)
      if (random.chance(0.7))
        kernel.after(random.between(0, forMs), null, () =>
          suspendFor(suspend, customerId, random.pick([50, 500, 2_000, SUSPENDED_MOST_MS])),
        );
    for (const owner of owners) {
      const everyMs = random.pick([60, 200, 500]);
      const next = () => {
        if (kernel.nowMs() > forMs) return;
        send(clients, owner);
        const own = [...model.messages.values()].filter(
          (m) =>
            m.customerId === owner.customerId &&
            times.has(m.id) &&
            (m.status === "scheduled" || random.chance(0.1)),
        );
        if (own.length > 0 && random.chance(0.6))
          ask(owner, random.pick(own).id, random.chance(0.5) ? null : aheadMs());
        kernel.after(random.between(0, 2 * everyMs), null, next);
      };
      kernel.after(random.between(50, 500), null, next);
    }
  };

  const onMessage = (before: Values | null, after: Values, nowMs: number, begunAfter: number): void => {
    const [id, sendAtMs] = [String(after.id), Number(after.send_at)];
    const detail = () =>
      `${id} ${String(after.status)} for ${sendAtMs}, now ${nowMs}; ${JSON.stringify(before)}`;
    if (after.send_at === null) return;
    const known = times.get(id) ?? new Set();
    times.set(id, known.add(sendAtMs));
    if (before === null && isOfInbounds(after.reference)) return;
    if (before === null) {
      counts.scheduled++;
      hold(
        wanted.get(String(after.reference)) === sendAtMs,
        "what is scheduled is for the time asked for",
        detail,
      );
      const validMs = after.valid_until === null ? VALID_S * 1_000 : Number(after.valid_until) - sendAtMs;
      hold(validMs === VALID_S * 1_000, "validity counts from send_at", detail);
      const isPromised = after.guaranteed_by === null || Number(after.guaranteed_by) > sendAtMs;
      hold(isPromised, "a promise counts from send_at", detail);
      return;
    }
    const shift = sendAtMs - Number(before.send_at);
    for (const name of ["valid_until", "guaranteed_by"]) {
      const [was, is] = [before[name], after[name]];
      const isMoved = was === null ? is === null : Number(is) - Number(was) === shift;
      hold(isMoved, "what counts from send_at moves with it", detail);
    }
    hold(shift === 0 || before.status === "scheduled", "only a scheduled message is put off", detail);
    if (before.status !== "scheduled" || after.status !== "queued") return;
    counts["scheduled moved"]++;
    hold(nowMs >= sendAtMs - CLOCK_MS, "nothing is queued before its time", detail);
    const by = suspended.get(String(after.customer_id)) ?? Number.POSITIVE_INFINITY;
    hold(begunAfter < by, "nothing of a suspended customer is queued", detail);
  };

  const checkRow = (id: string): void => {
    const message = model.messages.get(id);
    const row = rows.get(id);
    const waits = row !== undefined && row.moved === 0;
    const detail = () =>
      `${id} ${message?.status} for ${String(message?.values.send_at)}, row ${JSON.stringify(row)}`;
    hold(waits === (message?.status === "scheduled"), "exactly scheduled messages have a row", detail);
    hold(!waits || row.run_at === message?.values.send_at, "a row is for its message's time", detail);
  };

  return {
    has: has || quiets.has,
    get counts() {
      return { ...counts, ...quiets.counts };
    },
    start,
    onTaken: quiets.onTaken,
    onCommit(changes, nowMs, begunAfter) {
      commits++;
      quiets.onCommit(changes, nowMs);
      if (!has) return;
      const touched = new Set<string>();
      for (const { table, before, after } of changes) {
        if (table === "messages" && after !== null) {
          onMessage(before, after, nowMs, begunAfter);
          if (after.send_at !== null) touched.add(String(after.id));
        } else if (table === "customers" && after !== null) {
          const [id, at] = [String(after.customer_id), after.suspended_at];
          if (at === null || at === undefined) suspended.delete(id);
          else if (!suspended.has(id)) suspended.set(id, commits);
        } else if (table === "scheduled_messages") {
          const id = String((after ?? before)?.message_id);
          if (after !== null && Number(after.held_for) > 0) counts.held++;
          if (after === null) rows.delete(id);
          else rows.set(id, after);
          touched.add(id);
        }
      }
      for (const { table, before, after } of changes)
        if (table === "outbox" && before === null && after !== null && after.lane !== "events")
          for (const { id, attempt } of unpackLaneRow(after.payload as Uint8Array)) {
            if (attempt > 0 || !times.has(id)) continue;
            const status = model.messages.get(id)?.status;
            hold(
              status === "queued",
              "nothing goes into the outbox before its time",
              () => `${id} is ${status}`,
            );
            hold(!produced.has(id), "a due message goes into the outbox once", () => id);
            produced.add(id);
          }
      for (const id of touched) checkRow(id);
    },
  };
}
