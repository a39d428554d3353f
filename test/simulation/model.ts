// What must hold whatever happens: the model with which the simulated gateway is compared at every commit of
// the database, every answer to a client and every message that an operator accepts. Written from the
// requirements, not from src/: it has its own tables of moves and postings.
// Bound: all state of one run, some hundred messages.

import type { RowChange } from "../simulated-mysql/server.ts";
import type { Values } from "../simulated-mysql/tables.ts";
import { hold } from "./hold.ts";

type Books = {
  balance: number;
  reserved: number;
  /** Sums of its entries. */
  entries: { balance: number; reserved: number };
  leases: Map<string, number>;
  unspent: number;
  /** The costs of messages that are reserved and not settled. */
  open: number;
};
export type Message = {
  id: string;
  customerId: number;
  cost: number;
  status: string;
  attempt: number;
  sequence: number;
  reference: string;
  values: Values;
  reserve: number | null;
  close: { op: string; amount: number } | null;
  /** For when it was accepted; null: to be sent at once. */
  firstSendAtMs: number | null;
  /** Express, unknown until a report that doesn't show that it was taken in time. */
  isProvenLate: boolean;
};
export type Model = {
  readonly messages: ReadonlyMap<string, Message>;
  readonly books: ReadonlyMap<number, Books>;
  /** The amounts paid in, by customer and request_id. */
  readonly topups: ReadonlyMap<string, number>;
  /** `node`: the ingest process that committed, if any; `nowMs`: by the database's clock. */
  onCommit(changes: readonly RowChange[], by: { node: string | null; nowMs: number }): void;
  onTaken(id: string): void;
  /** Processes that lost a lease because it had expired. */
  readonly reaped: ReadonlySet<string>;
  /** The balance and all leases. */
  spendable(customerId: number): number;
  /** Called when that changes. */
  onSpendable: (customerId: number, amount: number) => void;
};

const FINAL = new Set(["delivered", "undelivered", "failed", "rejected", "expired", "canceled"]);
const UNSETTLED = new Set(["scheduled", "queued", "sending", "unknown"]);
// What may follow each status.
const MOVES: Record<string, readonly string[]> = {
  scheduled: ["scheduled", "queued", "canceled"], // `scheduled` again: its time changed
  queued: ["queued", "sending", "failed", "rejected", "expired"],
  sending: ["queued", "sent", "delivered", "undelivered", "failed", "expired", "unknown"],
  unknown: ["sent", "delivered", "undelivered", "failed"],
  sent: ["delivered", "undelivered"],
};
// The rank of every final status is 5.
const RANKS: Record<string, number> = { scheduled: 0, queued: 1, sending: 2, unknown: 3, sent: 4 };
// What each entry does to balance and reserved.
const POSTINGS: Record<string, { leg: string; balance: number; reserved: number }> = {
  topup: { leg: "open", balance: 1, reserved: 0 },
  grant: { leg: "open", balance: -1, reserved: 1 },
  reserve: { leg: "open", balance: 0, reserved: 0 },
  capture: { leg: "close", balance: 0, reserved: -1 },
  refund: { leg: "close", balance: 1, reserved: -1 },
  release: { leg: "open", balance: 1, reserved: -1 },
  adjust_up: { leg: "open", balance: 1, reserved: 0 },
  adjust_down: { leg: "open", balance: -1, reserved: 0 },
};
export const isFinal = (status: string): boolean => FINAL.has(status);

const num = (values: Values, name: string): number => Number(values[name]);
const text = (values: Values, name: string): string => String(values[name]);

/** What the model knows about operators: who accepted which message, and when each sender learned of it. */
export type Taking = {
  taken: ReadonlyMap<string, string[]>;
  answeredAtMs: ReadonlyMap<string, number>;
  /** What the first stored report on a message says. */
  reportOf: (id: string, operator: string) => { end: string; doneAtMs: number } | null;
  /** Whether two operators may have it. */
  mayHaveTwo: (id: string) => boolean;
};

export function createModel({ taken, answeredAtMs, reportOf, mayHaveTwo }: Taking): Model {
  const messages = new Map<string, Message>();
  const books = new Map<number, Books>();
  const topups = new Map<string, number>();
  const claims = new Map<string, { kind: string; ids: Set<string> }>();
  const claimsOf = new Map<string, Set<string>>();
  /** Until when each node lives, by the database's clock, and how many leases it has. */
  const nodes = new Map<string, number>();
  const leasesOf = new Map<string, number>();

  const reaped = new Set<string>();
  const booksOf = (customerId: number): Books => {
    let known = books.get(customerId);
    if (known === undefined) {
      const entries = { balance: 0, reserved: 0 };
      known = { balance: 0, reserved: 0, entries, leases: new Map(), unspent: 0, open: 0 };
      books.set(customerId, known);
    }
    return known;
  };
  const messageOf = (id: string): Message => {
    let known = messages.get(id);
    if (known === undefined) {
      known = {
        id,
        customerId: 0,
        cost: 0,
        status: "",
        attempt: 0,
        sequence: 0,
        reference: "",
        values: {},
        reserve: null,
        close: null,
        firstSendAtMs: null,
        isProvenLate: false,
      };
      messages.set(id, known);
    }
    return known;
  };
  const spendable = (of: number): number => booksOf(of).balance + booksOf(of).unspent;

  type Touched = { messages: Set<Message>; customers: Set<number>; keys: Values[]; paid: Values[] };

  const postEntry = ({ before, after, key }: RowChange, touched: Touched): void => {
    hold(before === null && after !== null, "an entry is immutable", () => `entry ${key} was changed`);
    const [op, amount, customerId] = [text(after, "op"), num(after, "amount"), num(after, "customer_id")];
    const posting = POSTINGS[op];
    hold(
      posting !== undefined && posting.leg === after.leg && amount > 0,
      "entries are posted by the table",
      () => JSON.stringify(after),
    );
    const of = booksOf(customerId);
    of.entries.balance += posting.balance * amount;
    of.entries.reserved += posting.reserved * amount;
    touched.customers.add(customerId);
    if (op === "topup") touched.paid.push(after);
    if (posting.leg === "open" && op !== "reserve") return;
    const message = messageOf(text(after, "entry_id"));
    touched.messages.add(message);
    if (op === "reserve") {
      message.reserve = amount;
      of.open += amount;
    } else {
      message.close = { op, amount };
      of.open -= amount;
    }
  };

  const postMessage = ({ before, after, key }: RowChange, touched: Touched): void => {
    hold(after !== null, "no message is lost", () => `message ${key} was deleted`);
    const message = messageOf(text(after, "id"));
    touched.messages.add(message);
    const [status, attempt, sequence] = [
      text(after, "status"),
      num(after, "attempt"),
      num(after, "sequence"),
    ];
    if (before === null) {
      message.customerId = num(after, "customer_id");
      message.cost = num(after, "cost");
      message.reference = text(after, "reference");
      message.firstSendAtMs = after.send_at === null ? null : num(after, "send_at");
      const first = after.send_at === null ? "queued" : "scheduled";
      hold(
        status === first && attempt === 0 && sequence === RANKS[first],
        "a message begins as queued, or as scheduled",
        () => `${key} ${status} ${attempt} ${sequence}`,
      );
    } else {
      const was = `${message.status} ${message.attempt} ${message.sequence}`;
      const detail = () => `${key} ${was} became ${status} ${attempt} ${sequence}`;
      hold(MOVES[message.status]?.includes(status) ?? false, "statuses only move forward", detail);
      hold(
        attempt === message.attempt + (status === "queued" && message.status !== "scheduled" ? 1 : 0),
        "an attempt is counted exactly when a message is queued again",
        detail,
      );
      const isPutOff = status === "scheduled" && sequence === 0;
      hold(sequence > message.sequence || isPutOff, "a message's sequence grows with every change", detail);
    }
    const number = 6 * attempt + (RANKS[status] ?? 5);
    hold(
      sequence === number,
      "a sequence is 6 × attempt + rank of the status",
      () => `${key} ${status} at attempt ${attempt} has ${sequence}, not ${number}`,
    );
    if (message.status === "unknown" && status.endsWith("delivered") && after.guaranteed_by !== null)
      message.isProvenLate =
        Number(reportOf(message.id, text(after, "operator"))?.doneAtMs) > Number(after.guaranteed_by);
    Object.assign(message, { status, attempt, sequence, values: after });
  };

  const postClaim = ({ before, after, key }: RowChange, touched: Touched): void => {
    for (const id of before === null ? [] : text(before, "ids").split(",")) {
      claimsOf.get(id)?.delete(key);
      touched.messages.add(messageOf(id));
    }
    claims.delete(key);
    if (after === null) return;
    const ids = text(after, "ids").split(",");
    claims.set(key, { kind: text(after, "kind"), ids: new Set(ids) });
    for (const id of ids) {
      touched.messages.add(messageOf(id));
      const known = claimsOf.get(id);
      if (known === undefined) claimsOf.set(id, new Set([key]));
      else known.add(key);
    }
  };

  const checkMessage = (m: Message): void => {
    const detail = () =>
      `${m.id} ${m.status}, cost ${m.cost}, reserve ${m.reserve}, ${JSON.stringify(m.close)}`;
    hold(m.status !== "" && m.reserve === m.cost, "each message has one reserve, of its cost", detail);
    if (m.close === null) {
      hold(UNSETTLED.has(m.status), "a message taken or ended is settled", detail);
      if (m.status === "queued" || m.status === "scheduled") return;
      const kinds = [...(claimsOf.get(m.id) ?? [])].map((claim) => claims.get(claim)?.kind);
      hold(kinds.includes(m.status), "what is being sent, or unknown, has a time limit", detail);
      return;
    }
    const { op, amount } = m.close;
    hold(
      !UNSETTLED.has(m.status) && amount === m.cost,
      "a message is settled when it is taken or ends, with its whole cost",
      detail,
    );
    const by = taken.get(m.id) ?? [];
    const { guaranteed_by: promised } = m.values;
    const operator = text(m.values, "operator");
    const answeredMs = answeredAtMs.get(`${operator} ${m.id}`) ?? 0;
    const isLateExpress = promised !== null && answeredMs > Number(promised);
    const report = reportOf(m.id, operator);
    const isReported = m.status.endsWith("delivered");
    if (isReported)
      hold(report?.end === m.status, "a message is delivered, or not, as its operator reported", detail);
    hold(!m.isProvenLate || op === "refund", "express is captured only if it was taken in time", detail);
    if (op === "capture") {
      hold(!isFinal(m.status) || /delivered/.test(m.status), "what ended unsent is refunded", detail);
      hold(by.length > 0, "only what an operator took is captured", detail);
      hold(by.includes(operator), "a capture names the operator that took it", detail);
    } else {
      const isSent = m.status === "sent";
      const mayBeLate = isLateExpress || m.isProvenLate;
      hold((isFinal(m.status) && !isReported) || mayBeLate, "what an operator took is captured", detail);
      const isListed = m.values.last_error === "no answer within the time limit" || isSent || mayBeLate;
      hold(
        by.length === 0 || isListed,
        "what an operator took is refunded only when unknown or late",
        detail,
      );
    }
    if (m.status === "sent")
      hold((op === "refund") === isLateExpress, "express is refunded when late, and only then", detail);
  };

  // Anyone may end a lease whose node has expired; before that only its owner may. Allows a second of
  // uncertainty, because the clock may have been set back in the meantime.
  const checkTaken = (before: Values, after: Values | null, by: { node: string | null; nowMs: number }) => {
    const isTaken = after === null || num(after, "granted") < num(before, "granted");
    const isDue = (nodes.get(text(before, "node_id")) ?? 0) < by.nowMs + 1_000;
    if (isTaken && isDue) reaped.add(text(before, "node_id"));
    hold(
      !isTaken || isDue || by.node === before.node_id,
      "only what expired is taken from its owner",
      () => `${JSON.stringify(before)} by ${by.node}`,
    );
  };

  const checkBooks = (customerId: number): void => {
    const of = booksOf(customerId);
    const detail = () =>
      `customer ${customerId}: balance ${of.balance}, reserved ${of.reserved}; entries say ` +
      `${of.entries.balance}, ${of.entries.reserved}; leases ${of.unspent}, open messages ${of.open}`;
    hold(of.balance >= 0 && of.reserved >= 0, "no wallet goes below zero", detail);
    hold(
      of.balance === of.entries.balance && of.reserved === of.entries.reserved,
      "balance and reserved are the sums of their entries",
      detail,
    );
    hold(
      of.reserved === of.unspent + of.open,
      "reserved is what leases hold and messages not settled cost",
      detail,
    );
  };

  const model: Model = {
    messages,
    books,
    topups,
    reaped,
    spendable,
    onSpendable: () => undefined,
    onTaken(id) {
      const by = taken.get(id) as string[];
      const isOnce = by.length === 1 || mayHaveTwo(id);
      hold(isOnce, "no message is taken twice", () => `${id} was taken by ${by.join(" and ")}`);
      const m = messages.get(id);
      hold(m !== undefined, "only what is stored is sent", () => `${id} was taken, and is not stored`);
      const isClaimed = m.status !== "queued" && m.status !== "scheduled";
      hold(isClaimed, "only what is claimed is sent", () => `${id} was taken while ${m.status}`);
    },
    onCommit(changes, by) {
      const touched: Touched = { messages: new Set(), customers: new Set(), keys: [], paid: [] };
      const paid = new Map<string, number>();
      const nodeChanges: RowChange[] = [];
      const granted = new Set<string>();
      for (const change of changes) {
        const { table, before, after, key } = change;
        const customerId = num((after ?? before) as Values, "customer_id");
        switch (table) {
          case "wallet_accounts":
            Object.assign(booksOf(customerId), {
              balance: Number(after?.balance),
              reserved: Number(after?.reserved),
            });
            touched.customers.add(customerId);
            break;
          case "wallet_ledger":
            postEntry(change, touched);
            break;
          case "messages":
            postMessage(change, touched);
            break;
          case "claims":
            postClaim(change, touched);
            break;
          case "nodes":
            nodeChanges.push(change);
            break;
          case "credit_leases": {
            const of = booksOf(customerId);
            const nodeId = text((after ?? before) as Values, "node_id");
            const more = Number(after !== null) - Number(before !== null);
            leasesOf.set(nodeId, (leasesOf.get(nodeId) ?? 0) + more);
            if (more > 0) granted.add(nodeId);
            if (before !== null) checkTaken(before, after, by);
            const unspent = after === null ? 0 : num(after, "granted") - num(after, "spent");
            of.unspent += unspent - (of.leases.get(key) ?? 0);
            if (after === null) of.leases.delete(key);
            else of.leases.set(key, unspent);
            touched.customers.add(customerId);
            break;
          }
          case "topups":
            hold(after !== null && before === null, "a top-up's request_id is kept for ever", () => key);
            topups.set(`${customerId} ${text(after, "request_id")}`, num(after, "amount"));
            paid.set(text(after, "entry_id"), num(after, "amount"));
            break;
          case "idempotency_keys":
            hold(before === null || after === null, "a key's answer never changes", () => key);
            if (after !== null) touched.keys.push(after);
            break;
          default:
        }
      }
      // A node's row may only be deleted when no more leases of it can appear.
      for (const { before, after } of nodeChanges) {
        const nodeId = text((after ?? before) as Values, "node_id");
        if (after === null) nodes.delete(nodeId);
        else nodes.set(nodeId, num(after, "expires_at"));
        const left = leasesOf.get(nodeId) ?? 0;
        hold(after !== null || left === 0, "a node goes after its last lease", () => `${nodeId} has ${left}`);
      }
      for (const nodeId of granted)
        hold(nodes.has(nodeId), "no lease without its node", () => `${nodeId} is not registered`);
      for (const message of touched.messages) checkMessage(message);
      for (const customerId of touched.customers) checkBooks(customerId);
      hold(
        paid.size === touched.paid.length &&
          touched.paid.every((entry) => paid.get(text(entry, "entry_id")) === num(entry, "amount")),
        "a top-up's row and its entry are written together",
        () => JSON.stringify(touched.paid),
      );
      for (const row of touched.keys) {
        const owner = text(row, "owner");
        const isOwned =
          row.operation !== "topup"
            ? changes.some((c) => c.table === "messages" && c.before === null && c.after?.id === owner)
            : [...topups.keys()].length > 0;
        hold(isOwned, "a key is stored along with its effect", () => `${text(row, "idem_key")} of ${owner}`);
      }
      for (const customerId of touched.customers) model.onSpendable(customerId, spendable(customerId));
    },
  };
  return model;
}
