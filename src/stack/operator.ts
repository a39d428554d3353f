// A simulated operator: accepts messages over HTTP, answers after a delay, refuses some, and records the ids
// it accepted. Independent of Sluice's code. POST /submit {id, phone, text, from, encoding, parts,
// valid_until} → 200 {operator_message_id} or {code, permanent} with 400, 429 or 503; GET /count,
// /ids?after=N (one id a line, in order of arrival), /health; POST /profile with a profile's name as body:
// behaves accordingly from now on. Numbers ending in 9990001-8 have fixed outcomes for demonstrations and
// tests. Leaves delivery reports to operator-reports.ts. Invariant: an id is in the log before its 200
// or a report on it is sent. Bound: ids are kept in memory, 26 bytes each.

import { createReporter, type Reporting } from "./operator-reports.ts";
import { mkdirSync, openSync, readFileSync, writeSync, closeSync } from "node:fs";

export type Profile = {
  delayMs: readonly [number, number];
  /** Shares of 1 of the submits. */
  refused: number;
  hangs: number;
  /** Share of the seconds in which everything gets a 503. */
  down: number;
  /** Share of the submits at which the link ends; by HTTP, a 500 after the message was taken. */
  drops?: number;
  /** Submits a second; those above are throttled. */
  rate?: number;
  /** What it reports on all but the fixed numbers; nothing if absent. */
  reports?: Reporting;
};
export const PROFILES = {
  default: { delayMs: [5, 30], refused: 0.01, hangs: 0, down: 0 },
  fast: { delayMs: [0, 0], refused: 0, hangs: 0, down: 0 },
  /** Accepts everything, but answers after the sender has given up. */
  slow: { delayMs: [3_500, 4_500], refused: 0, hangs: 0, down: 0 },
  /** Accepts everything and never answers. */
  hangs: { delayMs: [0, 0], refused: 0, hangs: 1, down: 0 },
  /** Refuses everything, for now. */
  refusing: { delayMs: [0, 10], refused: 1, hangs: 0, down: 0 },
  throttling: { delayMs: [0, 10], refused: 0, hangs: 0, down: 0, rate: 50 },
  drops: { delayMs: [5, 30], refused: 0, hangs: 0, down: 0, drops: 0.001 },
  /** Like default, and reports on all it takes: some undelivered, twice, or with a contradiction later. */
  reporting: {
    delayMs: [5, 30],
    refused: 0.01,
    hangs: 0,
    down: 0,
    reports: { afterMs: [0, 2_000], undelivered: 0.05, twice: 0.05, contradicted: 0.02, lost: 0 },
  },
  flaky: { delayMs: [5, 200], refused: 0.1, hangs: 0.001, down: 0.1 },
} as const satisfies Record<string, Profile>;
export type ProfileName = keyof typeof PROFILES;
export const isProfile = (name: string): name is ProfileName => Object.hasOwn(PROFILES, name);

export type Operator = { port: number; profile(): Profile; stop(): Promise<void> };
export type OperatorOptions = {
  name: string;
  profile: ProfileName;
  host: string;
  port: number;
  folder: string;
  /** Where its delivery reports go. */
  reportsUrl: string;
  /** Its reports name our id, and not just its own. */
  echoesId: boolean;
};

type Submit = {
  id: string;
  phone: string;
  text: string;
  encoding: string;
  parts: number;
  valid_until: string;
};

/** Numbers with a fixed answer, whatever the profile. */
export const FIXED_PHONES = {
  refusedByAll: "+989129990001",
  refusedByA: "+989129990002",
  hangs: "+989129990003",
} as const;
const IDLE_S = 120; // longer than any client keeps one idle, so that no request meets a closing one

export async function startOperator({
  name,
  profile: profileName,
  host,
  port,
  folder,
  reportsUrl,
  echoesId,
}: OperatorOptions): Promise<Operator> {
  let profile: Profile = PROFILES[profileName];
  const record = openRecord(folder, name);
  const timers = createTimers(record.write);
  const rate = createRate();
  const beforePosts = record.write;
  const reporter = createReporter({ name, url: reportsUrl, folder, echoesId, beforePosts });
  reporter.behave(reportsOf(profile));
  let serial = 0;

  const submit = async (request: Request): Promise<Response> => {
    const message = (await request.json()) as Submit;
    if (!isWellFormed(message)) return refusal(400, "malformed", true);
    const { id, phone } = message;
    const [least, most] = profile.delayMs;
    const delayMs = least + Math.random() * (most - least);
    if (isRefusedFor(name, phone)) {
      return timers.after(delayMs, () => refusal(400, "number_refused", true));
    }
    if (rate.isOver(profile)) return refusal(429, "throttled", false);
    if (isDown(profile) || Math.random() < profile.refused) {
      const tooMany = Math.random() < 0.5;
      return timers.after(delayMs, () =>
        tooMany ? refusal(429, "throttled", false) : refusal(503, "busy", false),
      );
    }
    record.add(id);
    const operatorMessageId = `${name}${(++serial).toString(36)}-${id}`;
    reporter.accepted({ id, phone, operatorMessageId });
    if (Math.random() < (profile.drops ?? 0)) return timers.after(delayMs, () => refusal(500, "lost", false));
    if (phone === FIXED_PHONES.hangs || Math.random() < profile.hangs) return new Promise(() => undefined);
    const body = `{"operator_message_id":"${operatorMessageId}"}`;
    return timers.after(delayMs, () => new Response(body, JSON_HEADERS));
  };

  const server = Bun.serve({
    hostname: host,
    port,
    idleTimeout: IDLE_S,
    routes: {
      "/submit": { POST: submit },
      "/health": new Response("ok"),
      "/profile": {
        POST: async (request: Request) => {
          const wanted = await request.text();
          if (!isProfile(wanted)) return refusal(422, "no_such_profile", true);
          profile = PROFILES[wanted];
          reporter.behave(reportsOf(profile));
          return new Response("ok");
        },
      },
      "/reports/waiting": () => Response.json({ waiting: reporter.waiting() }),
      "/count": () => Response.json({ count: record.count() }),
      "/ids": (request: Request) =>
        new Response(record.ids(Number(new URL(request.url).searchParams.get("after") ?? 0))),
    },
    fetch: () => refusal(404, "not_found", true),
    error: () => refusal(400, "malformed", true),
  });
  return {
    port: server.port as number,
    profile: () => profile,
    async stop() {
      await server.stop(true);
      timers.stop();
      reporter.stop();
      record.close();
    },
  };
}

/** Whether this operator refuses this phone for good. */
export const isRefusedFor = (name: string, phone: string): boolean =>
  phone === FIXED_PHONES.refusedByAll || (phone === FIXED_PHONES.refusedByA && name === "A");

export const isDown = ({ down }: Profile): boolean =>
  down > 0 && Math.floor(Date.now() / 1_000) % Math.round(1 / down) === 0;

/** Counts submits by the second. */
export function createRate() {
  let second = 0;
  let count = 0;
  return {
    /** Counts one, and says whether it is above the profile's rate. */
    isOver({ rate = Number.POSITIVE_INFINITY }: Profile): boolean {
      const now = Math.floor(Date.now() / 1_000);
      if (now !== second) count = 0;
      second = now;
      return ++count > rate;
    },
  };
}

const reportsOf = (profile: Profile): Reporting | null => profile.reports ?? null;

const JSON_HEADERS = { headers: { "content-type": "application/json" } };
// As strict as a real operator, so that a field lost on the way here makes tests fail.
function isWellFormed({ id, phone, text, encoding, parts, valid_until }: Submit): boolean {
  return (
    [id, phone, text].every((field) => typeof field === "string" && field !== "") &&
    (encoding === "gsm7" || encoding === "ucs2") &&
    Number.isInteger(parts) &&
    parts >= 1 &&
    Date.parse(valid_until) > Date.now()
  );
}

const refusal = (status: number, code: string, permanent: boolean): Response =>
  new Response(JSON.stringify({ code, permanent }), { ...JSON_HEADERS, status });

type Delayed = { build: () => Response; resolve: (response: Response) => void };

// One interval serves all delays, in slots of TICK_MS: a timer for each message would cost more than the
// message.
const TICK_MS = 5;
// 5 s, longer than any profile delays an answer.
const SLOTS = 1_024;
const WRITE_TICKS = 20;

function createTimers(beforeAnswers: () => void) {
  const slots: Delayed[][] = Array.from({ length: SLOTS }, () => []);
  let at = 0;
  let idle = 0;
  let due = performance.now();
  const timer = setInterval(() => {
    if (++idle % WRITE_TICKS === 0) beforeAnswers(); // ids of submits that are never answered
    for (const now = performance.now(); due <= now; due += TICK_MS) {
      at = (at + 1) % SLOTS;
      const slot = slots[at] as Delayed[];
      if (slot.length === 0) continue;
      beforeAnswers();
      slots[at] = [];
      for (const { build, resolve } of slot) resolve(build());
    }
  }, TICK_MS);
  return {
    after(delayMs: number, build: () => Response): Response | Promise<Response> {
      const ticks = Math.min(SLOTS - 1, Math.round(delayMs / TICK_MS));
      if (ticks === 0) {
        beforeAnswers();
        return build();
      }
      return new Promise((resolve) => (slots[(at + ticks) % SLOTS] as Delayed[]).push({ build, resolve }));
    },
    stop: () => clearInterval(timer),
  };
}

/**
 * `<folder>/<name>.log`: one id a line, written in batches before their answers leave; read back at start.
 */
export function openRecord(folder: string, name: string) {
  mkdirSync(folder, { recursive: true });
  const path = `${folder}/${name}.log`;
  const file = openSync(path, "a+");
  const ids = readFileSync(path, "latin1").split("\n").slice(0, -1);
  let pending = "";
  const write = () => {
    if (pending !== "") writeSync(file, pending);
    pending = "";
  };
  return {
    add(id: string) {
      ids.push(id);
      pending += `${id}\n`;
    },
    write,
    count: () => ids.length,
    ids: (after: number) => ids.slice(after).join("\n"),
    close() {
      write();
      closeSync(file);
    },
  };
}
