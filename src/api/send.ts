// POST /v1/sms/send: a body becomes a draft, the draft is accepted (src/ingest/accept-message.ts), and only
// then comes the 202. The hot path.

import { draftOf } from "../core/draft.ts";
import { SluiceError } from "../core/errors.ts";
import { parseJson } from "../core/json.ts";
import type { RequestKey } from "../ledger/idempotency.ts";
import type { Accepted, AcceptMessage } from "../ingest/accept-message.ts";
import type { Idempotency } from "../ingest/idempotency.ts";
import { type Call, type Reply, type Route, readBody } from "./http.ts";
import { once } from "./idempotency-key.ts";
import { rateHeaders } from "./rate-headers.ts";
import { checkerOf, SendBody } from "./schemas.ts";

export type SendDeps = { accept: AcceptMessage; keys: Idempotency };

const NOT_YET = ["send_at", "valid_for", "callback_url", "fallback"];
const check = checkerOf(SendBody, NOT_YET);

export function createSend({ accept, keys }: SendDeps): Route {
  const run = async (call: Call, bytes: Uint8Array, key: RequestKey | null): Promise<Reply> => {
    const { owner, traceparent, isGone } = call;
    const { phone, text, type: lane, from = null, reference = null } = check(parseJson(bytes));
    const drafted = draftOf({ phone, text, lane, from, reference }, owner.region);
    if (drafted.kind === "refused") throw new SluiceError("validation_failed", { errors: drafted.errors });
    const kept = key === null ? null : { key, status: 202, answerOf };
    const { draft } = drafted;
    const { accepted, rate } = await accept({ payer: owner, draft, kept, traceparent, isGone });
    const body = answerOf(accepted);
    return rate === null ? { status: 202, body } : { status: 202, body, headers: rateHeaders(rate) };
  };
  return {
    method: "POST",
    path: "/v1/sms/send",
    scope: "send",
    query: [],
    async handle(call) {
      const body = await readBody(call.request);
      return once(keys, call, { operation: "send", body }, (key) => run(call, body, key));
    },
  };
}

// By hand: nothing in it can need escaping, and it runs for every message.
function answerOf(a: Accepted): string {
  const promised =
    a.guaranteedByMs === null ? "" : `,"guaranteed_by":"${new Date(a.guaranteedByMs).toISOString()}"`;
  return (
    `{"enqueued":true,"id":"${a.id}","customer_id":"${a.customerId}","type":"${a.lane}",` +
    `"encoding":"${a.encoding}","parts":${a.parts},"cost":${a.cost},` +
    `"currency":"${a.currency}","balance_after":${a.balanceAfter},"status":"${a.status}"${promised}}`
  );
}
