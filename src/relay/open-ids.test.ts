import { describe, expect, test } from "bun:test";
import type { IdRange } from "../ledger/requeue.ts";
import { addOpen, isAhead, isForgotten, markOf, rangesToLook, type Swept } from "./open-ids.ts";

const range = (from: string, to: string): IdRange => ({ from, to });
const swept: Swept = { open: [range("C", "C!"), range("F", "G!")], to: "M" };

describe("a sweep looks through", () => {
  test("everything from the mark on, if nothing is remembered", () => {
    expect(rangesToLook(null, "A", "M")).toEqual([range("A", "M")]);
  });

  test("what was open, and what is new; nothing in between", () => {
    expect(rangesToLook(swept, "C", "S")).toEqual([range("C", "C!"), range("F", "G!"), range("M", "S")]);
  });

  test("only what is open, if nothing is new because the clock was set back", () => {
    expect(rangesToLook(swept, "C", "L")).toEqual([range("C", "C!"), range("F", "G!")]);
  });

  test("nothing that another process found to be over", () => {
    expect(rangesToLook(swept, "FX", "S")).toEqual([range("FX", "G!"), range("M", "S")]);
    expect(rangesToLook(swept, "P", "S")).toEqual([range("P", "S")]);
    expect(rangesToLook(swept, "T", "S")).toEqual([]);
  });
});

describe("the mark", () => {
  test("is the lowest open id, or the end of the sweep", () => {
    expect([markOf(swept), markOf({ open: [], to: "M" })]).toEqual(["C", "M"]);
  });

  test("goes beyond what the clock allows only after it was set back, also while an old message is open", () => {
    expect(["L", "M", "N"].map((latest) => isAhead(swept, latest))).toEqual([true, false, false]);
    expect(isAhead(null, "A")).toBe(false);
  });

  test("that is lower than remembered was deleted; one that is higher is another process's", () => {
    expect(["A", "C", "D"].map((mark) => isForgotten(swept, mark))).toEqual([true, false, false]);
    expect(isForgotten(null, "A")).toBe(false);
  });
});

describe("open ids", () => {
  test("of looks that were cut are one range; those of separate looks stay apart", () => {
    const open: IdRange[] = [];
    addOpen(open, range("B", "C!"), "A");
    addOpen(open, range("D", "E!"), "C!");
    addOpen(open, range("F", "F!"), "EZ");
    expect(open).toEqual([range("B", "E!"), range("F", "F!")]);
  });
});
