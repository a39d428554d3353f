// The length of each function by itself: its lines without blank lines, comments, and the lines of functions
// inside it, which count on their own. So a factory is as long as its setup, not as long as everything it
// returns. Owns the count; test/tidy.test.ts has the limit.

import { parseSync } from "oxc-parser";

export type FunctionLength = { name: string; line: number; lines: number };
type Node = { type: string; start: number; end: number };
type Inside = { node: Node; name: string; inner: Inside[] };

const FUNCTIONS = new Set(["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"]);

export function functionLengths(path: string, text: string): FunctionLength[] {
  const { program, comments } = parseSync(path, text);
  const isCode = codeLines(text, comments);
  const lineOf = (at: number) => text.slice(0, at).split("\n").length;
  const count = (from: number, to: number) => isCode.slice(from - 1, to).filter(Boolean).length;
  const measured = ({ node, name, inner }: Inside): FunctionLength[] => {
    const [first, last] = [lineOf(node.start), lineOf(node.end)];
    const nested = inner.flatMap(measured);
    // The line on which an inner function begins belongs to the outer one.
    const theirs = inner.reduce((sum, { node: of }) => sum + count(lineOf(of.start) + 1, lineOf(of.end)), 0);
    return [{ name, line: first, lines: count(first, last) - theirs }, ...nested];
  };
  return functionsIn(program as unknown as Node, "").flatMap(measured);
}

function functionsIn(value: unknown, name: string): Inside[] {
  if (Array.isArray(value)) return value.flatMap((each) => functionsIn(each, name));
  if (typeof value !== "object" || value === null) return [];
  const node = value as Node & { id?: { name?: string } | null; key?: { name?: string } };
  const own = node.id?.name ?? node.key?.name ?? name;
  const inner = Object.values(node).flatMap((each) => functionsIn(each, own));
  return FUNCTIONS.has(node.type) ? [{ node, name: own || "a function", inner }] : inner;
}

function codeLines(text: string, comments: readonly { start: number; end: number }[]): boolean[] {
  let code = text;
  for (const { start, end } of comments)
    code = code.slice(0, start) + code.slice(start, end).replaceAll(/[^\n]/g, " ") + code.slice(end);
  return code.split("\n").map((line) => line.trim() !== "");
}
