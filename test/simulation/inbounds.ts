// Messages that come in, and phones that opt out, in a simulated run: operators post what phones send, until
// it is acknowledged, some of it twice; phones say STOP and START; customers send to them, at once or later.
// What they do is drawn from a generator of its own, and only in two seeds of 21, so that the other seeds run
// as they would without.
// Invariants checked here: an inbound message that is acknowledged has one row, and one event, written
// together, if its customer has a URL; STOP is kept, to a shared number for all of its owners, and START ends
// it; what is scheduled to a phone that opted out is canceled, and what is sent to it is refused.

import type { KeyOwner } from "../../src/customers/api-keys.ts";
import { isInbound, unpackWebhookEvents } from "../../src/core/webhook-event.ts";
import type { RowChange, Server } from "../simulated-mysql/server.ts";
import type { Values } from "../simulated-mysql/tables.ts";
import { type OptOuts, startOptOuts } from "../../src/ingest/opt-outs.ts";
import type { Clients } from "./clients.ts";
import { callbackUrlOf, WISHES } from "./customers.ts";
import { hold } from "./hold.ts";
import type { Kernel } from "./kernel.ts";
import type { Model } from "./model.ts";
import { createRandom } from "./random.ts";
import type { Ingest } from "./roles.ts";

export type Inbounds = {
  /** Whether this seed has any. */
  readonly has: boolean;
  /** Gives each customer a number. Call it at the beginning, when no statement fails. */
  arrange(server: Server): void;
  /** Sends some for so long. */
  start(clients: Clients, owners: readonly KeyOwner[], forMs: number): void;
  /** Sees every commit of the database. */
  onCommit(changes: readonly RowChange[]): void;
  /** Everything is acknowledged, and nothing in the inbox is due. */
  isIdle(): boolean;
  /** Call it when nothing fails: sends that must be refused. */
  sendToOptedOut(clients: Clients, owners: readonly KeyOwner[]): void;
  /** Call it when nothing is running any more. */
  check(): void;
  counts: Record<string, number>;
};
type Deps = {
  model: Model;
  ingests: () => readonly Ingest[];
  tables: () => Server["tables"];
};

const SEEDS = 21;
/** The second one has scheduled messages, too. */
const WITH_INBOUND = [4, 10];
const PHONES = 4;
const PREFIX = "+98913";
/** It says STOP once to each customer's number, and nothing else. */
const STOPPED = `${PREFIX}${1_000_000 + PHONES}`;
/** One number of all customers: two have a keyword each, and the first has everything else. */
const SHARED = "5000";
const KEYWORDS = ["", "vote", "quiz"];
/** It says STOP once to the shared number. */
const SHARED_STOPPED = `${PREFIX}${1_000_001 + PHONES}`;
const UNIQUE = "hello";
const RETRY_MS = 400;
const TIMEOUT_MS = 3_000;
/** By then every process knows of an opt-out, and what was scheduled is canceled, if nothing fails. */
const KNOWN_AFTER_MS = 8_000;

/** Whether a request is to one of the phones that opt out. */
export const isToOptOuts = (body: Buffer): boolean => body.includes(PREFIX);

/** Of a process in a seed that has none. */
const NO_OPT_OUTS: OptOuts = {
  hasNone: () => true,
  refused: () => Promise.resolve(new Set()),
  stop: () => Promise.resolve(),
};

export const startOptOutsIf = (has: boolean, deps: Parameters<typeof startOptOuts>[0]): OptOuts =>
  has ? startOptOuts(deps) : NO_OPT_OUTS;

/** Of messages that are sent here, and not by schedules.ts. */
const REFERENCE = "in-";
export const isOfInbounds = (reference: unknown): boolean => String(reference).startsWith(REFERENCE);

const numberOf = (customerId: number): string => `300${customerId}`;
/** The number of a customer that a phone has said STOP to, if it has. */
const senderTo = (phone: string, { customerId }: KeyOwner): string =>
  phone === SHARED_STOPPED ? SHARED : numberOf(customerId);

export function createInbounds(kernel: Kernel, seed: number, { model, ingests, tables }: Deps): Inbounds {
  const random = createRandom(seed + 0x1b0e);
  const has = WITH_INBOUND.includes(seed % SEEDS);
  const counts = { "inbound sent": 0, "inbound stored": 0, "opted out": 0, "opt-outs refused": 0 };
  /** Whose messages were acknowledged, and stored, with the operators' ids. */
  const acknowledged = new Set<string>();
  const stored = new Map<string, string>();
  /** Since when, by the kernel's clock. */
  const optedOut = new Map<string, number>();
  const refused: string[] = [];
  let open = 0;
  let names = 0;

  const phone = (): string => `${PREFIX}${1_000_000 + random.int(PHONES)}`;
  const nameOf = (customerId: unknown, of: unknown): string => `${Number(customerId)} ${String(of)}`;

  const sharedStop = (): void => {
    const from = SHARED_STOPPED.slice(1);
    open++;
    post("shared", JSON.stringify({ from, to: SHARED, text: "STOP", id: "mo-shared" }), () => open--);
  };
  const post = (name: string, body: string, then: () => void): void => {
    const ways = ingests().filter(({ of }) => of.alive);
    let isOver = false;
    const again = () => {
      if (isOver) return;
      isOver = true;
      kernel.after(RETRY_MS, null, () => post(name, body, then));
    };
    if (ways.length === 0) return again();
    const at = {
      operator: "A",
      receivedAtMs: Math.floor(kernel.wallMs(null)),
      contentType: "application/json",
    };
    const report = { ...at, via: "mo", query: "", body: Buffer.from(body) } as const;
    random
      .pick(ways)
      .report(report)
      .then(() => {
        if (body.includes(UNIQUE)) acknowledged.add(name); // the same STOP may be a repeat
        if (!isOver) then();
        isOver = true;
      }, again);
    kernel.after(TIMEOUT_MS, null, again);
  };
  const receive = (customerId: number, given?: string): void => {
    const id = `mo-${++counts["inbound sent"]}`;
    const command = random.pick(["STOP", "لغو۱۱", "Start", "stop."]);
    const text = given !== undefined ? "STOP" : random.chance(0.6) ? command : `${UNIQUE} ${id}`;
    const body = JSON.stringify({ from: (given ?? phone()).slice(1), to: numberOf(customerId), text, id });
    for (let copies = random.chance(0.3) ? 2 : 1; copies > 0; copies--) {
      open++;
      kernel.after(random.between(0, 600), null, () => post(nameOf(customerId, id), body, () => open--));
    }
  };
  const send = (clients: Clients, owner: KeyOwner, to: string, isLater: boolean): string => {
    const name = `${REFERENCE}${++names}`;
    const sendAt = new Date(Math.floor(kernel.wallMs(null) + random.between(20_000, 90_000))).toISOString();
    const body = JSON.stringify({
      phone: to,
      text: "it's for you",
      type: "normal",
      reference: name,
      from: random.chance(0.5) ? senderTo(to, owner) : undefined,
      callback_url: callbackUrlOf(owner, names),
      ...(isLater ? { send_at: sendAt } : {}),
    });
    clients.ask({ route: "send", owner, body: Buffer.from(body), key: null }, name, []);
    return name;
  };

  const checkEvents = (changes: readonly RowChange[]): void => {
    const rows = changes.flatMap(({ table, before, after }) =>
      table === "inbound_messages" && before === null && after !== null ? [after] : [],
    );
    const events = changes.flatMap(({ table, before, after }) =>
      table === "webhook_events" && before === null && after !== null
        ? unpackWebhookEvents(after.payload as Uint8Array).filter(isInbound)
        : [],
    );
    const wanted = rows.filter(({ customer_id }) => WISHES.get(Number(customer_id))?.hasUrl === true);
    hold(
      wanted.map(({ id }) => String(id)).join() === events.map(({ inboundId }) => inboundId).join(),
      "an inbound message is told with the commit that stores it",
      () => `rows ${JSON.stringify(rows)}, events ${JSON.stringify(events)}`,
    );
    for (const row of rows) keepStored(row);
  };
  const keepStored = (row: Values): void => {
    const name = nameOf(row.customer_id, row.operator_message_id);
    counts["inbound stored"]++;
    hold(!stored.has(name), "an inbound message is stored once", () => `${name}: ${stored.get(name)}`);
    stored.set(name, String(row.id));
  };
  const checkMoved = ({ table, before, after }: RowChange): void => {
    if (table !== "messages" || before?.status !== "scheduled" || after?.status !== "queued") return;
    const sinceMs = optedOut.get(nameOf(after.customer_id, after.phone));
    const isKnown = sinceMs !== undefined && kernel.nowMs() - sinceMs > KNOWN_AFTER_MS;
    hold(!isKnown, "nothing scheduled is sent to a phone that opted out", () => JSON.stringify(after));
  };

  return {
    has,
    counts,
    arrange(server) {
      if (!has) return;
      const values = KEYWORDS.flatMap((keyword, at) => [
        `('${numberOf(at + 1)}','',${at + 1})`,
        `('${SHARED}','${keyword}',${at + 1})`,
      ]);
      const sql = `INSERT INTO inbound_numbers (number,keyword,customer_id) VALUES ${values.join(",")}`;
      server.connect(null)?.query(sql, [], (error) => {
        if (error !== null) throw error;
      });
    },
    start(clients, owners, forMs) {
      if (!has) return;
      for (const owner of owners) {
        const everyMs = random.pick([100, 250, 500]);
        kernel.after(random.between(0, forMs), null, () => receive(owner.customerId, STOPPED));
        const next = () => {
          if (kernel.nowMs() > forMs) return;
          receive(owner.customerId);
          if (random.chance(0.7)) send(clients, owner, phone(), random.chance(0.6));
          kernel.after(random.between(0, 2 * everyMs), null, next);
        };
        kernel.after(random.between(20, 500), null, next);
      }
      kernel.after(random.between(0, forMs), null, sharedStop);
    },
    onCommit(changes) {
      if (!has) return;
      checkEvents(changes);
      for (const change of changes) {
        const { table, before, after } = change;
        checkMoved(change);
        if (table !== "opt_outs") continue;
        const row = (after ?? before) as Values;
        const name = nameOf(row.customer_id, row.phone);
        if (after === null) optedOut.delete(name);
        else if (before === null) {
          counts["opted out"]++;
          optedOut.set(name, kernel.nowMs());
        }
      }
    },
    isIdle() {
      if (!has) return true;
      const waiting = [...(tables().get("inbox")?.rows.values() ?? [])].filter(({ committed }) => committed);
      const known = [...optedOut.values()].every((ms) => kernel.nowMs() - ms > KNOWN_AFTER_MS);
      return open === 0 && known && waiting.every(({ committed }) => !isInboundRow(committed as Values));
    },
    sendToOptedOut(clients, owners) {
      for (const name of optedOut.keys()) {
        const [customerId = "", to = ""] = name.split(" ");
        const owner = owners.find((one) => one.customerId === Number(customerId)) as KeyOwner;
        counts["opt-outs refused"]++;
        refused.push(send(clients, owner, to, random.chance(0.3)));
      }
    },
    check() {
      if (!has) return;
      for (const customerId of [1, 2, 3])
        for (const phone of [STOPPED, SHARED_STOPPED])
          hold(optedOut.has(nameOf(customerId, phone)), "STOP is kept", () => `${customerId} ${phone}`);
      for (const name of acknowledged) hold(stored.has(name), "what is acknowledged is stored", () => name);
      for (const message of model.messages.values())
        hold(
          !refused.includes(message.reference),
          "no message is sent to a phone that opted out",
          () => message.id,
        );
    },
  };
}

/** Rows of reports wait, too, for messages that are not found. */
const isInboundRow = ({ payload }: Values): boolean => (payload as Buffer).includes("mo-");
