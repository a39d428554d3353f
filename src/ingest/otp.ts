// One-time codes, from any door: counts one more, draws it, and accepts the express message that brings it;
// later verifies what its recipient typed. Leaves to the doors: the format of requests and answers.
// Invariants: the code is stored by the commit that stores and charges its message; outside of this process
// it is an HMAC or sealed. What is refused is neither counted nor charged, except after `outcome_unknown`.

import type { Draft } from "../core/draft.ts";
import { SluiceError, toSluiceError } from "../core/errors.ts";
import { ulidTimeMs } from "../core/id.ts";
import { drawCode } from "../core/otp-code.ts";
import { otpOver, otpWrong } from "../core/otp-errors.ts";
import type { OtpRules } from "../core/otp-guard.ts";
import { type OtpSecret, purposeOfAnswer, purposeOfMessage } from "../core/otp-secret.ts";
import type { RequestKey } from "../ledger/idempotency.ts";
import { countVerified, giveOtpSlotBack, takeOtpSlot } from "../ledger/otp-counts.ts";
import { type OtpRef, type Verified, verifyOtp } from "../ledger/otps.ts";
import type { Log } from "../platform/log.ts";
import { isConnectionLost } from "../platform/mysql-errors.ts";
import type { PoolOf } from "../platform/pool-shares.ts";
import type { Accepted, AcceptMessage, AcceptRequest, Payer } from "./accept-message.ts";
import type { Rates } from "./rate-limits.ts";

/** A code that was sent. `code`: as an answer has it; sealed in one that is stored; null: not at all. */
export type SentOtp = { id: string; expiresAtMs: number; accepted: Accepted; code: string | null };
export type OtpRequest = Pick<AcceptRequest, "traceparent" | "isGone" | "promiseMaxMs"> & {
  payer: Payer & { showsOtp?: true };
  /** Express, with the text that has the placeholder; encoding and parts are those with a code in it. */
  draft: Draft;
  length: number;
  ttlMs: number;
  key: RequestKey | null;
  answerOf: (sent: SentOtp) => string;
};
export type Otps = {
  /** @throws SluiceError unavailable, those of otp-guard.ts, and what AcceptMessage throws */
  send(request: OtpRequest): Promise<{ sent: SentOtp; rate: Rates | null }>;
  /** @throws SluiceError not_found, otp_wrong, otp_over, outcome_unknown, unavailable */
  verify(ref: OtpRef, code: string): Promise<Verified>;
  /** The code of a stored answer; null if it can't be read any more. */
  openAnswer(ref: OtpRef, sealed: string): string | null;
};
export type OtpDeps = {
  accept: AcceptMessage;
  /** Asked once by each request: so what gives a slot back, or counts a verified code, is never refused. */
  poolOf: PoolOf;
  /** null: this installation sends no codes. */
  secret: OtpSecret | null;
  rules: OtpRules;
  id: () => string;
  /** Of a CSPRNG. */
  randomBytes: (count: number) => Uint8Array;
  log: Log;
};

const ACCEPTED = 202;
const NO_SECRET_RETRY_S = 60;
const UNKNOWN =
  "Whether the code was verified is not known. Ask again: if it is then over and verified, it was.";

export function createOtps({ accept, poolOf, secret: given, rules, id, randomBytes, log }: OtpDeps): Otps {
  const secret = (): OtpSecret => {
    if (given !== null) return given;
    throw new SluiceError("unavailable", {
      detail: "This installation sends no codes: it has no secret for them.",
      retryAfterS: NO_SECRET_RETRY_S,
    });
  };

  return {
    async send({ payer, draft, length, ttlMs, key, answerOf, ...arrival }) {
      const { hashOf, seal } = secret();
      const { customerId, showsOtp } = payer;
      const { phone } = draft;
      const checksItself = showsOtp === true;
      const pool = poolOf(customerId);
      const slot = await takeOtpSlot(pool, { customerId, phone, checksItself }, rules);
      const otpId = id();
      const code = drawCode(length, randomBytes);
      const otp = {
        otpId,
        hash: hashOf(otpId, code),
        sealedCode: seal(code, purposeOfMessage({ customerId, phone })),
        ttlMs,
      };
      const sentAs = (accepted: Accepted, shown: string): SentOtp => ({
        id: otpId,
        expiresAtMs: ulidTimeMs(accepted.id) + ttlMs,
        accepted,
        code: checksItself ? shown : null,
      });
      const sealed = seal(code, purposeOfAnswer(customerId, otpId));
      const storedAnswer = (accepted: Accepted) => answerOf(sentAs(accepted, sealed));
      const kept = key === null ? null : { key, status: ACCEPTED, answerOf: storedAnswer };
      try {
        const { accepted, rate } = await accept({ ...arrival, payer, draft, fallback: null, kept, otp });
        return { sent: sentAs(accepted, code), rate };
      } catch (error) {
        if (toSluiceError(error).code !== "outcome_unknown")
          await giveOtpSlotBack(pool, slot).catch((err: unknown) =>
            log.warn({ err }, "a code that was refused stays counted"),
          );
        throw error;
      }
    },

    async verify(ref, code) {
      const { isRight } = secret();
      const pool = poolOf(ref.customerId);
      let isEnding = false;
      const verdict = await verifyOtp(
        pool,
        ref,
        (hash) => isRight(hash, ref.otpId, code),
        () => (isEnding = true),
      ).catch((error: unknown) => {
        if (!isEnding || !isConnectionLost(error)) throw error;
        throw new SluiceError("outcome_unknown", { cause: error, detail: UNKNOWN });
      });
      switch (verdict.kind) {
        case "none":
          throw new SluiceError("not_found", { detail: "No such code, or a newer one has replaced it." });
        case "over":
          throw otpOver(verdict.end);
        case "wrong":
          throw otpWrong(verdict.triesLeft);
        case "verified":
          // Without the count, pumping is only suspected sooner.
          await countVerified(pool, { customerId: ref.customerId, phone: verdict.phone }).catch(
            (err: unknown) => log.warn({ err }, "a verified code was not counted"),
          );
          return { messageId: verdict.messageId, phone: verdict.phone };
      }
    },

    openAnswer: ({ customerId, otpId }, sealed) =>
      given?.open(sealed, purposeOfAnswer(customerId, otpId)) ?? null,
  };
}
