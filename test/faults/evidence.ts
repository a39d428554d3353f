// The evidence of a run of the fault suite, which the checker reads: the client's own log, snapshots taken
// during the run, and what MySQL, ClickHouse and the operators hold at its end. Owns the formats and the
// files of a run's folder (JSON lines). Leaves judging to checker.ts.
// Bound: all of it is read into memory, some 1 KiB a message.

import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** The answer to one try of a request; status 0 if no answer came (time-out, reset). */
export type Answer = {
  status: number;
  /** The `code` of a problem document. */
  code: string | null;
  /** The message's id in a 202. */
  id: string | null;
  cost: number | null;
  replayed: boolean;
  /** A hash of the body, to compare replays byte for byte. */
  body: string | null;
};
/**
 * One message that a client wanted sent, in one try or, with a key, several. Stored under `reference` r<n>.
 */
export type SendRequest = {
  n: number;
  customer: string;
  key: string | null;
  tries: Answer[];
  batch?: InBatch;
  door?: DoorWish;
};
/** Through which door it came, and what its client asked to be told there. `mask`: its dlr-mask. */
export type DoorWish = { peer: "kannel"; mask: number } | { peer: "twilio" };
/** The request of which it was one of several messages: its first one's n, and whether part may be stored. */
export type InBatch = { first: number; partial: boolean };
/** Minor units; null: no cap. */
export type CapLimits = { daily: number | null; monthly: number | null };
/** A correction of a wallet under a key; no other one of the run has this amount. `entry`: as a 201 said. */
export type AdjustRequest = { key: string; customer: string; amount: number; tries: AdjustTry[] };
export type AdjustTry = { status: number; entry: string | null; replayed: boolean };
export type TopupTry = { status: number; idempotent: boolean | null; replayed: boolean };
export type TopupRequest = { request: string; customer: string; amount: number; tries: TopupTry[] };

/** The lines of client.jsonl, in order of time. A try without an answer line got no answer. */
export type ClientLine =
  | { what: "customer"; customer: string; rich: boolean; caps?: CapLimits }
  | {
      what: "send";
      at: number;
      n: number;
      customer: string;
      key: string | null;
      hangs?: true;
      batch?: InBatch;
      door?: DoorWish;
    }
  | ({ what: "answer"; at: number; n: number } & Answer)
  | { what: "cancel"; at: number; id: string; status: number }
  | { what: "topup"; at: number; request: string; customer: string; amount: number }
  | ({ what: "topup-answer"; at: number; request: string; customer: string } & TopupTry);

export type MessageRow = {
  id: string;
  customer: string;
  reference: string | null;
  lane: string;
  status: string;
  cost: number;
  attempt: number;
  sequence: number;
  /** 1 if its customer wants to be told of it by a webhook. */
  told: 0 | 1;
  /** 1 if it was to be sent later. */
  later?: 0 | 1;
  /** 1 if it ended without a reserve. */
  unreserved?: 0 | 1;
};
/** An inbound message that was acknowledged, by its operator's id. */
export type InboundAnswer = { id: string; customer: string };
/** `told`: 1 if its customer has a URL. */
export type InboundRow = { event: string; customer: string; operatorId: string; told: 0 | 1 };
/** One call to a customer's URL, as it came there. */
export type WebhookCall = { event: string; message: string; status: string; sequence: number };
/**
 * One call to a door's client, as it came there: which change it says, in its peer's word, of which message
 * and customer. `n`: of the request that its URL was for; `isSigned`: as its peer's clients verify it, which
 * Kannel's don't.
 */
export type DoorCall = {
  event: string;
  peer: DoorWish["peer"];
  n: number;
  message: string;
  customer: string;
  word: string;
  isSigned: boolean;
};
export type EntryRow = { customer: string; entry: string; leg: string; op: string; amount: number };
export type WalletRow = { customer: string; balance: number; reserved: number; leases: number };
export type TopupRow = { customer: string; request: string; amount: number };
/** `wasSent`: 1 if it was `sent` at some time. */
export type StatusRow = { id: string; status: string; sequence: number; wasSent?: 0 | 1 };

/** All customers' sums, in one consistent snapshot. */
export type Snapshot = {
  at: number;
  customers: {
    customer: string;
    topups: number;
    /** By adjustments, in both directions. */
    adjusted: number;
    balance: number;
    leases: number;
    open: number;
    captured: number;
    /** All that was ever reserved. */
    spent: number;
  }[];
};

export type FaultRecord = {
  at: number;
  index: number;
  kind: string;
  what: string;
  tookMs: number;
  /** The number of messages under a claim just before it: those whose submit it could disturb. */
  inFlight: number;
};

export type Evidence = {
  /** Customers that always have enough money: a 402 to them is wrong. */
  rich: Set<string>;
  /** By customer. */
  caps: Map<string, CapLimits>;
  requests: SendRequest[];
  /** The number of requests to the phone that never gets an answer. */
  hangs: number;
  topupRequests: TopupRequest[];
  adjustments: AdjustRequest[];
  /** The ids of messages whose cancel was confirmed. */
  canceled: string[];
  messages: MessageRow[];
  entries: EntryRow[];
  wallets: WalletRow[];
  topups: TopupRow[];
  /** The ids of what each operator accepted, in order; a message of several parts by its first. */
  operators: string[][];
  /**
   * How each message that it reports on ended there, as it said first, one map per operator. It may say the
   * contrary once that was acknowledged.
   */
  reports: Map<string, ReportedEnd>[];
  clickhouse: { entries: EntryRow[]; statuses: StatusRow[] };
  webhooks: WebhookCall[];
  doorCalls: DoorCall[];
  inbound: { answers: InboundAnswer[]; rows: InboundRow[] };
  snapshots: Snapshot[];
  faults: FaultRecord[];
};

export type ReportedEnd = "delivered" | "undelivered";

export const OPERATOR_NAMES = ["A", "B", "C"] as const;
export const files = {
  client: "client.jsonl",
  faults: "faults.jsonl",
  snapshots: "snapshots.jsonl",
  messages: "mysql-messages.jsonl",
  entries: "mysql-entries.jsonl",
  wallets: "mysql-wallets.jsonl",
  topups: "mysql-topups.jsonl",
  clickhouseEntries: "clickhouse-entries.jsonl",
  clickhouseStatuses: "clickhouse-statuses.jsonl",
  adjustments: "adjustments.jsonl",
  webhooks: "webhooks.jsonl",
  doorCalls: "door-calls.jsonl",
  inbound: "inbound.jsonl",
  inboundRows: "mysql-inbound.jsonl",
  operator: (name: string) => `operator-${name}.log`,
  reports: (name: string) => `operator-${name}.reports`,
  smpp: (name: string) => `operator-${name}.smpp.log`,
  smppReports: (name: string) => `operator-${name}.smpp.reports`,
} as const;

const PENDING_LINES = 500;

/** An append-only file of JSON lines; a line is written to the file at most PENDING_LINES lines later. */
export type Lines<T> = { add(line: T): void; close(): void };

export function openLines<T>(folder: string, file: string): Lines<T> {
  const handle = openSync(join(folder, file), "a");
  let pending: string[] = [];
  const flush = () => {
    if (pending.length > 0) writeSync(handle, `${pending.join("\n")}\n`);
    pending = [];
  };
  return {
    add(line) {
      pending.push(JSON.stringify(line));
      if (pending.length >= PENDING_LINES) flush();
    },
    close() {
      flush();
      closeSync(handle);
    },
  };
}

export function writeLines(folder: string, file: string, lines: readonly unknown[]): void {
  writeFileSync(join(folder, file), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

const readLines = <T>(folder: string, file: string): T[] =>
  readText(folder, file).map((line) => JSON.parse(line) as T);

function readText(folder: string, file: string): string[] {
  return readFileSync(join(folder, file), "utf8")
    .split("\n")
    .filter((line) => line !== "");
}

/** `DELIVRD its-id our-id`; the lines without our id are acknowledgements and contradictions. */
function readReports(lines: readonly string[]): Map<string, ReportedEnd> {
  const ends = new Map<string, ReportedEnd>();
  for (const line of lines) {
    const [word, , id] = line.split(" ");
    if (id !== undefined) ends.set(id, word === "DELIVRD" ? "delivered" : "undelivered");
  }
  return ends;
}

/**
 * What an operator took by SMPP: `its-id phone part/parts text`. It isn't told our id, so the text must say
 * which message it is; what says nothing stands for itself.
 */
export function readSmpp(lines: readonly string[], messages: readonly MessageRow[]) {
  const idOf = new Map(messages.map(({ id, reference }) => [reference, id]));
  const ours = new Map<string, string>();
  const taken: string[] = [];
  for (const line of lines) {
    const [its = "", , part = ""] = line.split(" ");
    const id = idOf.get(`r${/Message (\d+);/.exec(line)?.[1]}`) ?? its;
    ours.set(its, id);
    if (part.startsWith("1/")) taken.push(id);
  }
  return { ours, taken };
}

/** `DELIVRD its-id …` for each part: a message is delivered if every one is. Contradictions don't count. */
export function readReceipts(
  lines: readonly string[],
  ours: ReadonlyMap<string, string>,
): Map<string, ReportedEnd> {
  const ends = new Map<string, ReportedEnd>();
  for (const line of lines) {
    const [word, its = ""] = line.split(" ");
    const id = ours.get(its) ?? its;
    if (word !== "ack" && word !== "but" && ends.get(id) !== "undelivered")
      ends.set(id, word === "DELIVRD" ? "delivered" : "undelivered");
  }
  return ends;
}

/** Reads all evidence of a run's folder. @throws Error if a file is missing */
export function readEvidence(folder: string): Evidence {
  const messages = readLines<MessageRow>(folder, files.messages);
  const operators = OPERATOR_NAMES.map((name) => {
    const { ours, taken } = readSmpp(readText(folder, files.smpp(name)), messages);
    return {
      taken: [...readText(folder, files.operator(name)), ...taken],
      reports: new Map([
        ...readReports(readText(folder, files.reports(name))),
        ...readReceipts(readText(folder, files.smppReports(name)), ours),
      ]),
    };
  });
  return {
    ...readClient(readLines<ClientLine>(folder, files.client)),
    messages,
    entries: readLines(folder, files.entries),
    wallets: readLines(folder, files.wallets),
    topups: readLines(folder, files.topups),
    operators: operators.map(({ taken }) => taken),
    reports: operators.map(({ reports }) => reports),
    clickhouse: {
      entries: readLines(folder, files.clickhouseEntries),
      statuses: readLines(folder, files.clickhouseStatuses),
    },
    adjustments: readLines(folder, files.adjustments),
    webhooks: readLines(folder, files.webhooks),
    doorCalls: readLines(folder, files.doorCalls),
    inbound: { answers: readLines(folder, files.inbound), rows: readLines(folder, files.inboundRows) },
    snapshots: readLines(folder, files.snapshots),
    faults: readLines(folder, files.faults),
  };
}

const NO_ANSWER: Answer = { status: 0, code: null, id: null, cost: null, replayed: false, body: null };
const NO_TOPUP_ANSWER: TopupTry = { status: 0, idempotent: null, replayed: false };

/** Groups the client's log by request. Pure. */
export function readClient(
  lines: readonly ClientLine[],
): Pick<Evidence, "rich" | "caps" | "requests" | "hangs" | "topupRequests" | "canceled"> {
  const rich = new Set<string>();
  const caps = new Map<string, CapLimits>();
  const sends = new Map<number, SendRequest & { asked: number }>();
  const topups = new Map<string, TopupRequest & { asked: number }>();
  const canceled: string[] = [];
  let hangs = 0;
  for (const line of lines) {
    switch (line.what) {
      case "customer":
        if (line.rich) rich.add(line.customer);
        if (line.caps !== undefined) caps.set(line.customer, line.caps);
        break;
      case "send": {
        const known = sends.get(line.n);
        if (known !== undefined) known.asked++;
        else {
          const { n, customer, key, batch, door } = line;
          const how = { ...(batch === undefined ? {} : { batch }), ...(door === undefined ? {} : { door }) };
          sends.set(n, { n, customer, key, tries: [], asked: 1, ...how });
          if (line.hangs) hangs++;
        }
        break;
      }
      case "answer": {
        const { status, code, id, cost, replayed, body } = line;
        sends.get(line.n)?.tries.push({ status, code, id, cost, replayed, body });
        break;
      }
      case "cancel":
        if (line.status === 200) canceled.push(line.id);
        break;
      case "topup": {
        const known = topups.get(`${line.customer} ${line.request}`);
        if (known !== undefined) known.asked++;
        else {
          const { request, customer, amount } = line;
          topups.set(`${customer} ${request}`, { request, customer, amount, tries: [], asked: 1 });
        }
        break;
      }
      case "topup-answer":
        topups
          .get(`${line.customer} ${line.request}`)
          ?.tries.push({ status: line.status, idempotent: line.idempotent, replayed: line.replayed });
    }
  }
  const unanswered = <T>(asked: number, tries: T[], none: T) => {
    while (tries.length < asked) tries.push(none);
  };
  for (const send of sends.values()) unanswered(send.asked, send.tries, NO_ANSWER);
  for (const topup of topups.values()) unanswered(topup.asked, topup.tries, NO_TOPUP_ANSWER);
  const [requests, topupRequests] = [[...sends.values()], [...topups.values()]];
  return { rich, caps, hangs, canceled, requests, topupRequests };
}
