// Regular expressions of the routes file, for what an operator answers. They are RE2's, which take time in
// proportion to the text. JavaScript's own can take for ever on a text that is made for it: an operator, or
// whoever speaks in its place, could hang a sender.
// Bound: an expression sees MATCHED_CHARS_MAX of an answer.

import { RE2JS } from "re2js";

export type Expression = {
  /** Whether it matches anywhere in the text. */
  fits(text: string): boolean;
  /** The first group that took part in the match; null if none did. */
  find(text: string): string | null;
};

/** The time also grows with the length of the expression, up to 500 characters. */
const MATCHED_CHARS_MAX = 4_096;

/** @throws Error for an expression that the check of the routes file refuses */
export function compileExpression(source: string): Expression {
  const expression = RE2JS.compile(source);
  const groups = expression.groupCount();
  const matcherOf = (text: string) => expression.matcher(text.slice(0, MATCHED_CHARS_MAX));
  return {
    fits: (text) => matcherOf(text).find(),
    find(text) {
      const matcher = matcherOf(text);
      if (!matcher.find()) return null;
      for (let group = 1; group <= groups; group++) {
        const found = matcher.group(group);
        if (found !== null) return found;
      }
      return null;
    },
  };
}

/** Null if it may be used. `needsGroup`: what is looked for is in a group. */
export function expressionProblem(source: string, needsGroup: boolean): string | null {
  let groups = 0;
  try {
    groups = RE2JS.compile(source).groupCount();
  } catch {
    return "is no regular expression (of RE2, which has no lookahead and no backreferences)";
  }
  return needsGroup && groups === 0 ? "needs a group, (…), around what it is to find" : null;
}
