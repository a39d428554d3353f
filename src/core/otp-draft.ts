// A one-time code's message as a draft: express, with the placeholder in its text, sized as with a code in
// it. Leaves to the doors which texts and lengths a request may ask for.

import { type DraftInput, type DraftResult, type DraftRules, draftOf } from "./draft.ts";
import { templateProblem, withCode } from "./otp-code.ts";

/** `text`: with the placeholder; `length`: digits of the code; `ttlMs`: for how long it is right. */
export type OtpInput = Pick<DraftInput, "phone" | "text" | "from" | "reference" | "callbackUrl"> & {
  length: number;
  ttlMs: number;
};

/** Worth sending for as long as the code is right. A refusal names every wrong field. */
export function otpDraftOf({ length, ttlMs, ...input }: OtpInput, rules: DraftRules): DraftResult {
  const { text } = input;
  const sized = withCode(text, "0".repeat(length));
  const result = draftOf({ ...input, text: sized, lane: "express", validForMs: ttlMs }, rules);
  const problem = templateProblem(text);
  if (result.kind === "draft" && problem === null) return { kind: "draft", draft: { ...result.draft, text } };
  const misplaced = problem === null ? [] : [{ field: "text", reason: problem }];
  return { kind: "refused", errors: [...(result.kind === "draft" ? [] : result.errors), ...misplaced] };
}
