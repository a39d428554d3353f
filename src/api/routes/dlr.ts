// POST and GET /dlr/{operator}: an operator's delivery reports; /mo/{operator}: the messages that came in for
// numbers of ours. Both are stored as they came and acknowledged; src/dlr/ reads and settles them later, so
// that an operator never waits for that, and what can't be read isn't lost. Invariant: 200 only once it is
// stored.

import { Type } from "typebox";
import { SluiceError } from "../../core/errors.ts";
import { REPORT_BYTES_MAX } from "../../core/limits.ts";
import { targetOf } from "../../core/request-target.ts";
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
const ABOUT_INBOUND = `What a phone sent to one of our numbers, as its operator posts it: admitted like a
delivery report, and read leniently by the operator's shape; \`reports.inbound\` of the routes file names its
fields where they differ. Messages to numbers that nobody has are acknowledged, too.

The message is stored before it is acknowledged, and told to its customer afterwards, as
\`message.received\`.`;
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

/** What each path takes, and the words of its reference. */
const KINDS = {
  dlr: {
    via: "http",
    operationIds: { POST: "postReport", GET: "getReport" },
    summary: "Take an operator's delivery report, in its own shape",
    description: ABOUT_REPORTS,
    body: "messageid=7f3a&status=DELIVRD",
  },
  mo: {
    via: "mo",
    operationIds: { POST: "postInbound", GET: "getInbound" },
    summary: "Take a message that came in, in its operator's own shape",
    description: ABOUT_INBOUND,
    body: "from=989121234567&to=3000123&text=STOP&id=7f3a",
  },
} as const;
type Kind = keyof typeof KINDS;

/** Some operators call by GET, with everything in the query. */
export const createDlrRoutes = (deps: DlrDeps): Route[] =>
  (["dlr", "mo"] as const).flatMap((kind) =>
    (["POST", "GET"] as const).map((method) => createOne(deps, kind, method)),
  );

function createOne(deps: DlrDeps, kind: Kind, method: "POST" | "GET"): Route {
  const { via, operationIds, summary, description, body } = KINDS[kind];
  return route({
    method,
    path: `/${kind}/:operator`,
    access: "public",
    query: [],
    body: null,
    rawBytesMax: REPORT_BYTES_MAX,
    answers: { 200: Stored },
    errors: ["report_refused", "not_found", "overloaded"],
    about: {
      operationId: operationIds[method],
      tag: "Operators",
      summary,
      description,
      path: { operator: OPERATOR },
      body,
      answers: { 200: { stored: true } },
    },
    handle: (call) => take(deps, call, via),
  });
}

async function take(
  deps: DlrDeps,
  call: Call<"public">,
  via: "http" | "mo",
): Promise<{ status: 200; body: string }> {
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
  const query = withoutToken(targetOf(request.url).query);
  const contentType = request.headers.get("content-type") ?? "";
  await deps.inbox
    .store({ operator, receivedAtMs: deps.now(), via, contentType, query, body: bytes })
    .catch((cause: unknown) => {
      if (isConnectionLost(cause)) throw new SluiceError("unavailable", { cause });
      throw cause;
    });
  return { status: 200, body: STORED };
}

function urlOf(url: string, publicUrl: string): string {
  if (publicUrl === "") return url;
  const { path, query } = targetOf(url);
  return publicUrl.replace(/\/$/, "") + path + (query === "" ? "" : `?${query}`);
}
