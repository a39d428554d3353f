// The refusals of a code that is to be verified.

import { SluiceError } from "./errors.ts";

/** Why a code can't be verified any more. */
export const OTP_ENDS = ["verified", "locked", "expired"] as const;
export type OtpEnd = (typeof OTP_ENDS)[number];

/** A 409 for a code that has ended. */
export function otpOver(status: OtpEnd): SluiceError {
  return new SluiceError("otp_over", {
    detail: `The code is ${status}; it can't be verified any more.`,
    extra: { otp_status: status },
  });
}

/** A 422 for a code that is not the one that was sent. */
export function otpWrong(triesLeft: number): SluiceError {
  return new SluiceError("otp_wrong", {
    detail: `The code is wrong; ${triesLeft} tries are left.`,
    extra: { tries_left: triesLeft },
  });
}
