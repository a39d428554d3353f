// Every case of test/cases/ by its name, through the public functions. Reports are applied in memory, in the
// order in which they arrive; what finds no message is tried again once the submit's answer is there.

import type { RawReport } from "../../core/raw-report.ts";
import { describe, expect, test } from "bun:test";
import {
  type ExpectedEnd,
  loadReceiptCases,
  type ReceiptCase,
  type Submit,
} from "../../../test/support/receipt-cases.ts";
import { type End, endOfPart, endOfParts } from "./ends.ts";
import { idKeys, match, submitIdKey } from "./matching.ts";
import { readReport } from "./read.ts";
import type { Reading } from "./report.ts";

type Arrived = { raw: RawReport; reading: Reading };
type Applied = { arrived: Arrived[]; unmatched: Arrived[]; ends: Map<string, (End | null)[]> };

function applied({ terms, reports, submitted, later }: ReceiptCase): Applied {
  const known = [...submitted];
  const ends = new Map<string, (End | null)[]>();
  const isMatched = ({ raw, reading }: Arrived): boolean => {
    const keys = idKeys(reading.operatorMessageIds, terms.idForm);
    const candidates = known.filter(
      ({ operator, operatorMessageId }) =>
        operator === raw.operator && keys.includes(submitIdKey(operatorMessageId, terms.idForm)),
    );
    const found = match(reading, candidates, terms.idForm);
    if (found === null || found === "ambiguous") return false;
    const parts = ends.get(found.messageId) ?? partsOf(known, found.messageId);
    parts[found.part - 1] = endOfPart(parts[found.part - 1] ?? null, reading);
    ends.set(found.messageId, parts);
    return true;
  };
  const arrived = reports.flatMap((raw) => readReport(raw, terms).map((reading) => ({ raw, reading })));
  const waiting = arrived.filter((report) => !isMatched(report));
  if (later !== null) known.push(later);
  return { arrived, unmatched: waiting.filter((report) => !isMatched(report)), ends };
}

const partsOf = (known: readonly Submit[], message: string): null[] =>
  known.filter(({ messageId }) => messageId === message).map(() => null);

/** What a message ended with; a single part also shows a notice that ends nothing. */
function endOf(parts: readonly (End | null)[]): ExpectedEnd {
  const none = { status: "none", error: null, doneAtMs: null };
  const end = endOfParts(parts) ?? (parts.length === 1 ? parts[0] : null) ?? none;
  return { status: end.status, error: end.error, doneAtMs: end.doneAtMs };
}

for (const file of ["dlr-receipts.json", "dlr-receipts-own.json"]) {
  describe(file, () => {
    for (const one of loadReceiptCases(file)) {
      test(one.name, () => {
        const { expect: expected, message } = one;
        const { arrived, unmatched, ends } = applied(one);
        expect(arrived.length > 0).toBe(expected.isReport);
        expect(ends.has(message)).toBe(expected.matches);
        const parts = ends.get(message) ?? [unmatched.at(-1)?.reading ?? null];
        expect(endOf(parts)).toEqual(expected.end);
        for (const other of expected.others) expect(endOf(ends.get(other.message) ?? [])).toEqual(other.end);
        expect([...ends.keys()].toSorted()).toEqual(
          [
            ...(expected.matches ? [message] : []),
            ...expected.others.map((other) => other.message),
          ].toSorted(),
        );
      });
    }
  });
}

test("the files of cases are whole", () => {
  expect(loadReceiptCases("dlr-receipts.json")).toHaveLength(53);
  expect(loadReceiptCases("dlr-receipts-own.json")).toHaveLength(70);
});
