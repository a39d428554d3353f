import { expect, test } from "bun:test";
import { compileExpression, expressionProblem } from "./expression.ts";

test("an expression that finds something needs a group, and must be one", () => {
  for (const good of ["<id>(\\d+)</id>", "^(\\S+)$", "a(b)?", "(?P<id>\\d+)", "x|(y)", "[(](\\d{4})"])
    expect(expressionProblem(good, true)).toBeNull();
  for (const bad of ["\\d+", "(?:a)", "\\(\\d\\)", "[()]"])
    expect(expressionProblem(bad, true)).toContain("needs a group");
  for (const bad of ["(", "a\\", "[", "*", "(a)\\1", "(?=a)"])
    expect(expressionProblem(bad, false)).toContain("no regular expression");
});

test("it finds the first group that took part, wherever it is in the text", () => {
  const { fits, find } = compileExpression("<id>(\\d+)</id>|^OK:(\\S+)$");
  expect(find("<r>é😀<id>9007199254740993</id></r>")).toBe("9007199254740993");
  expect(find("OK:ab-1")).toBe("ab-1");
  expect([find("OK:"), find("")]).toEqual([null, null]);
  expect([fits("x<id>1</id>"), fits("no")]).toEqual([true, false]);
  expect(compileExpression("a(b)?").find("ac")).toBeNull();
  // Only the beginning is searched.
  expect(find(`${"x".repeat(5_000)}<id>1</id>`)).toBeNull();
});

test("no text hangs it, whatever repeats in the expression", () => {
  const text = "a".repeat(4_096);
  const startedMs = performance.now();
  for (const slow of ["(a+)+$b", "(?:a*)*b", "(a|a)*b", "(?:a*){20}b", ".*.*.*.*.*.*b", "(.*)(.*)(.*)=(.*)"])
    expect(compileExpression(slow).find(text)).toBeNull();
  expect(performance.now() - startedMs).toBeLessThan(5_000);
});
