// The requests of one session that have no answer yet, by sequence number. Owns the numbers and the deadlines
// of submits. Leaves the connection to session.ts.
// Invariants: a number is not used again while its request is outstanding; an answer fits by number and
// command; a submit has one result, and at most one late answer after a "lost".
// Bound: the session's window, and the few requests of its own.

import { RESPONSE } from "./pdu.ts";

/**
 * An answer that nobody waits for. Late: it came after its request's time-out, and is handed on all the same.
 * Stray: it fits no outstanding request, such as a second one, and is dropped.
 */
export type UnexpectedAnswer = "late" | "stray";

/** 5.1.4 */
const SEQUENCE_MAX = 0x7fff_ffff;

export type Answered = (status: number, text: string, pdu: Uint8Array) => void;
export type SubmitResult =
  /** `id` is "" if the answer has none. */
  { kind: "answered"; status: number; id: string } | { kind: "lost"; reason: string };
/** Where the results of a submit go. */
export type SubmitDone = {
  done(result: SubmitResult): void;
  /** The answer after a "lost". */
  late(status: number, id: string): void;
  /** Any answer as it came, before the result: for requests whose answer says more than an id. */
  raw?(pdu: Uint8Array): void;
};

type Submit = SubmitDone & { dueMs: number; isLost: boolean };
type Entry = { command: number; answered: Answered; submit: Submit | null };

export type Pending = {
  /** Both return the request's sequence number. */
  add(command: number, answered: Answered): number;
  addSubmit(command: number, answerByMs: number, to: SubmitDone): number;
  /** The request that this answer is for; null if there is none. A generic_nack fits any command. */
  take(sequence: number, answerCommand: number | "any"): Answered | null;
  /** Ends what is overdue; returns how many submits are no longer waited for. */
  expire(nowMs: number): number;
  loseAll(reason: string): void;
  /** Submits that are waited for, lost ones too. */
  submits(): number;
};

/** `onLate` is called before each late answer is handed on. */
export function createPending(firstSequence: number, lateMs: number, onLate: () => void): Pending {
  const entries = new Map<number, Entry>();
  let submits = 0;
  let next = firstSequence;

  function insert(entry: Entry): number {
    while (entries.has(next)) next = after(next);
    const sequence = next;
    next = after(next);
    entries.set(sequence, entry);
    return sequence;
  }

  return {
    add: (command, answered) => insert({ command, answered, submit: null }),
    addSubmit(command, answerByMs, to) {
      const submit: Submit = { ...to, dueMs: answerByMs, isLost: false };
      submits++;
      return insert({
        command,
        submit,
        answered(status, id, pdu) {
          submit.raw?.(pdu);
          if (!submit.isLost) return submit.done({ kind: "answered", status, id });
          onLate();
          submit.late(status, id);
        },
      });
    },
    take(sequence, answerCommand) {
      const entry = entries.get(sequence);
      if (entry === undefined) return null;
      if (answerCommand !== "any" && answerCommand !== (entry.command | RESPONSE) >>> 0) return null;
      entries.delete(sequence);
      if (entry.submit !== null) submits--;
      return entry.answered;
    },
    expire(nowMs) {
      let given = 0;
      for (const [sequence, { submit }] of entries) {
        if (submit === null || nowMs < submit.dueMs) continue;
        if (submit.isLost) {
          entries.delete(sequence);
          submits--;
          given++;
        } else {
          submit.isLost = true;
          submit.dueMs = nowMs + lateMs;
          submit.done({ kind: "lost", reason: "no answer in time" });
        }
      }
      return given;
    },
    loseAll(reason) {
      const all = [...entries.values()];
      entries.clear();
      submits = 0;
      for (const { submit } of all)
        if (submit !== null && !submit.isLost) submit.done({ kind: "lost", reason });
    },
    submits: () => submits,
  };
}

const after = (sequence: number): number => (sequence >= SEQUENCE_MAX ? 1 : sequence + 1);
