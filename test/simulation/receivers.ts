// The customers' ends of webhooks in a simulated run: they acknowledge, refuse, are silent, can't be reached,
// or are gone. Holds what must be true of calls and of the rows that follow from them: only what happened is
// told, under one id and with one body, where its customer wants it; an event is delivered when it was
// acknowledged, and fails only for a reason; one process at a time works on an endpoint, which stops only
// after a day without a success; in the end, everything was told.

import { MESSAGE_RECEIVED } from "../../src/core/webhook-inbound.ts";
import { ENDPOINT_PAUSED } from "../../src/core/webhook-pause.ts";
import { WEBHOOK_TIMEOUT_MS } from "../../src/core/webhook-limits.ts";
import type { Call, CallAnswer, Caller } from "../../src/webhook/call.ts";
import type { RowChange, Server } from "../simulated-mysql/server.ts";
import type { Values } from "../simulated-mysql/tables.ts";
import { endpointAt } from "./customers.ts";
import { hold } from "./hold.ts";
import type { Kernel, Process } from "./kernel.ts";
import { isSignedRight, isSamePlace, peerSaid, placeOf } from "./peers.ts";
import { nameOfChange, nameOfInbound, nameOfPause, type Told } from "./told.ts";

/** The shares of calls that are refused, whose answer is lost, that don't arrive, and that take long. */
export type ReceiverFaults = { refused: number; unheard: number; unreached: number; slow: number };
export type Receivers = {
  /** To be changed; all 0 at the beginning. */
  readonly faults: ReceiverFaults;
  callerOf(of: Process): Pick<Caller, "call">;
  /** From now on the endpoint can't be reached, or answers 410. */
  fail(url: string, how: "dead" | "gone"): void;
  /** From now on all endpoints work again. */
  heal(): void;
  /** Sees every commit of the database. `nowMs`: by the database's clock. */
  onCommit(changes: readonly RowChange[], by: object | null, nowMs: number): void;
  /** Call it when nothing is pending any more, and what failed was replayed. */
  check(): void;
  counts: Record<string, number>;
};

type Body = {
  type: string;
  data: {
    id: string;
    sequence: number;
    status: string;
    customer_id: string;
    origin: string | null;
    occurred_at: string;
  };
};

const HOUR_MS = 3_600_000;
/** As the reference says. Some successes are lost with the process that had them: hence the allowance. */
const STOPS_AFTER_MS = 24 * HOUR_MS - 2 * HOUR_MS;
const STOPS_AFTER_FAILURES = 10;
/** A process measures the time that a delivery has left. */
const CLOCKS_MS = 1_000;

export function createReceivers(
  kernel: Kernel,
  told: Told,
  { tables, nowMs }: { tables: () => Server["tables"]; nowMs: () => number },
): Receivers {
  const { random } = kernel;
  const faults: ReceiverFaults = { refused: 0, unheard: 0, unreached: 0, slow: 0 };
  const failing = new Map<string, "dead" | "gone">();
  /** What was told under which id, and with which body. */
  const ids = new Map<string, string>();
  const bodies = new Map<string, string>();
  /** Ids of events of which a 204, or a 410, was heard since they are pending. */
  const acknowledged = new Set<string>();
  const refused = new Set<string>();
  /** Endpoints that answered 410, and when each acknowledged last. */
  const gone = new Set<string>();
  const acknowledgedMs = new Map<string, number>();
  const holders = new Map<string, object | null>();
  const counts: Record<string, number> = { calls: 0, delivered: 0, stopped: 0 };
  let startedMs: number | null = null;

  const receive = (
    { url, headers, body: posted }: Call,
    code: number,
    isTaken: boolean,
    isHeard: boolean,
  ) => {
    const { customerId, endpoint } = endpointAt(url);
    const name = `${customerId} ${endpoint}`;
    const id = headers["webhook-id"] ?? "";
    // By GET all that is said is in the URL.
    const body = posted === "" ? url : posted;
    const said = peerSaid(url, posted);
    const what =
      said === null
        ? whatOf(JSON.parse(body) as Body, url)
        : (told.find(said.messageId, said.statuses) ?? `${said.messageId}:${said.statuses.join("|")}`);
    hold(isSignedRight(url, headers, posted), "Twilio's callbacks are signed by their key", () => body);
    kernel.note("call", `${url} ${id} ${code}${isHeard ? "" : " unheard"}`);
    counts.calls = (counts.calls ?? 0) + 1;
    hold(told.urls.has(what), "customers are told only of what happened", () => `${id}: ${body}`);
    hold(
      isSamePlace(told.urls.get(what), url),
      "an event is told where its customer wants it",
      () => `${url}, not ${told.urls.get(what)}: ${what}`,
    );
    hold(
      (ids.get(what) ?? id) === id && (bodies.get(id) ?? body) === body,
      "an event keeps its id and its body",
      () => `${id}, before: ${ids.get(what)}: ${body}, before: ${bodies.get(id)}`,
    );
    ids.set(what, id);
    bodies.set(id, body);
    if (code === 410) gone.add(name);
    if (isHeard && code === 410) refused.add(id);
    if (!isHeard || !isTaken) return;
    acknowledged.add(id);
    acknowledgedMs.set(name, nowMs());
  };

  const callerOf = (of: Process): Pick<Caller, "call"> => ({
    call: (wanted) =>
      new Promise((done) => {
        startedMs ??= nowMs();
        const answer = (ms: number, what: CallAnswer) => void kernel.after(ms, of, () => done(what));
        const away = random.between(0.2, 5);
        const back = random.chance(faults.slow) ? random.between(500, 3_000) : random.between(0.2, 20);
        const how = failing.get(placeOf(wanted.url));
        if (how === "dead" || random.chance(faults.unreached)) {
          if (random.chance(0.5)) answer(away, UNREACHED);
          else answer(WEBHOOK_TIMEOUT_MS, SILENT);
          return;
        }
        const isTaken = how !== "gone" && !random.chance(faults.refused);
        // Jasmin's receivers answer with a 200, and say by its body whether they took it.
        const refusal = wanted.readsBody ? 200 : 500;
        const code = how === "gone" ? 410 : !isTaken ? refusal : wanted.readsBody ? 200 : 204;
        const said = wanted.readsBody ? { body: isTaken ? "ACK/Jasmin\n" : "OK" } : {};
        const isHeard = !random.chance(faults.unheard);
        // Outside of the process, which can't catch what is thrown there.
        kernel.after(away, null, () => receive(wanted, code, isTaken, isHeard));
        if (isHeard) answer(away + back, { kind: "answered", code, ...said });
        else answer(WEBHOOK_TIMEOUT_MS, SILENT);
      }),
  });

  const hasStopped = ({ customer_id, endpoint }: Values): boolean => {
    for (const { committed: row } of tables().get("webhook_endpoints")?.rows.values() ?? [])
      if (row !== null && row.customer_id === customer_id && row.endpoint === endpoint)
        return row.state !== "active";
    return false;
  };
  const checkDelivery = (before: Values | null, after: Values, atMs: number) => {
    const id = String(after.event_id);
    const detail = () => `${JSON.stringify(before)} became ${JSON.stringify(after)}`;
    hold(before !== null || after.state === "pending", "a delivery begins as pending", detail);
    if (before === null || before.state === after.state) return;
    if (after.state === "pending") for (const heard of [acknowledged, refused]) heard.delete(id); // a replay
    if (after.state === "delivered") {
      hold(acknowledged.has(id), "only what was acknowledged is delivered", detail);
      counts.delivered = (counts.delivered ?? 0) + 1;
    }
    if (after.state !== "failed") return;
    const isOver = atMs >= Number(after.give_up_at) - CLOCKS_MS;
    const mayFail = refused.has(id) || isOver || hasStopped(after);
    hold(mayFail, "a delivery fails only when its receiver, its time or its endpoint is over", detail);
  };
  const checkEndpoint = (before: Values, after: Values, by: object | null, atMs: number) => {
    const [was, is] = [before.lease, after.lease];
    const name = `${Number(after.customer_id)} ${String(after.endpoint)}`;
    const detail = () => `${name}: ${JSON.stringify(before)} became ${JSON.stringify(after)}`;
    if (is !== null && is !== was) {
      const isFree = was === null || Number(before.run_at) <= atMs;
      hold(isFree, "an endpoint is taken over only when its lease is over", detail);
      holders.set(String(is), by);
    }
    if (was !== null && is === null)
      hold(holders.get(String(was)) === by, "only its holder ends a lease", detail);
    if (before.state !== "active" || after.state === "active") return;
    counts.stopped = (counts.stopped ?? 0) + 1;
    if (after.state === "gone") return hold(gone.has(name), "only after a 410 is an endpoint gone", detail);
    const failsForMs = atMs - (acknowledgedMs.get(name) ?? startedMs ?? atMs);
    const isLong = failsForMs >= STOPS_AFTER_MS && Number(after.failures) >= STOPS_AFTER_FAILURES;
    hold(isLong, "an endpoint is paused only after a day without a success", detail);
  };

  return {
    faults,
    counts,
    callerOf,
    fail: (url, how) => void failing.set(url, how),
    heal: () => failing.clear(),
    onCommit(changes, by, atMs) {
      for (const { table, before, after } of changes) {
        if (table === "webhook_deliveries") {
          hold(after !== null, "no delivery is lost", () => JSON.stringify(before));
          checkDelivery(before, after, atMs);
        }
        if (table === "webhook_endpoints" && before !== null && after !== null)
          checkEndpoint(before, after, by, atMs);
      }
    },
    check() {
      for (const [what, url] of told.urls) {
        const id = ids.get(what) ?? "";
        hold(acknowledged.has(id), "everything is told at least once", () => `${what} at ${url}`);
      }
      const rows = [...(tables().get("webhook_deliveries")?.rows.values() ?? [])];
      hold(
        rows.length === told.urls.size,
        "each event is one delivery",
        () => `${rows.length} deliveries, ${told.urls.size} events`,
      );
    },
  };
}

const UNREACHED: CallAnswer = { kind: "failed", reason: "the connection was refused", timedOut: false };
const SILENT: CallAnswer = { kind: "failed", reason: "no answer", timedOut: true };

function whatOf({ type, data }: Body, url: string): string {
  if (type === MESSAGE_RECEIVED) return nameOfInbound(data.id);
  if (type !== ENDPOINT_PAUSED) return nameOfChange(data.id, data.sequence, data.status);
  const { customer_id, origin, occurred_at } = data;
  return nameOfPause(Number(customer_id), origin ?? "", Date.parse(occurred_at), url);
}
