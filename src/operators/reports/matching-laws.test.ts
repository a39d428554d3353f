// Laws of matching, for any ids: what is matched is also found by key, and the rules are what they are said
// to be. The cases by name are in receipt-cases.test.ts.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { allowSlowRuns, holds } from "../../../test/support/seed.ts";
import { ID_KEY_CHARS_MAX, idKeys, idNames, match, type Submission, submitIdKey } from "./matching.ts";
import { REPORT_ID_CHARS_MAX } from "../../core/limits.ts";
import { ID_FORMS, type IdForm } from "./report.ts";

allowSlowRuns();

const asked = (...operatorMessageIds: string[]) => ({ operatorMessageIds, phone: null, submittedAtMs: null });
const submission = (operatorMessageId: string, messageId = "m", part = 1): Submission => ({
  operatorMessageId,
  messageId,
  part,
});

// Ids of one number in the ways that operators write it, so that many pairs do match; and anything at all.
const number = fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, 2n ** 80n));
const written = (value: bigint, base: 10 | 16, zeros: number, isUpper: boolean): string => {
  const digits = "0".repeat(zeros) + value.toString(base);
  return isUpper ? digits.toUpperCase() : digits;
};
const ways = fc.tuple(fc.constantFrom<10 | 16>(10, 16), fc.nat(4), fc.boolean());
const related = fc
  .tuple(number, ways, ways)
  .map(([value, one, other]): [string, string] => [written(value, ...one), written(value, ...other)]);
const recased = fc
  .string({ minLength: 1, maxLength: 12 })
  .chain((id) =>
    fc.tuple(
      fc.constantFrom(id, `00${id}`),
      fc.constantFrom(id, id.toUpperCase(), id.toLowerCase(), `0${id}`),
    ),
  );
const anyId = fc.oneof(
  fc.string({ minLength: 1, maxLength: REPORT_ID_CHARS_MAX, unit: "grapheme" }),
  fc.stringMatching(/^[0-9a-fA-Fx]{1,70}$/),
  fc.stringMatching(/^0{0,3}[0-9]{1,255}$/),
);
const pair = fc.oneof(
  related,
  recased,
  fc.tuple(anyId, anyId),
  anyId.map((id): [string, string] => [id, id]),
);
const form = fc.constantFrom<IdForm>(...ID_FORMS);

describe("whatever is matched", () => {
  test("is found by one of the report's keys, whatever the ids and the form, now and when it was submitted", () => {
    let matched = 0;
    holds(
      "found by key",
      fc.tuple(pair, form, form),
      ([[submitted, reported], idForm, formThen]) => {
        if (match(asked(reported), [submission(submitted)], idForm) === null) return;
        matched++;
        expect(idKeys([reported], idForm)).toContain(submitIdKey(submitted, formThen));
      },
      20_000,
    );
    // The law says nothing unless many pairs match.
    expect(matched).toBeGreaterThan(1_000);
  });

  test("has keys that an index holds: short, printable ASCII, four for an id at most", () => {
    holds("keys", fc.tuple(anyId, form), ([id, idForm]) => {
      const keys = [submitIdKey(id, idForm), ...idKeys([id], idForm), ...idNames([id], idForm)];
      expect(idKeys([id], idForm).length).toBeLessThanOrEqual(4);
      expect(idNames([id], idForm).length).toBeLessThanOrEqual(2);
      for (const key of keys) {
        expect(key).toMatch(/^[\x21-\x7e]+$/);
        expect(key.length).toBeLessThanOrEqual(ID_KEY_CHARS_MAX);
      }
    });
  });

  test("is equal as a number, or but for case and leading zeros, and nothing else is", () => {
    holds(
      "nothing else",
      fc.tuple(pair, form),
      ([[submitted, reported], idForm]) => {
        const isMatched = match(asked(reported), [submission(submitted)], idForm) !== null;
        expect(isMatched).toBe(areEqual(submitted, reported, idForm));
      },
      20_000,
    );
  });
});

/** The rules in their simplest form. */
function areEqual(submitted: string, reported: string, idForm: IdForm): boolean {
  const plain = (id: string) => {
    let text = id.toLowerCase();
    while (text.length > 1 && text.startsWith("0")) text = text.slice(1);
    return text;
  };
  if (plain(submitted) === plain(reported)) return true;
  const [hex, decimal] = idForm === "hex_in_response" ? [submitted, reported] : [reported, submitted];
  if (idForm === "same" || !/^[0-9a-f]+$/i.test(hex) || !/^[0-9]+$/.test(decimal)) return false;
  return plain(BigInt(`0x${hex}`).toString()) === plain(decimal);
}

describe("among several", () => {
  test("an exact id is preferred, wherever it stands", () => {
    holds("exact first", fc.tuple(pair, form, fc.boolean()), ([[one, other], idForm, isFirst]) => {
      const exact = submission(other, "exact");
      const candidates = isFirst ? [exact, submission(one, "loose")] : [submission(one, "loose"), exact];
      const found = match(asked(other), candidates, idForm);
      if (one === other) expect(found).toBe("ambiguous");
      else expect(found).toBe(exact);
    });
  });

  test("messages with one id are ambiguous, never one of them by chance", () => {
    holds("ambiguous", fc.tuple(anyId, form, fc.integer({ min: 2, max: 5 })), ([id, idForm, count]) => {
      const candidates = Array.from({ length: count }, (_, i) => submission(id, `m${i}`));
      expect(match(asked(id), candidates, idForm)).toBe("ambiguous");
    });
  });

  test("an id that is ambiguous leaves it to the next one", () => {
    const candidates = [submission("7", "a"), submission("7", "b"), submission("x9", "b")];
    expect(match(asked("7", "X9"), candidates, "same")).toBe(candidates[2] ?? null);
    expect(match(asked("7", "nothing"), candidates, "same")).toBe("ambiguous");
  });

  test("of a message's parts with one id the lowest is taken", () => {
    const parts = [submission("7", "a", 3), submission("7", "a", 2)];
    expect(match(asked("7"), parts, "same")).toBe(parts[1] ?? null);
  });
});

describe("messages with one id are told apart", () => {
  const phones = ["+989120001234", "+989120005678"];
  const candidates = phones.map((phone, i) => ({ ...submission("7", `m${i}`), phone }));
  const from = (phone: string) => match({ ...asked("7"), phone }, candidates, "same");

  test("by the recipient, with or without country code, plus or zeros", () => {
    for (const phone of ["989120005678", "+98 912 000 5678", "00989120005678", "09120005678"])
      expect(from(phone)).toBe(candidates[1] ?? null);
  });

  test("not by the end of a number that is too short, or by another recipient", () => {
    for (const phone of ["5678", "", "Shop", "+15550001234"]) expect(from(phone)).toBe("ambiguous");
  });

  test("by the submit date, up to two minutes off", () => {
    const atMs = Date.UTC(2026, 10, 4, 8, 10);
    const timed = [atMs, atMs + 3_600_000].map((ms, i) => ({
      ...submission("7", `m${i}`),
      submittedAtMs: ms,
    }));
    const at = (submittedAtMs: number) => match({ ...asked("7"), submittedAtMs }, timed, "same");
    expect(at(atMs - 120_000)).toBe(timed[0] ?? null);
    expect(at(atMs + 3_600_000 + 120_000)).toBe(timed[1] ?? null);
    expect(at(atMs + 120_001)).toBe("ambiguous");
  });

  test("a recipient that fits nobody doesn't undo a match by id alone", () => {
    const only = candidates.slice(0, 1);
    expect(match({ ...asked("7"), phone: "+15550001234" }, only, "same")).toBe(only[0] ?? null);
  });
});
