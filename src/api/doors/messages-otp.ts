// `otp: true` of POST /v1/messages: a one-time code of this API (src/ingest/otp.ts) whose answer waits until
// an operator has its message, as the peer's does. docs/doors/messages.md says what differs.
// Invariants: the promise of its message ends before its wait does, so what is still queued then is never
// sent, and is refunded; a failure of which that isn't certain says so. A repeat with its Idempotency-Key
// sends nothing, and is answered with what has become of the first one by then.

import { SluiceError } from "../../core/errors.ts";
import { ulidTimeMs, ulidUuid } from "../../core/id.ts";
import { CODE } from "../../core/otp-code.ts";
import { otpDraftOf } from "../../core/otp-draft.ts";
import { OTP_LENGTH_DEFAULT, OTP_TTL_DEFAULT_MS } from "../../core/otp-limits.ts";
import type { KeyOwner } from "../../customers/api-keys.ts";
import type { Otps, SentOtp } from "../../ingest/otp.ts";
import type { RequestKey } from "../../ledger/idempotency.ts";
import type { Outcome } from "../../reports/outcomes.ts";
import { draftRules } from "../draft-rules.ts";
import { givenKey, onceAs } from "../idempotency-key.ts";
import { rateHeaders } from "../rate-headers.ts";
import type { Written } from "../route.ts";
import { type Knock, PeerRefusal } from "./door.ts";
import { FRESH_MS, type Outcomes, WAIT_MAX_MS } from "./outcomes.ts";
import type { SendingDeps } from "./sending.ts";

export type OtpDoorDeps = Pick<SendingDeps, "keys" | "callbacks" | "now"> & {
  otps: Pick<Otps, "send" | "openAnswer">;
  outcomes: Outcomes;
};

const TEXT = `Your verification code is ${CODE}`;
/**
 * The rest of the wait is for settling what was submitted at the last moment. A wait that ends with `queued`
 * read it in that rest, when the promise was over.
 */
const PROMISE_MS = WAIT_MAX_MS - FRESH_MS;
/** A repeat may come when the wait is over, and still needs a read. */
const READ_MS = 1_000;

type Asked = {
  to: string;
  from: string | null;
  text: string | null;
  reference: string | null;
  callbackUrl: string | null;
};

/** @throws PeerRefusal, SluiceError as Otps.send does, and of the key as sending.ts; overloaded */
export function sendOtp(deps: OtpDoorDeps, knock: Knock, owner: KeyOwner, asked: Asked): Promise<Written> {
  const { customerId } = owner;
  const { isGone } = knock;
  const { to, from, text, reference, callbackUrl } = asked;
  return deps.outcomes.waitIn(customerId, async (outcomeOf) => {
    const bytes = Buffer.from(JSON.stringify(["messages", "otp", to, from, text, reference, callbackUrl]));
    const written = await onceAs(
      givenKey(knock.request),
      deps.keys,
      { owner, isGone, bytes },
      "send",
      (key) => accepted(deps, knock, owner, asked, key),
    );
    const isReplay = written.headers?.["Idempotent-Replayed"] !== undefined;
    const kept = JSON.parse(written.body as string) as Kept;
    const leftMs = ulidTimeMs(kept.id) + WAIT_MAX_MS - deps.now();
    const outcome = await outcomeOf(kept.id, knock, Math.max(READ_MS, leftMs));
    const isOver = ulidTimeMs(kept.id) + PROMISE_MS <= deps.now();
    const sealed = kept.otp_code;
    const code =
      sealed !== undefined && isReplay
        ? deps.otps.openAnswer({ customerId, otpId: kept.otp_id }, sealed)
        : (sealed ?? null);
    const { status, body } = answerTo(outcome, { kept, code, isOver });
    return { status, body, headers: { ...HEADERS, ...written.headers } };
  });
}

/** What is stored under the key; the code is sealed then. */
type Kept = { id: string; otp_id: string; otp_code?: string };

const ACCEPTED = 202;

async function accepted(
  deps: OtpDoorDeps,
  knock: Knock,
  owner: KeyOwner,
  asked: Asked,
  key: RequestKey | null,
): Promise<Written> {
  const { to: phone, from, text, reference, callbackUrl } = asked;
  const [length, ttlMs] = [OTP_LENGTH_DEFAULT, OTP_TTL_DEFAULT_MS];
  const result = otpDraftOf(
    { phone, from, text: text ?? TEXT, reference, callbackUrl, length, ttlMs },
    draftRules(owner, deps),
  );
  if (result.kind === "refused") throw new SluiceError("validation_failed", { errors: result.errors });
  const { traceparent, isGone } = knock;
  const answerOf = ({ id, accepted: { id: messageId }, code }: SentOtp): string => {
    const kept: Kept = { id: messageId, otp_id: id };
    return JSON.stringify(code === null ? kept : { ...kept, otp_code: code });
  };
  const sending = { payer: owner, draft: result.draft, length, ttlMs, key, answerOf };
  const { sent, rate } = await deps.otps
    .send({ ...sending, traceparent, isGone, promiseMaxMs: PROMISE_MS })
    .catch((error: unknown) => {
      if (!(error instanceof SluiceError) || error.code !== "lane_saturated") throw error;
      const { status, body } = failed(`OTP delivery failed: ${error.detail}`);
      const headers = { ...HEADERS, "retry-after": String(error.retryAfterS) };
      throw new PeerRefusal({ status, body, headers });
    });
  return { status: ACCEPTED, body: answerOf(sent), ...(rate === null ? {} : { headers: rateHeaders(rate) }) };
}

// ---- answers ----

export const HEADERS = { "content-type": "application/json" };

export const answer = (status: number, value: unknown): Written => ({
  status,
  body: JSON.stringify(value),
  headers: HEADERS,
});

const TIMEOUT = "OTP delivery timeout - operator not responding within 5s";

const NOT_KNOWN = "whether it was sent is not known yet, and its price stays reserved until it is";
const UNREAD: Outcome = { status: "unknown", lastError: null };

type Waited = { kept: Kept; code: string | null; isOver: boolean };

function answerTo(outcome: Outcome | null, { kept, code, isOver }: Waited): Written {
  const { status, lastError } = outcome ?? UNREAD;
  const message_id = ulidUuid(kept.id);
  const shown = code === null ? { otp_id: kept.otp_id } : { otp_code: code };
  const ids = { message_id, otp_id: kept.otp_id };
  const open = failed(`${TIMEOUT}; ${NOT_KNOWN}`, { ...ids, status: "SENDING" });
  switch (status) {
    case "sent":
    case "delivered":
      return answer(200, { message_id, ...shown, status: "SENT" });
    case "failed":
    case "rejected":
    case "expired":
    case "canceled":
      return failed(`OTP delivery failed: ${lastError ?? status}`);
    case "undelivered":
      return failed("OTP delivery failed: the operator took it, and reports that it was not delivered", {
        message_id,
        status: "FAILED_PERM",
      });
    case "queued":
      // Once its promise is over no submit can begin, and whichever sender reads it refunds it.
      return isOver ? failed(TIMEOUT) : open;
    case "scheduled":
    case "sending":
    case "unknown":
      return open;
  }
}

function failed(reason: string, { message_id, otp_id, status }: Failed = {}): Written {
  const error = "OTP delivery failed - operator cannot deliver immediately";
  return answer(503, { error, message_id, otp_id, reason, status });
}

/** Members of which the peer's answer has none: for a code that may still arrive, or was paid for. */
type Failed = { message_id?: string; otp_id?: string; status?: string };
