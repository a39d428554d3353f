// The connector to an operator's HTTP interface: one request per submit, JSON both ways. Owns the meaning of
// answers.
// POST {url} {id, phone, text, from, encoding, parts, valid_until} → 200 {operator_message_id}, or
// {code, permanent} with another status. Uses undici's dispatch, which costs half of its request(), because
// it creates no stream for a body of 60 bytes. Requests are not pipelined: answers come in order on a
// connection, so one hanging call would make all requests behind it `unknown`.
// Bound: `window` connections and as many for late answers, a time-out for each call, ANSWER_BYTES_MAX of an
// answer.

import { type Static, Type } from "typebox";
import { type Dispatcher, Pool } from "undici";
import type { LaneRecord } from "../../core/lane-record.ts";
import {
  LATE_ANSWER_MAX_MS,
  OPERATOR_MESSAGE_ID_CHARS_MAX,
  SUBMIT_TIMEOUT_MS,
  VALID_FOR_MS,
} from "../../core/limits.ts";
import { secret } from "../secret.ts";
import type { OperatorTerms } from "../terms.ts";
import type { Answer, CertainAnswer, Connector, OnReport } from "./connector.ts";

export const HTTP_SETTINGS = {
  url: Type.Refine(
    Type.String({
      maxLength: 500,
      description: "where submits are posted",
      errorMessage: "must be an address such as https://sms.example/submit, without a name and password",
    }),
    (text) => {
      const url = URL.parse(text);
      return url !== null && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
    },
    () => "no address of HTTP",
  ),
  authorization: Type.Optional(secret("sent with each submit as its Authorization header")),
};
export type HttpOperator = OperatorTerms & { kind: "http" } & Static<
    ReturnType<typeof Type.Object<typeof HTTP_SETTINGS>>
  >;

const ANSWER_BYTES_MAX = 4_096;
const CONNECT_TIMEOUT_MS = SUBMIT_TIMEOUT_MS / 2;
// Shorter than any operator keeps idle connections open, so that a request hardly ever meets a closing one.
const IDLE_MS = 30_000;

export function createHttpConnector(operator: HttpOperator, onReport: OnReport): Connector {
  const { window, authorization } = operator;
  const { origin, pathname, search } = new URL(operator.url);
  const path = pathname + search;
  const own = ["content-type", "application/json"];
  if (authorization !== undefined) own.push("authorization", authorization);
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
    submit(message, done) {
      const headers = [...own, "traceparent", message.traceparent];
      const body = bodyOf(message);
      const handler = answerHandler(late, done, (answer) => onReport(message, answer));
      pool.dispatch({ path, method: "POST", headers, body }, handler);
    },
    close: () => pool.destroy(),
  };
}

function bodyOf({ id, phone, text, from, encoding, parts, createdAtMs }: LaneRecord): string {
  const valid_until = new Date(createdAtMs + VALID_FOR_MS).toISOString();
  return JSON.stringify({ id, phone, text, from, encoding, parts, valid_until });
}

/** How many connections may still wait for late answers. */
type Late = { places: number };

// Until the request is sent, a submit can only fail to connect. After that it has SUBMIT_TIMEOUT_MS for its
// answer; then it is lost, and an answer that still comes is a report.
function answerHandler(
  late: Late,
  done: (answer: Answer) => void,
  report: (answer: CertainAnswer) => void,
): Dispatcher.DispatchHandler {
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
  return {
    onRequestStart(controller) {
      state = "sent";
      timer = setTimeout(() => {
        const isPatient = late.places > 0;
        state = isPatient ? "late" : "over";
        if (isPatient) late.places--;
        done({ kind: "lost", reason: "no answer in time" });
        if (!isPatient) controller.abort(new Error("no answer in time"));
      }, SUBMIT_TIMEOUT_MS);
    },
    onResponseStart(_controller, statusCode) {
      status = statusCode;
    },
    onResponseData(_controller, chunk) {
      text += chunk.toString("latin1");
    },
    onResponseEnd() {
      const before = end();
      const answer = readAnswer(status, text);
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

/** Pure. An answer that can't be understood means lost, not refused: the message may have been accepted. */
export function readAnswer(status: number, text: string): Answer {
  const body = parseObject(text);
  if (status === 200) {
    const operatorMessageId = body?.operator_message_id;
    return typeof operatorMessageId === "string" && /^[\x21-\x7e]+$/.test(operatorMessageId)
      ? { kind: "accepted", operatorMessageIds: [operatorMessageId.slice(0, OPERATOR_MESSAGE_ID_CHARS_MAX)] }
      : { kind: "lost", reason: "200 without an operator_message_id" };
  }
  const isForNow = status === 429 || status === 503;
  if (!isForNow && (status < 400 || status >= 500)) return { kind: "lost", reason: `status ${status}` };
  const code = typeof body?.code === "string" && /^\w{1,40}$/.test(body.code) ? body.code : "refused";
  const permanent = typeof body?.permanent === "boolean" ? body.permanent : !isForNow;
  return { kind: "refused", permanent, reason: `${status} ${code}` };
}

function parseObject(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
