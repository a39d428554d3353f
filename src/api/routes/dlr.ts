// POST and GET /dlr/{operator}: an operator's delivery reports. They are stored as they came and
// acknowledged; src/dlr/ reads and settles them later, so that an operator never waits for that, and a report
// that can't be read isn't lost. Invariant: 200 only once it is stored.

import { Type } from "typebox";
import { SluiceError } from "../../core/errors.ts";
import { REPORT_BYTES_MAX } from "../../core/limits.ts";
import type { Inbox } from "../../ledger/inbox.ts";
import { type ReportRequest, type Verdict, withoutToken } from "../../operators/reports/authorize.ts";
import type { Log } from "../../platform/log.ts";
import { isConnectionLost } from "../../platform/mysql-errors.ts";
import { type Call, type Route, route } from "../route.ts";
import { closed } from "../shapes.ts";

const Stored = Type.Object({ stored: Type.Literal(true) }, closed);
const STORED = JSON.stringify({ stored: true });

const ABOUT_REPORTS = `The routes file says how an operator's reports are read, and what admits them: the
token, Basic credentials, its addresses, or its own signature (Twilio's, Vonage's). All that it says must
hold.

The report is stored before it is acknowledged, and read afterwards.`;
const OPERATOR = { schema: Type.String(), description: "its name in the routes file", example: "A" };

export type DlrDeps = {
  inbox: Inbox;
  /** Whether a request may report for this operator; undefined if there is no such operator. */
  authorizerOf: (operator: string) => ((request: ReportRequest) => Verdict) | undefined;
  /** The API's address as operators call it, for signatures that cover it; "": take the Host header. */
  publicUrl: string;
  log: Log;
  now: () => number;
};

export const createDlrRoutes = (deps: DlrDeps): Route[] =>
  // Some operators report by GET, with everything in the query.
  (["POST", "GET"] as const).map((method) =>
    route({
      method,
      path: "/dlr/:operator",
      access: "public",
      query: [],
      body: null,
      rawBytesMax: REPORT_BYTES_MAX,
      answers: { 200: Stored },
      errors: ["report_refused", "not_found", "overloaded"],
      about: {
        operationId: method === "POST" ? "postReport" : "getReport",
        tag: "Operators",
        summary: "Take an operator's delivery report, in its own shape",
        description: ABOUT_REPORTS,
        path: { operator: OPERATOR },
        body: "messageid=7f3a&status=DELIVRD",
        answers: { 200: { stored: true } },
      },
      handle: (call) => take(deps, call),
    }),
  );

async function take(deps: DlrDeps, call: Call<"public">): Promise<{ status: 200; body: string }> {
  const { request, bytes } = call;
  if (call.isStopping())
    throw new SluiceError("unavailable", { detail: "The process is stopping.", retryAfterS: 1 });
  const operator = call.params.operator ?? "";
  const authorize = deps.authorizerOf(operator);
  if (authorize === undefined) throw new SluiceError("not_found", { detail: "There is no such operator." });
  const verdict = authorize({
    url: urlOf(request.url, deps.publicUrl),
    headers: request.headers,
    body: bytes,
    address: call.clientAddress(),
  });
  if (verdict.kind === "forbidden") {
    deps.log.warn({ operator, reason: verdict.reason, trace_id: call.requestId }, "report refused");
    throw new SluiceError("report_refused");
  }
  const cut = request.url.indexOf("?");
  const query = cut < 0 ? "" : withoutToken(request.url.slice(cut + 1));
  const contentType = request.headers.get("content-type") ?? "";
  await deps.inbox
    .store({ operator, receivedAtMs: deps.now(), via: "http", contentType, query, body: bytes })
    .catch((cause: unknown) => {
      if (isConnectionLost(cause)) throw new SluiceError("unavailable", { cause });
      throw cause;
    });
  return { status: 200, body: STORED };
}

function urlOf(url: string, publicUrl: string): string {
  if (publicUrl === "") return url;
  const { pathname, search } = new URL(url);
  return publicUrl.replace(/\/$/, "") + pathname + search;
}
