// A simulated operator: accepts messages over HTTP, answers after a delay, refuses some, and records the ids
// it accepted. Independent of Sluice's code. POST /submit {id, phone, text, from, encoding, parts,
// valid_until} → 200 {operator_message_id} or {code, permanent} with 400, 429 or 503; GET /count,
// /ids?after=N (one id a line, in order of arrival), /taken?after=N (each with the time it came), /health.
// POST /behaviour with settings as its body, and GET for what they are: only from this machine
// (`./sluice operator`). Numbers ending in 9990001-8 have fixed outcomes. Leaves settings to
// operator-behaviour.ts, delivery reports to operator-reports.ts, SMPP to operator-smpp.ts. Invariant: an id
// is in the log before its 200 or a report on it is sent. Bound: ids and times are kept in memory, 34 bytes
// each.

import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { parametersOf } from "../core/request-target.ts";
import { sleep } from "../platform/retry.ts";
import { type Behaviour, DELAY_MAX_MS, type Profile } from "./operator-behaviour.ts";
import { FIXED_PHONES, isRefusedFor } from "./operator-ends.ts";
import { createReporter } from "./operator-reports.ts";

export type Operator = { port: number; stop(): Promise<void> };
export type OperatorOptions = {
  name: string;
  behaviour: Behaviour;
  host: string;
  port: number;
  folder: string;
  /** Where its delivery reports go. */
  reportsUrl: string;
  /** Its reports name our id, and not just its own. */
  echoesId: boolean;
  /** Its SMPP port, if it has one: it behaves the same, and its links are cut at the same moments. */
  smpp?: { taken(): number; waiting(): number; cut(): void } | null;
};

type Submit = {
  id: string;
  phone: string;
  text: string;
  encoding: string;
  parts: number;
  valid_until: string;
};

const IDLE_S = 120; // longer than any client keeps one idle, so that no request meets a closing one
/** So that whoever asked for a cut gets an answer before. */
const CUT_AFTER_MS = 20;
const REOPEN_TRIES = 100;
const REOPEN_MS = 10;

export async function startOperator({
  name,
  behaviour,
  host,
  port,
  folder,
  reportsUrl,
  echoesId,
  smpp = null,
}: OperatorOptions): Promise<Operator> {
  const { random } = behaviour;
  const record = openRecord(folder, name);
  const timers = createTimers(record.write);
  const rate = createRate();
  const beforePosts = record.write;
  const reporter = createReporter({ name, url: reportsUrl, folder, echoesId, behaviour, beforePosts });
  let serial = 0;
  let isReopening = false;
  let isStopped = false;

  const submit = async (request: Request): Promise<Response> => {
    const message = (await request.json()) as Submit;
    if (!isWellFormed(message)) return refusal(400, "malformed", true);
    const { id, phone } = message;
    const profile = behaviour.profile();
    const [least, most] = profile.delayMs;
    const delayMs = least + random() * (most - least);
    if (isRefusedFor(name, phone)) {
      return timers.after(delayMs, () => refusal(400, "number_refused", true));
    }
    if (rate.isOver(profile)) return refusal(429, "throttled", false);
    if (isDown(profile) || random() < profile.refused) {
      const tooMany = random() < 0.5;
      return timers.after(delayMs, () =>
        tooMany ? refusal(429, "throttled", false) : refusal(503, "busy", false),
      );
    }
    record.add(id);
    const operatorMessageId = `${name}${(++serial).toString(36)}-${id}`;
    reporter.accepted({ id, phone, operatorMessageId });
    if (random() < (profile.drops ?? 0)) return timers.after(delayMs, () => refusal(500, "lost", false));
    if (phone === FIXED_PHONES.hangs || random() < profile.hangs) return new Promise(() => undefined);
    const body = `{"operator_message_id":"${operatorMessageId}"}`;
    return timers.after(delayMs, () => new Response(body, JSON_HEADERS));
  };

  const serve = (at: number) =>
    Bun.serve({
      hostname: host,
      port: at,
      idleTimeout: IDLE_S,
      routes: {
        "/submit": { POST: submit },
        "/health": new Response("ok"),
        "/behaviour": {
          GET: (request: Request) => control(request, () => Response.json(behaviour.shown())),
          POST: (request: Request) => control(request, async () => change(await request.text())),
        },
        "/reports/waiting": () => Response.json({ waiting: reporter.waiting() + (smpp?.waiting() ?? 0) }),
        "/count": () => Response.json({ count: record.count() + (smpp?.taken() ?? 0) }),
        "/ids": (request: Request) => new Response(record.ids(afterOf(request))),
        "/taken": (request: Request) => new Response(record.taken(afterOf(request))),
      },
      fetch: () => refusal(404, "not_found", true),
      error: () => refusal(400, "malformed", true),
    });
  /** Only whoever is on this machine may change how it behaves. */
  const control = async (request: Request, answer: () => Response | Promise<Response>): Promise<Response> => {
    const from = server.requestIP(request)?.address ?? "";
    return from === host || LOOPBACK.test(from) ? answer() : refusal(403, "not_from_here", true);
  };
  const change = (text: string): Response => {
    const changed = behaviour.set(text);
    if (Array.isArray(changed)) return Response.json({ faults: changed }, { status: 422 });
    if (changed.cut) setTimeout(() => void cut(), CUT_AFTER_MS);
    return Response.json(behaviour.shown());
  };
  /** Ends every connection, whatever is under way on it, and goes on. */
  const cut = async () => {
    smpp?.cut();
    if (isReopening) return;
    isReopening = true;
    // Not awaited: it would wait for the answers to submits that hang.
    void server.stop(true);
    for (let tries = 1; !isStopped; tries++) {
      try {
        server = serve(own);
        break;
      } catch (error) {
        if (tries === REOPEN_TRIES) throw error;
        await sleep(REOPEN_MS);
      }
    }
    isReopening = false;
  };
  let server = serve(port);
  const own = server.port as number;
  return {
    port: own,
    async stop() {
      isStopped = true;
      await server.stop(true);
      timers.stop();
      reporter.stop();
      record.close();
    },
  };
}

const LOOPBACK = /^(::ffff:)?127\.|^::1$/;

const afterOf = ({ url }: Request): number => Number(parametersOf(url).get("after") ?? 0);

/** Whether this second is one of those in which everything is refused: spread evenly, the same for all. */
export const isDown = ({ down }: Profile): boolean =>
  (Math.imul(Math.floor(Date.now() / 1_000), 0x9e37_79b1) >>> 0) / 2 ** 32 < down;

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
const SLOTS = Math.ceil(DELAY_MAX_MS / TICK_MS) + 2;
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
  // When each came, in milliseconds since 1970; 0 for those of an earlier process.
  const times = ids.map(() => 0);
  let pending = "";
  const write = () => {
    if (pending !== "") writeSync(file, pending);
    pending = "";
  };
  return {
    add(id: string) {
      ids.push(id);
      times.push(Date.now());
      pending += `${id}\n`;
    },
    write,
    count: () => ids.length,
    ids: (after: number) => ids.slice(after).join("\n"),
    taken: (after: number) =>
      ids
        .slice(after)
        .map((id, at) => `${id} ${times[after + at]}`)
        .join("\n"),
    close() {
      write();
      closeSync(file);
    },
  };
}
