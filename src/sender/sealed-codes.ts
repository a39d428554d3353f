// One-time codes at the last moment: a message's sealed code is opened when its submit begins, and only its
// connector sees the text with the code. What an operator says of the message may repeat the text, so the
// code is taken out of that. Runs in a worker; nothing leaves it in the clear but to the operator.

import type { LaneRecord } from "../core/lane-record.ts";
import { CODE, withCode } from "../core/otp-code.ts";
import { type OtpSecret, purposeOfMessage } from "../core/otp-secret.ts";
import type { Answer } from "../operators/connectors/connector.ts";

/** The code of a message that has one; null if it can't be opened here. */
export type CodeOf = (message: LaneRecord) => string | null;

export const createCodeOf =
  (secret: OtpSecret | null): CodeOf =>
  (message) =>
    secret?.open(message.sealedCode ?? "", purposeOfMessage(message)) ?? null;

/** The message as its operator gets it. */
export const withText = (message: LaneRecord, code: string): LaneRecord => ({
  ...message,
  text: withCode(message.text, code),
});

/** What the operator said, without the code. */
export function withoutCode<A extends Answer>(answer: A, code: string): A {
  return "reason" in answer ? { ...answer, reason: answer.reason.replaceAll(code, CODE) } : answer;
}

/** What an operator says later of a message with a code, for the others: neither has the code. */
export function reportWithoutCode<A extends Answer>(
  codeOf: CodeOf,
  message: LaneRecord,
  answer: A,
): { message: LaneRecord; answer: A } {
  if (message.sealedCode === undefined) return { message, answer };
  const code = codeOf(message);
  return { message: { ...message, text: "" }, answer: code === null ? answer : withoutCode(answer, code) };
}
