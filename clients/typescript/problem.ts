// What a call may throw: a problem, which is the gateway's answer (RFC 9457), or that there was no answer
// that can be read. Both carry the Idempotency-Key of the request, with which it can be repeated later.

import type { Problems } from "./types.ts";

/** Stable; codes may be added. */
export type ProblemCode = keyof Problems;

/** The gateway refused the request, or gave it up; `problem` is its whole answer. */
export class SluiceProblem<C extends ProblemCode = ProblemCode> extends Error {
  override readonly name = "SluiceProblem";
  /** HTTP status */
  readonly status: number;
  readonly code: C;
  readonly problem: Problems[C];
  /** To name when you ask whoever runs the gateway. */
  readonly requestId: string;
  /** Null if the request had none. */
  readonly idempotencyKey: string | null;

  constructor(problem: Problems[C], idempotencyKey: string | null) {
    super(`${problem.code}: ${problem.detail}`);
    this.status = problem.status;
    this.code = problem.code as C;
    this.problem = problem;
    this.requestId = problem.request_id;
    this.idempotencyKey = idempotencyKey;
  }
}

/**
 * No answer came in time, or none of this gateway. Or only the refusal of a repeat did: it is the `cause`
 * then, and says nothing of the try before it. Whether the request took effect is not known: repeat it with
 * the same `idempotencyKey`.
 */
export class SluiceUnreachable extends Error {
  override readonly name = "SluiceUnreachable";
  /** Of an answer that is no problem document, such as a proxy's own page; null: no answer. */
  readonly status: number | null;
  readonly idempotencyKey: string | null;

  constructor(
    message: string,
    {
      status,
      idempotencyKey,
      cause,
    }: { status: number | null; idempotencyKey: string | null; cause?: unknown },
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.idempotencyKey = idempotencyKey;
  }
}

/** Whether this was thrown for a problem of this code; its `problem` then has the members of that code. */
export const isProblem = <C extends ProblemCode>(thrown: unknown, code: C): thrown is SluiceProblem<C> =>
  thrown instanceof SluiceProblem && thrown.code === code;
