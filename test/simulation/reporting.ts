// How simulated operators report on what they took: each report goes to some ingest process and is repeated
// until it is acknowledged; it may come before the submit's answer, twice, late, never, or be contradicted
// soon after the first was acknowledged. Holds what must be true of reports: an acknowledged one is stored,
// and a message ends as the report says that was stored first.

import type { RawReport } from "../../src/core/raw-report.ts";
import { unpackReports } from "../../src/core/raw-report.ts";
import { DEFAULT_TERMS, type ReportTerms } from "../../src/operators/reports/report.ts";
import type { RowChange } from "../simulated-mysql/server.ts";
import type { Ingest } from "./roles.ts";
import type { Kernel } from "./kernel.ts";
import { hold } from "./hold.ts";
import type { Message } from "./model.ts";
import { FIRST_TAKEN } from "./operators.ts";

/** Shares of what operators took. */
export type ReportFaults = {
  missing: number;
  late: number;
  undelivered: number;
  twice: number;
  contradicted: number;
  /**
   * A contradiction may come before the gateway has settled the first report. Not while the database's clock
   * is set back: a row of the inbox can't be due before its time, and a later one may be.
   */
  isSoon: boolean;
};
export type End = "delivered" | "undelivered";
export type Reporting = {
  /** `submits`: how many submits it was there, each of which is reported on. */
  onTaken(id: string, operator: string, submits: number): void;
  /** Sees every commit of the database. */
  onCommit(changes: readonly RowChange[]): void;
  /** What this operator reported first on a message, and the time that it names; null: nothing is stored. */
  firstOf(id: string, operator: string): { end: End; doneAtMs: number } | null;
  /** Whether every report that will be sent is acknowledged. */
  isIdle(): boolean;
  /** Every message has ended as its first report says. */
  check(messages: ReadonlyMap<string, Message>): void;
  counts: Record<string, number>;
};

const WORDS: Record<End, string> = { delivered: "DELIVRD", undelivered: "UNDELIV" };
const template = { id: "id", our_id: "our_id", status: "status", done_at: "at", phone: "to" };
const own: ReportTerms = { ...DEFAULT_TERMS, shape: "generic", template };
/** Two operators name our id in their reports, one only its own. */
export const REPORT_TERMS: Readonly<Record<string, ReportTerms>> = {
  A: { ...own, echoesId: true },
  B: own,
  C: { ...own, echoesId: true },
};

/** So many reports are from a clock that is ahead. Counted, not drawn: a seed stays the same run. */
const AHEAD_EVERY = 3;
const AHEAD_MS = 3_600_000;
/** So many hours that it is a time before the run. */
const BEHIND_MS = 48 * 3_600_000;
const BEHIND_EVERY = 4;
const RETRY_MS = 400;
const TIMEOUT_MS = 3_000;
const LOOK_MS = 50;
const LOOKS_MAX = 100;

export type ReportingWorld = {
  ingests: () => readonly Ingest[];
  statusOf: (id: string) => string;
  phoneOf: (id: string) => string;
};

export function createReporting(
  kernel: Kernel,
  faults: ReportFaults,
  { ingests, statusOf, phoneOf }: ReportingWorld,
): Reporting {
  const { random } = kernel;
  /** The first stored report on each submit of a message, by operator and message. */
  const ends = new Map<string, ({ end: End; doneAtMs: number } | null)[]>();
  /** What was reported otherwise after the first report, and what the gateway has kept as too late. */
  const contrary: { id: string; operator: string; end: End }[] = [];
  const lates = new Set<string>();
  /** Reports in the inbox, or that were there, by their bytes. */
  const stored = new Set<string>();
  const counts = { reported: 0, contradicted: 0 };
  let open = 0;

  const send = (report: RawReport & { via: "http" }, then: () => void) => {
    const ways = ingests().filter(({ of }) => of.alive);
    let isOver = false;
    const again = () => {
      if (isOver) return;
      isOver = true;
      kernel.after(RETRY_MS, null, () => send(report, then));
    };
    if (ways.length === 0) return again();
    const posted = random.pick(ways).report({ ...report, receivedAtMs: kernel.wallMs(null) });
    posted.then(() => {
      const key = keyOf(report);
      hold(stored.has(key), "a report is acknowledged once it is stored", () => key);
      if (!isOver) then();
      isOver = true;
    }, again); // the database is away
    kernel.after(TIMEOUT_MS, null, again); // its process died
  };
  const firstOf: Reporting["firstOf"] = (id, operator) => {
    const parts = ends.get(`${operator} ${id}`) ?? [null];
    const failed = parts.filter((part) => part?.end === "undelivered");
    if (failed.length > 0)
      return failed.reduce((a, b) => (Number(b?.doneAtMs) < Number(a?.doneAtMs) ? b : a)) ?? null;
    if (parts.includes(null)) return null;
    return { end: "delivered", doneAtMs: Math.max(...parts.map((part) => part?.doneAtMs ?? 0)) };
  };
  const report = (id: string, operator: string, part: number, end: End): RawReport & { via: "http" } => {
    counts.reported++;
    // Without our id the recipient helps, if the answer that named its own was lost.
    const ours = REPORT_TERMS[operator]?.echoesId ? { our_id: id } : { to: phoneOf(id) };
    const aheadMs = counts.reported % AHEAD_EVERY === 0 ? AHEAD_MS : 0;
    // Parts together are done at the latest of their times; of one behind the others nothing would be seen.
    const isOne = ends.get(`${operator} ${id}`)?.length === 1;
    const behindMs = isOne && counts.reported % BEHIND_EVERY === 0 ? BEHIND_MS : 0;
    const at = new Date(kernel.wallMs(null) + aheadMs - behindMs).toISOString();
    const body = JSON.stringify({
      id: `${operator}-${id}-${part}`,
      ...ours,
      status: WORDS[end],
      at,
      n: counts.reported,
    });
    const contentType = "application/json";
    return { operator, receivedAtMs: 0, via: "http", contentType, query: "", body: Buffer.from(body) };
  };
  const contradict = (id: string, again: () => RawReport & { via: "http" }, looks = 0): void => {
    if (looks === 0) open++;
    if (faults.isSoon || statusOf(id).endsWith("delivered")) {
      counts.contradicted++;
      const afterMs = faults.isSoon ? random.between(0, 2_000) : 0;
      kernel.after(afterMs, null, () => send(again(), () => open--));
    } else if (looks < LOOKS_MAX) kernel.after(LOOK_MS, null, () => contradict(id, again, looks + 1));
    else open--;
  };
  const reportPart = (id: string, operator: string, part: number) => {
    const end: End = random.chance(faults.undelivered) ? "undelivered" : "delivered";
    const contrary: End = end === "delivered" ? "undelivered" : "delivered";
    const times = random.chance(faults.twice) ? 2 : 1;
    for (let n = 0; n < times; n++) {
      open++;
      // Some come before the answer to the submit, others seconds later or after the promise of express.
      const isLate = random.chance(faults.late);
      const afterMs = isLate ? random.between(5_000, 9_000) : random.between(0, random.pick([5, 300, 4_000]));
      kernel.after(afterMs, null, () =>
        send(report(id, operator, part, end), () => {
          open--;
          if (n === 0 && random.chance(faults.contradicted))
            contradict(id, () => report(id, operator, part, contrary));
        }),
      );
    }
  };
  return {
    counts,
    firstOf,
    onTaken(id, operator, submits) {
      if (random.chance(faults.missing)) return;
      ends.set(
        `${operator} ${id}`,
        Array.from({ length: submits }, () => null),
      );
      for (let part = 0; part < submits; part++) reportPart(id, operator, part);
    },
    onCommit(changes) {
      checkFirstParts(changes);
      for (const { table, before, after } of changes) {
        if (table === "late_reports") lates.add(`${String(after?.message_id)} ${String(after?.status)}`);
        if (table !== "inbox" || before !== null || after === null) continue;
        for (const raw of unpackReports(after.payload as Uint8Array)) {
          if (raw.via !== "http") continue;
          stored.add(keyOf(raw));
          const body = JSON.parse(keyOf(raw)) as { id: string; status: string; at: string };
          const [, id = "", part = ""] = body.id.split("-");
          const end: End = body.status === WORDS.delivered ? "delivered" : "undelivered";
          const parts = ends.get(`${raw.operator} ${id}`) ?? [];
          const { receivedAtMs } = raw;
          const atMs = Date.parse(body.at);
          const isBehind = receivedAtMs - atMs > BEHIND_MS / 2;
          // What was done was done after its message came, and before it was reported, whatever the
          // operator's clock says.
          const doneAtMs = isBehind ? receivedAtMs : Math.min(atMs, receivedAtMs);
          const first = (parts[Number(part)] ??= { end, doneAtMs });
          if (first.end !== end) contrary.push({ id, operator: raw.operator, end });
        }
      }
    },
    isIdle: () => open === 0,
    check(messages) {
      // B reports on parts, whose second end is nothing to the message.
      for (const { id, operator, end } of contrary) {
        const { status = "", values } = messages.get(id) ?? {};
        const isTheirs = values?.operator === operator && /delivered/.test(status);
        const isKept = operator === "B" || !isTheirs || status === end;
        hold(isKept || lates.has(`${id} ${end}`), "what comes too late is on the timeline", () => id);
      }
      for (const name of ends.keys()) {
        const [operator = "", id = ""] = name.split(" ");
        const end = firstOf(id, operator)?.end;
        if (end === undefined) continue;
        const m = messages.get(id);
        if (m?.status === "unknown") continue; // accepted at the end of the run
        // Another operator's, to which it was sent once more.
        if (m?.values.operator !== null && m?.values.operator !== operator) continue;
        // An operator's own id leads nowhere as long as the answer that named it is lost.
        const isLost = m?.values.last_error === "no answer within the time limit";
        hold(
          m?.status === end || isLost,
          "a message ends as its first report says",
          () => `${id} is ${m?.status}, reported ${end}`,
        );
      }
    },
  };
}

/** What an operator named before an answer was lost is found by its reports. */
function checkFirstParts(changes: readonly RowChange[]): void {
  for (const { table, before, after } of changes) {
    const isLost = table === "messages" && before?.status === "sending" && after?.status === "unknown";
    if (!isLost || !String(after.last_error).endsWith(FIRST_TAKEN)) continue;
    hold(
      changes.some((other) => other.table === "submissions" && other.after?.message_id === after.id),
      "the submits that were taken before an answer was lost are kept",
      () => String(after.id),
    );
  }
}

const keyOf = (raw: RawReport & { via: "http" }): string => Buffer.from(raw.body).toString();
