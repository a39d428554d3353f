// How a simulated operator reports by HTTP what became of the messages it accepted: it posts to the gateway's
// /dlr/{operator} and repeats that until it is acknowledged, as operators do, also after a restart. What it
// reports is up to operator-ends.ts. `<folder>/<name>.reports` has each message's end, each acknowledgement
// (ack) and each contradiction (but); the fault suite reads it. Independent of Sluice's code.
// Bound: POSTS_MAX requests at once, BATCH_MAX reports each; what waits is in memory, 150 bytes a report.

import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import type { Behaviour } from "./operator-behaviour.ts";
import { type Follow, planEnd, unacknowledged, type Word, WORDS } from "./operator-ends.ts";

export type Reporter = {
  accepted(message: { id: string; phone: string; operatorMessageId: string }): void;
  /** Reports that are not acknowledged yet. */
  waiting(): number;
  stop(): void;
};
export type ReporterOptions = {
  name: string;
  url: string;
  folder: string;
  echoesId: boolean;
  behaviour: Behaviour;
  /** Called before a report leaves or is planned on disk: records what was accepted. */
  beforePosts: () => void;
};

type Report = { message_id: string; our_id?: string; status: Word; err: string };
/** `next`: what follows once it is acknowledged, so that it can't overtake this one. */
type Planned = { report: Report; next: readonly Follow[] };

const TICK_MS = 20;
const BATCH_MAX = 50;
const POSTS_MAX = 16;
const RETRY_MS = 1_000;
const TIMEOUT_MS = 10_000;

export function createReporter(options: ReporterOptions): Reporter {
  const { name, url, folder, echoesId, behaviour, beforePosts } = options;
  const record = openLines(folder, `${name}.reports`);
  let due: (Planned & { atMs: number })[] = []; // by time, the earliest first
  let posts = 0;
  let open = 0;
  let stopped = false;

  const plan = (report: Report, afterMs: number, next: readonly Follow[] = []) => {
    const atMs = performance.now() + afterMs;
    let at = due.length;
    while (at > 0 && (due[at - 1] as { atMs: number }).atMs > atMs) at--;
    due.splice(at, 0, { atMs, report, next });
  };
  const post = async (planned: Planned[]) => {
    posts++;
    open += planned.length;
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
    open -= planned.length;
    posts--;
    if (stopped) return;
    for (const { report, next } of planned) {
      if (!isStored) plan(report, RETRY_MS, next);
      else acknowledged(report, next);
    }
  };
  const acknowledged = (report: Report, next: readonly Follow[]) => {
    record.add(`ack ${report.message_id}`);
    for (const { word, afterMs } of next) {
      if (word !== "ENROUTE") record.add(`but ${report.message_id}`);
      plan({ ...report, status: word, err: WORDS[word].code }, afterMs);
    }
  };
  const reportOf = (word: Word, operatorMessageId: string, id: string): Report => ({
    message_id: operatorMessageId,
    ...(echoesId ? { our_id: id } : {}),
    status: word,
    err: WORDS[word].code,
  });
  for (const { end, id: operatorMessageId, more } of unacknowledged(record.text))
    plan(reportOf(end, operatorMessageId, more[0] ?? ""), 0);
  const timer = setInterval(() => {
    beforePosts(); // first: what stands in the record of reports is reported after a restart
    record.write();
    const nowMs = performance.now();
    while (posts < POSTS_MAX && due.length > 0 && (due[0] as { atMs: number }).atMs <= nowMs) {
      let n = 1;
      while (n < BATCH_MAX && n < due.length && (due[n] as { atMs: number }).atMs <= nowMs) n++;
      void post(due.splice(0, n));
    }
  }, TICK_MS);

  return {
    accepted({ id, phone, operatorMessageId }) {
      const profile = behaviour.profile();
      const planned = planEnd(phone, profile, profile.reports ?? null, behaviour.random);
      if (planned === null) return;
      const { end, afterMs, next } = planned;
      record.add(`${end} ${operatorMessageId} ${id}`);
      const report = reportOf(end, operatorMessageId, id);
      for (const [n, ms] of afterMs.entries()) plan(report, ms, n === 0 ? next : []);
    },
    waiting: () => due.length + open,
    stop() {
      stopped = true;
      clearInterval(timer);
      due = [];
      record.close();
    },
  };
}

/** A file of lines that are written together; `text`: what it held when it was opened. */
export function openLines(folder: string, file: string) {
  mkdirSync(folder, { recursive: true });
  const path = `${folder}/${file}`;
  const handle = openSync(path, "a+");
  let lines = "";
  const write = () => {
    if (lines !== "") writeSync(handle, lines);
    lines = "";
  };
  return {
    text: readFileSync(path, "latin1"),
    add: (line: string) => void (lines += `${line}\n`),
    write,
    close() {
      write();
      closeSync(handle);
    },
  };
}
