// Keeps an operator's binds open and gives submits to the one with the most room. Owns the queue of submits
// that wait for room, reconnecting, and pausing a bind whose operator throttles. Leaves one connection to
// session.ts, messages to the connector. A bind is opened again and again:
//   opening → bound → (ended) → waits → opening …
// Each wait is longer while binds fail, minutes if the operator refuses our credentials: repeating those
// locks accounts. If it says that we are bound already, the old connection lives on at its end, and asking
// sooner than its idle limit only prolongs that.
// Invariant: a submit that was never given to a session ends as "not-sent".
// Bound: the queue is as long as the callers make it; nothing stays in it beyond its startByMs.

import { type Backoff, backoffMs } from "../retry.ts";
import type { Draft } from "./encode.ts";
import type { SubmitDone, SubmitResult, UnexpectedAnswer } from "./pending.ts";
import { openSession, type Session, type SessionOptions } from "./session.ts";
import { isCredentialStatus, isThrottling, STATUS } from "./status.ts";

export type BindAs = SessionOptions["bindAs"];
export type Note = { level: "info" | "warn" | "error"; text: string };
export type BindsOptions = {
  binds: readonly BindAs[];
  session: Omit<SessionOptions, "bindAs">;
  waits: Waits;
};
export type BindsHooks = {
  onDeliver(pdu: Uint8Array): Promise<boolean>;
  /** A bind was opened (1), or ended (-1). */
  onBinds(change: 1 | -1): void;
  onUnexpected(answer: UnexpectedAnswer): void;
  /** For the log; an "error" needs someone to act. */
  onNote(note: Note): void;
};
export type Job = {
  draft: Draft;
  /** It isn't sent before this, if it is there; those behind it are. */
  fromMs?: number;
  /** It isn't sent after this, on the clock of performance.now(). */
  startByMs: number;
  /** How long the answer may take, and until when at most. */
  answerMs: number;
  endByMs: number;
  done(result: SubmitResult | { kind: "not-sent"; reason: string }): void;
  late: SubmitDone["late"];
  raw?: SubmitDone["raw"];
};
export type Binds = {
  /** Urgent: before all that wait, as the rest of a message that is partly taken. */
  submit(jobs: readonly Job[], isUrgent: boolean): void;
  /** Resolves when every submit has its result and all binds are closed. */
  close(): Promise<void>;
};

/** By what ended the last session. */
export type Waits = {
  /** After a session that worked: a link that is cut is usually back at once. */
  again: Backoff;
  link: Backoff;
  alreadyBound: Backoff;
  credentials: Backoff;
  throttled: Backoff;
};
export const WAITS: Waits = {
  again: { firstMs: 100, mostMs: 100 },
  link: { firstMs: 1_000, mostMs: 60_000 },
  alreadyBound: { firstMs: 30_000, mostMs: 300_000 },
  credentials: { firstMs: 180_000, mostMs: 900_000 },
  throttled: { firstMs: 1_000, mostMs: 8_000 },
};

type Bind = {
  as: BindAs;
  session: Session | null;
  /** Null while it isn't bound. */
  boundMs: number | null;
  /** Its session took a submit, or lasted. */
  hasWorked: boolean;
  /** Sessions that ended without having worked, one after the other. */
  failures: number;
  /** It is opened again at once, so that submits wait for it. */
  isReturning: boolean;
  timer: ReturnType<typeof setTimeout> | undefined;
  throttles: number;
  pausedUntilMs: number;
};

const TICK_MS = 50;
/** A session that was bound for so long has worked, also if it had nothing to do. */
const STEADY_MS = 10_000;

/** `after`: they are opened when it resolves; submits wait meanwhile. Null: at once. */
export function createBinds(
  options: BindsOptions,
  hooks: BindsHooks,
  after: Promise<void> | null = null,
): Binds {
  const queue: Job[] = [];
  const closed = Promise.withResolvers<void>();
  let isClosing = false;
  let isHeld = after !== null;
  let lastEnd = "not bound yet";
  const binds = options.binds.map(
    (as): Bind => ({
      as,
      session: null,
      boundMs: null,
      hasWorked: false,
      failures: 0,
      isReturning: false,
      timer: undefined,
      throttles: 0,
      pausedUntilMs: 0,
    }),
  );
  const senders = binds.filter(({ as }) => as !== "receiver");

  function open(bind: Bind) {
    bind.isReturning = false;
    bind.hasWorked = false;
    bind.session = openSession(
      { ...options.session, bindAs: bind.as },
      {
        onBound() {
          bind.boundMs = performance.now();
          hooks.onBinds(1);
          hooks.onNote({ level: "info", text: `bound as ${bind.as}` });
          pump();
        },
        onRoom: pump,
        onDeliver: hooks.onDeliver,
        onUnexpected: hooks.onUnexpected,
        onEnd: (reason, status) => ended(bind, reason, status),
      },
    );
  }

  function ended(bind: Bind, reason: string, status: number | null) {
    const isSteady = bind.boundMs !== null && performance.now() - bind.boundMs > STEADY_MS;
    if (bind.boundMs !== null) hooks.onBinds(-1);
    bind.isReturning = bind.hasWorked || isSteady;
    bind.failures = bind.isReturning ? 0 : bind.failures + 1;
    bind.session = null;
    bind.boundMs = null;
    lastEnd = reason;
    if (isClosing) return closeIfDone();
    const isCredentials = status !== null && isCredentialStatus(status);
    const waitMs = waitAfter(bind, status);
    // What was sent, but for the password: the settings that someone has to compare with the operator's.
    const { systemId, systemType, addressRange } = options.session.login;
    const sent = `system_id "${systemId}", system_type "${systemType}", address_range "${addressRange}"`;
    hooks.onNote({
      level: isCredentials ? "error" : "warn",
      text: `${bind.as}: ${reason}${status === null ? "" : ` (${sent})`}; next bind in ${waitMs} ms`,
    });
    bind.timer = setTimeout(open, waitMs, bind);
    pump();
  }

  function waitAfter({ failures, isReturning }: Bind, status: number | null): number {
    const { again, link, alreadyBound, credentials } = options.waits;
    if (isReturning) return Math.round(backoffMs(again, 1));
    if (status !== null && isCredentialStatus(status)) return Math.round(backoffMs(credentials, failures));
    return Math.round(backoffMs(status === STATUS.alreadyBound ? alreadyBound : link, failures));
  }

  /** Starts what can start. */
  function pump() {
    const nowMs = performance.now();
    for (let bind = roomiest(nowMs); bind !== null; bind = roomiest(nowMs)) {
      const [job] = queue.splice(firstReady(nowMs), 1);
      if (job === undefined) break;
      // After a sleep, the message may be someone else's by now.
      if (nowMs >= job.startByMs) giveUp([job]);
      else start(job, bind, nowMs);
    }
    if (queue.length > 0 && isHopeless()) giveUp(queue.splice(0));
  }

  /** Where the next job is that may start; the queue's length if there is none. */
  function firstReady(nowMs: number): number {
    const at = queue.findIndex(({ fromMs = 0 }) => fromMs <= nowMs);
    return at < 0 ? queue.length : at;
  }

  function start({ draft, answerMs, endByMs, done, late, raw }: Job, bind: Bind, nowMs: number) {
    (bind.session as Session).submit(draft, Math.min(nowMs + answerMs, endByMs), {
      late,
      ...(raw === undefined ? {} : { raw }),
      done(result) {
        if (result.kind === "answered") watch(bind, result.status);
        done(result);
      },
    });
  }

  const isHopeless = () =>
    isClosing || (!isHeld && senders.every(({ session, isReturning }) => session === null && !isReturning));

  function giveUp(jobs: readonly Job[]) {
    const reason = senders.some(({ boundMs }) => boundMs !== null) ? "no room in the window" : lastEnd;
    for (const { done } of jobs) done({ kind: "not-sent", reason });
  }

  function tick() {
    pump();
    const nowMs = performance.now();
    if (queue.every(({ startByMs }) => nowMs < startByMs)) return;
    const [over, waiting] = [[], []] as [Job[], Job[]];
    for (const job of queue.splice(0)) (nowMs >= job.startByMs ? over : waiting).push(job);
    queue.push(...waiting);
    giveUp(over);
  }

  function roomiest(nowMs: number): Bind | null {
    let best: Bind | null = null;
    for (const bind of senders) {
      if (nowMs < bind.pausedUntilMs || !bind.session?.hasRoom()) continue;
      if (best === null || bind.session.underWay() < (best.session as Session).underWay()) best = bind;
    }
    return best;
  }

  function watch(bind: Bind, status: number) {
    if (status === STATUS.ok) {
      bind.throttles = 0;
      bind.hasWorked = true;
    }
    if (!isThrottling(status) || performance.now() < bind.pausedUntilMs) return;
    const { throttled } = options.waits;
    // A full queue takes longer to empty than a second's rate to begin anew.
    const wait = status === STATUS.queueFull ? { ...throttled, firstMs: 2 * throttled.firstMs } : throttled;
    bind.pausedUntilMs = performance.now() + backoffMs(wait, ++bind.throttles);
  }

  function closeIfDone() {
    if (binds.some(({ session }) => session !== null)) return;
    clearInterval(ticks);
    closed.resolve();
  }

  function openAll() {
    isHeld = false;
    if (!isClosing) for (const bind of binds) open(bind);
  }

  const ticks = setInterval(tick, TICK_MS);
  if (after === null) openAll();
  else void after.then(openAll, openAll);
  return {
    submit(jobs, isUrgent) {
      queue.splice(isUrgent ? 0 : queue.length, 0, ...jobs);
      pump();
    },
    close() {
      isClosing = true;
      for (const bind of binds) {
        clearTimeout(bind.timer);
        bind.session?.close();
      }
      pump();
      closeIfDone();
      return closed.promise;
    },
  };
}
