// Submits over HTTP: connections, time-outs, and answers that come late. Leaves what is sent to
// http-request.ts, what an answer means to http-answer.ts.
// Uses undici's dispatch, which costs half of its request(), because it creates no stream for a body of 60
// bytes. Requests are not pipelined: answers come in order on a connection, so one hanging call would make
// all requests behind it `unknown`. Redirects are not followed, and nothing is sent again.
// Bound: `window` connections and as many for late answers, a time-out for each call, ANSWER_BYTES_MAX of an
// answer.

import { type Dispatcher, Pool } from "undici";
import { LATE_ANSWER_MAX_MS, SUBMIT_TIMEOUT_MS } from "../../core/limits.ts";
import type { Answer, CertainAnswer } from "./connector.ts";
import type { HttpRequest } from "./http-request.ts";

export type ReadAnswer = (status: number, text: string) => Answer;
export type Exchange = {
  submit(request: HttpRequest, to: Submitted): void;
  close(): Promise<void>;
};

type Submitted = {
  /** It isn't begun after this time of day. */
  byMs: number;
  done(answer: Answer): void;
  /** An answer that comes after `done` was told that it is lost. */
  report(answer: CertainAnswer): void;
};

/** Of usual answers some 500 bytes; a list of parts has some thousands. */
const ANSWER_BYTES_MAX = 16_384;
const CONNECT_TIMEOUT_MS = SUBMIT_TIMEOUT_MS / 2;
// Shorter than any operator keeps idle connections open, so that a request hardly ever meets a closing one.
const IDLE_MS = 30_000;

export function createExchange(
  origin: string,
  window: number,
  { read, now }: { read: ReadAnswer; now: () => number },
): Exchange {
  const pool = new Pool(origin, {
    // A late answer keeps its connection, while its submit no longer counts against the window.
    connections: 2 * window,
    pipelining: 1,
    connect: { timeout: CONNECT_TIMEOUT_MS },
    headersTimeout: SUBMIT_TIMEOUT_MS + LATE_ANSWER_MAX_MS,
    bodyTimeout: SUBMIT_TIMEOUT_MS,
    keepAliveTimeout: IDLE_MS,
    keepAliveMaxTimeout: IDLE_MS,
    maxResponseSize: ANSWER_BYTES_MAX,
  });
  const late: Late = { places: window };
  return {
    submit(request, to) {
      // A GET is a submit too: without `idempotent: false` undici could think that it may be sent again.
      pool.dispatch({ ...request, idempotent: false }, answerHandler(late, { read, now, ...to }));
    },
    close: () => pool.destroy(),
  };
}

/** How many connections may still wait for late answers. */
type Late = { places: number };
type To = Submitted & { read: ReadAnswer; now: () => number };

// Until the request is sent, a submit can only fail to connect. After that it has SUBMIT_TIMEOUT_MS for its
// answer; then it is lost, and an answer that still comes, within LATE_ANSWER_MAX_MS, is a report.
function answerHandler(late: Late, { read, now, byMs, done, report }: To): Dispatcher.DispatchHandler {
  let state: "waits" | "sent" | "late" | "over" = "waits";
  let timer: ReturnType<typeof setTimeout> | undefined;
  let status = 0;
  let text = "";
  const end = (): typeof state => {
    clearTimeout(timer);
    if (state === "late") late.places++;
    const before = state;
    state = "over";
    return before;
  };
  // Not left to undici's time-outs: an answer that trickles in byte by byte never meets them.
  const giveUp = (controller: Dispatcher.DispatchController) => {
    end();
    controller.abort(new Error("no answer in time"));
  };
  return {
    onRequestStart(controller) {
      // Aborted here, nothing of it is written.
      if (now() > byMs) {
        end();
        controller.abort(new Error("too late to begin"));
        return done({ kind: "not-connected", reason: "no connection in time for its promise" });
      }
      state = "sent";
      timer = setTimeout(() => {
        if (late.places === 0) giveUp(controller);
        else {
          state = "late";
          late.places--;
          timer = setTimeout(giveUp, LATE_ANSWER_MAX_MS, controller);
        }
        done({ kind: "lost", reason: "no answer in time" });
      }, SUBMIT_TIMEOUT_MS);
    },
    onResponseStart(_controller, statusCode) {
      status = statusCode;
    },
    onResponseData(_controller, chunk) {
      text += chunk.toString("latin1");
    },
    onResponseEnd() {
      // First, so that an exception in it becomes the request's error, which loses the message.
      const answer = read(status, utf8(text));
      const before = end();
      if (before === "sent") done(answer);
      else if (before === "late" && (answer.kind === "accepted" || answer.kind === "refused")) report(answer);
    },
    onResponseError(_controller, error) {
      const reason = (error as { code?: string }).code ?? error.message;
      const before = end();
      if (before === "waits") done({ kind: "not-connected", reason });
      else if (before === "sent") done({ kind: "lost", reason });
    },
  };
}

/** Of bytes held as Latin-1, so that a character may come in two chunks; most answers are ASCII. */
const utf8 = (latin1: string): string =>
  /[^\x00-\x7f]/.test(latin1)
    ? Buffer.from(latin1, "latin1")
        .toString("utf8")
        .replace(/^\ufeff/, "")
    : latin1;
