// How a simulated operator reports what became of the messages it accepted: it posts to the gateway's
// /dlr/{operator} and repeats that until it is acknowledged, as operators do, also after a restart. What it
// reports follows from the phone or the profile. `<folder>/<name>.reports` has each message's end, each
// acknowledgement (ack) and each contradiction (but); the fault suite reads it. Independent of Sluice's code.
// Numbers ending in 9990004-8 have fixed ends. Invariant: a message gets one final end, though it may be
// reported twice, late or with a contradiction after it. Bound: POSTS_MAX requests at once, BATCH_MAX reports
// each; what waits is in memory, 150 bytes a report.

import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";

export type Reporting = {
  /** From the answer to the submit, in milliseconds. */
  afterMs: readonly [number, number];
  /** Shares of 1 of the messages, or of the reports. */
  undelivered: number;
  twice: number;
  /** A report that says the contrary, after the final one. */
  contradicted: number;
  lost: number;
};
export type Reporter = {
  accepted(message: { id: string; phone: string; operatorMessageId: string }): void;
  behave(reporting: Reporting | null): void;
  /** Reports that are not acknowledged yet. */
  waiting(): number;
  stop(): void;
};
export type ReporterOptions = {
  name: string;
  url: string;
  folder: string;
  echoesId: boolean;
  /** Called before a report leaves or is planned on disk: records what was accepted. */
  beforePosts: () => void;
};

type End = "DELIVRD" | "UNDELIV" | "EXPIRED";
type Report = { message_id: string; our_id?: string; status: End; err: string };
/** `next`: what follows once it is acknowledged, so that it can't overtake this one. */
type Planned = { report: Report; next: Report | null };

const DELIVERED = "+989129990004";
const UNDELIVERED = "+989129990005";
const EXPIRED = "+989129990006";
const NO_REPORT = "+989129990007";
const LATE = "+989129990008";
const LATE_MS = 60_000;
const FIXED: Readonly<Record<string, { end: End; afterMs: number }>> = {
  [DELIVERED]: { end: "DELIVRD", afterMs: 1_000 },
  [UNDELIVERED]: { end: "UNDELIV", afterMs: 1_000 },
  [EXPIRED]: { end: "EXPIRED", afterMs: 1_000 },
  [LATE]: { end: "DELIVRD", afterMs: LATE_MS },
};
const CODES: Record<End, string> = { DELIVRD: "000", UNDELIV: "001", EXPIRED: "006" };

const TICK_MS = 20;
const BATCH_MAX = 50;
const POSTS_MAX = 16;
const RETRY_MS = 1_000;
const TIMEOUT_MS = 10_000;
const CONTRADICTION_MS = 10_000;

export function createReporter(options: ReporterOptions): Reporter {
  const { name, url, folder, echoesId, beforePosts } = options;
  mkdirSync(folder, { recursive: true });
  const path = `${folder}/${name}.reports`;
  const file = openSync(path, "a+");
  let reporting: Reporting | null = null;
  let due: (Planned & { atMs: number })[] = []; // by time, the earliest first
  let lines = "";
  let posts = 0;
  let unacknowledged = 0;
  let stopped = false;

  const plan = (report: Report, afterMs: number, next: Report | null = null) => {
    const atMs = performance.now() + afterMs;
    let at = due.length;
    while (at > 0 && (due[at - 1] as { atMs: number }).atMs > atMs) at--;
    due.splice(at, 0, { atMs, report, next });
  };
  const post = async (planned: Planned[]) => {
    posts++;
    unacknowledged += planned.length;
    const at = new Date().toISOString();
    const body = JSON.stringify({ reports: planned.map(({ report }) => ({ ...report, at })) });
    const isStored = await fetch(url, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).then(
      (answer) => answer.body?.cancel().then(() => answer.status === 200) ?? answer.status === 200,
      () => false,
    );
    unacknowledged -= planned.length;
    posts--;
    if (stopped) return;
    for (const { report, next } of planned) {
      if (!isStored) plan(report, RETRY_MS, next);
      else {
        lines += `ack ${report.message_id}\n`;
        if (next !== null) contradict(next);
      }
    }
  };
  const contradict = (report: Report) => {
    lines += `but ${report.message_id}\n`;
    plan(report, CONTRADICTION_MS);
  };
  const reportOf = (end: End, operatorMessageId: string, id: string): Report => ({
    message_id: operatorMessageId,
    ...(echoesId ? { our_id: id } : {}),
    status: end,
    err: CODES[end],
  });
  const write = () => {
    if (lines !== "") writeSync(file, lines);
    lines = "";
  };
  for (const { end, operatorMessageId, id } of openReports(readFileSync(path, "latin1")))
    plan(reportOf(end, operatorMessageId, id), 0);
  const timer = setInterval(() => {
    beforePosts();
    write();
    const nowMs = performance.now();
    while (posts < POSTS_MAX && due.length > 0 && (due[0] as { atMs: number }).atMs <= nowMs) {
      let n = 1;
      while (n < BATCH_MAX && n < due.length && (due[n] as { atMs: number }).atMs <= nowMs) n++;
      void post(due.splice(0, n));
    }
  }, TICK_MS);

  return {
    accepted({ id, phone, operatorMessageId }) {
      const fixed = FIXED[phone];
      if (phone === NO_REPORT || (fixed === undefined && reporting === null)) return;
      const { afterMs, undelivered, twice, contradicted, lost } = reporting ?? NOTHING_ELSE;
      const [least, most] = fixed === undefined ? afterMs : [fixed.afterMs, fixed.afterMs];
      const end = fixed?.end ?? (Math.random() < undelivered ? "UNDELIV" : "DELIVRD");
      if (fixed === undefined && Math.random() < lost) return;
      const waitMs = least + Math.random() * (most - least);
      const report = (status: End): Report => reportOf(status, operatorMessageId, id);
      lines += `${end} ${operatorMessageId} ${id}\n`;
      const contrary = end === "DELIVRD" ? "UNDELIV" : "DELIVRD";
      plan(report(end), waitMs, Math.random() < contradicted ? report(contrary) : null);
      if (Math.random() < twice) plan(report(end), waitMs + 50 + Math.random() * 2_000);
    },
    behave: (next) => void (reporting = next),
    waiting: () => due.length + unacknowledged,
    stop() {
      stopped = true;
      clearInterval(timer);
      due = [];
      write();
      closeSync(file);
    },
  };
}

const NOTHING_ELSE: Reporting = { afterMs: [0, 0], undelivered: 0, twice: 0, contradicted: 0, lost: 0 };

/** What was not acknowledged when this operator was ended: `END id ours`, without an `ack id`. */
function openReports(text: string): { end: End; operatorMessageId: string; id: string }[] {
  const open = new Map<string, { end: End; operatorMessageId: string; id: string }>();
  for (const line of text.split("\n")) {
    const [word = "", operatorMessageId = "", id = ""] = line.split(" ");
    if (word === "ack") open.delete(operatorMessageId);
    else if (Object.hasOwn(CODES, word))
      open.set(operatorMessageId, { end: word as End, operatorMessageId, id });
  }
  return [...open.values()];
}
