// Submits the parts of one message and makes one answer of theirs. Owns the order and the deadlines of parts.
// Leaves the meaning of a status to the caller, room and connections to binds.ts.
// States of a message: first (its first part is on the way; if that isn't taken, none is), rest (the others
// are), then answered. "lost" is answered when the parts that are under way beside the lost one have their
// ends, with the ids of those that were taken. It isn't the end: the message is settled by what still comes,
// and goes on with its other parts if a late answer says that the first was taken.

import { OPERATOR_MESSAGE_ID_CHARS_MAX } from "../../core/limits.ts";
import type { Binds, Job } from "../../platform/smpp/binds.ts";
import type { Draft } from "../../platform/smpp/encode.ts";
import { type StatusClass, statusText } from "../../platform/smpp/status.ts";
import type { Answer, CertainAnswer } from "./connector.ts";

type Deps = {
  binds: Pick<Binds, "submit">;
  kindOf: (status: number) => StatusClass;
  mayReport: (status: number) => boolean;
  /** For the first part to begin, and for each answer. */
  timeoutMs: number;
  /** If that is less: how long the first part may wait for room at most. */
  firstMs: number;
  /** When the first part is taken: how long the others may take to begin, and all until they are answered. */
  restMs: number;
  endMs: number;
  /** How long after the first part another one may go, at the operator's rate. */
  afterMs: (part: number) => number;
};
export type AnswerTo = {
  done(answer: Answer): void;
  /** What became certain after a "lost". */
  late(answer: CertainAnswer): void;
};
type Result = Parameters<Job["done"]>[0];

/** Between two submits of a part: without it, one that is refused at once would go as fast as it can. */
const AGAIN_MS = 100;

// What reports can be found by. Some operators put TLVs where an id would be.
const ID = new RegExp(`^[\\x20-\\x7e]{1,${OPERATOR_MESSAGE_ID_CHARS_MAX}}$`);
const usable = (id: string): string => (ID.test(id) ? id.trim() : "");

export function submitParts(
  { binds, kindOf, mayReport, timeoutMs, afterMs, ...times }: Deps,
  drafts: readonly Draft[],
  to: AnswerTo,
): void {
  /** Of the parts that were taken. */
  const ids: (string | null)[] = drafts.map(() => null);
  /** Of those that perhaps were, too; "" where the operator gave none. */
  const named = drafts.map(() => "");
  const count = drafts.length;
  const startedMs = performance.now();
  let restByMs = startedMs + times.restMs;
  let endMs = startedMs + times.endMs;
  let isAnswered = false;
  let underWay = 0;
  /** Why the first lost part was. */
  let lost: string | null = null;

  const answer = (answer: Answer) => {
    if (!isAnswered) to.done(answer);
    else if (answer.kind === "accepted" || answer.kind === "refused") to.late(answer);
    isAnswered = true;
  };
  const lose = (part: number, reason: string) => {
    lost ??= count === 1 ? reason : `part ${part + 1}: ${reason}`;
  };
  const answerIfLost = () => {
    if (lost === null || underWay > 0 || isAnswered) return;
    const isAnyNamed = named.some((id) => id !== "");
    answer({ kind: "lost", reason: lost, ...(isAnyNamed ? { operatorMessageIds: [...named] } : {}) });
  };

  function submit(parts: readonly number[], fromMsOf: (part: number) => number): void {
    underWay += parts.length;
    const jobs = parts.map(
      (part): Job => ({
        draft: drafts[part] as Draft,
        fromMs: fromMsOf(part),
        startByMs: part === 0 ? startedMs + Math.min(timeoutMs, times.firstMs) : restByMs,
        answerMs: timeoutMs,
        endByMs: endMs,
        done: (result) => {
          underWay--;
          onResult(part, result);
          answerIfLost();
        },
        late: (status, id) => onResult(part, { kind: "answered", status, id }),
      }),
    );
    binds.submit(jobs, !parts.includes(0));
  }

  function onResult(part: number, result: Result): void {
    if (result.kind === "lost") return lose(part, result.reason);
    if (result.kind === "not-sent") {
      if (part > 0) return lose(part, result.reason);
      return answer({ kind: "not-connected", reason: result.reason });
    }
    const { status } = result;
    const id = usable(result.id);
    named[part] = id;
    if (status === 0) return onTaken(part, id);
    const kind = kindOf(status);
    // Some operators throttle what they have taken: the id gives it away.
    if (kind === "perhaps_taken" || id !== "") return lose(part, `${statusText(status)}, perhaps taken`);
    if (part === 0) {
      const refused = {
        kind: "refused",
        permanent: kind === "for_good",
        reason: statusText(status),
      } as const;
      return answer(mayReport(status) ? { ...refused, mayReport: true } : refused);
    }
    // The rest of a message often trips the rate that its first part left.
    const againMs = performance.now() + AGAIN_MS;
    if (kind === "later" && againMs < restByMs) return submit([part], () => againMs);
    lose(part, `${statusText(status)} after others were taken`);
  }

  function onTaken(part: number, id: string): void {
    ids[part] = id;
    const taken = ids.filter((known) => known !== null);
    if (taken.length === count) return answer({ kind: "accepted", operatorMessageIds: taken });
    if (part > 0) return;
    const nowMs = performance.now();
    // A late answer to the first part: the others have their time from now on.
    if (isAnswered) restByMs = endMs = nowMs + afterMs(count - 1) + 2 * timeoutMs;
    // If it came after the second was due, all are put off: they would use up the rate together.
    const firstMs = Math.max(startedMs, nowMs - afterMs(1));
    submit(
      drafts.slice(1).map((_, i) => i + 1),
      (next) => firstMs + afterMs(next),
    );
  }

  submit([0], () => startedMs);
}
