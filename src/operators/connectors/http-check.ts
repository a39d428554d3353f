// What is wrong with an entry of an HTTP kind beyond its schema, each fault at its place: templates, headers
// that can't be set, an answer that could never be accepted, expressions. Invariant: an entry without a fault
// compiles (http-request.ts, http-answer.ts never throw for it).

import type { Reading } from "../read-schema.ts";
import { type At, child, fault, itemsOf, type MapTree, membersOf, textOf, valueOf } from "./entry-tree.ts";
import { expressionProblem } from "./expression.ts";
import { HEADER_NAME, OWN_HEADERS, partsOfUrl } from "./http-request.ts";
import { templateProblem } from "./template.ts";

export function checkHttp(reading: Reading, tree: MapTree, path: string): void {
  const secrets = membersOf(child({ tree, path }, "secrets")).map(([name]) => name);
  const template = (at: At | null) => {
    const problem = templateProblem(textOf(at) ?? "", { secrets });
    if (problem !== null) fault(reading, at, problem);
  };
  checkUrl(reading, child({ tree, path }, "url"), secrets);
  checkHeaders(reading, { tree, path });
  for (const name of ["headers", "query"])
    for (const [, each] of membersOf(child({ tree, path }, name))) template(each);
  checkBody(reading, { tree, path });
  const body = child({ tree, path }, "body");
  for (const [, each] of membersOf(child(body, "form"))) template(each);
  for (const each of leavesOf(child(body, "json"))) template(each);
  template(child(body, "xml"));
  checkAnswer(reading, child({ tree, path }, "answer"));
  checkLookUp(reading, child(child({ tree, path }, "reports"), "look_up"), secrets);
}

/** Without either nobody is the sender. */
export function checkTwilio(reading: Reading, tree: MapTree, path: string): void {
  if (!tree.entries.has("sender") && !tree.entries.has("messaging_service_sid"))
    reading.fault(tree, path, "needs sender or messaging_service_sid, for messages without a `from`");
}

// ---- the request ----

function checkUrl(reading: Reading, url: At | null, secrets: readonly string[]): void {
  const { path, query } = partsOfUrl(textOf(url) ?? "");
  const problem = templateProblem(path, { secrets, inPath: true }) ?? templateProblem(query, { secrets });
  if (problem !== null) fault(reading, url, problem);
}

function checkLookUp(reading: Reading, lookUp: At | null, secrets: readonly string[]): void {
  for (const [token, name = ""] of (textOf(lookUp) ?? "").matchAll(/\{secret\.(\w+)\}/g))
    if (!secrets.includes(name))
      fault(reading, lookUp, `${token} is not in \`secrets\`: name where that one is kept`);
}

function checkHeaders(reading: Reading, entry: At): void {
  const headers = membersOf(child(entry, "headers"));
  const signsIn = ["authorization", "basic"].filter((name) => child(entry, name) !== null);
  const [, second] = signsIn;
  if (second !== undefined)
    fault(reading, child(entry, second), "is beside `authorization`, which is the same header: remove one");
  const seen = new Set<string>();
  for (const [name, value] of headers) {
    const own = name.toLowerCase();
    const what = headerProblem(own, { seen, signsIn });
    if (what !== null) fault(reading, value, what);
    else if (!/^[\x20-\x7e\x80-\xff]*$/.test(textOf(value) ?? ""))
      fault(reading, value, "has a character that a header can't carry: only Latin-1 can");
    seen.add(own);
  }
}

function headerProblem(
  name: string,
  { seen, signsIn }: { seen: ReadonlySet<string>; signsIn: readonly string[] },
): string | null {
  if (!HEADER_NAME.test(name)) return "is no name of a header";
  if (OWN_HEADERS.includes(name)) return "is a header that the connection sets itself: remove it";
  if (name === "authorization" && signsIn.length > 0)
    return `is what \`${signsIn[0]}\` sets: remove one of them`;
  return seen.has(name) ? "is there already, in other letters: remove one of them" : null;
}

function checkBody(reading: Reading, entry: At): void {
  const body = child(entry, "body");
  if (textOf(child(entry, "method")) === "GET") fault(reading, body, "can't be with method GET: use `query`");
  if (membersOf(body).length !== 1) fault(reading, body, "must have one of `json`, `form` and `xml`");
}

// ---- the answer ----

function checkAnswer(reading: Reading, answer: At | null): void {
  if (answer === null) return;
  for (const name of ["id", "reason"]) checkExpression(reading, child(child(answer, name), "matches"), true);
  const rules = itemsOf(child(answer, "rules"));
  for (const rule of rules) checkRule(reading, rule);
  if (rules.length > 0 && !rules.some((rule) => textOf(child(rule, "means")) === "accepted"))
    fault(reading, child(answer, "rules"), "accepts nothing: one rule must have `means: accepted`");
}

function checkRule(reading: Reading, rule: At): void {
  checkExpression(reading, child(rule, "matches"), false);
  if (!["status", "field", "is", "matches"].some((name) => child(rule, name) !== null))
    fault(reading, rule, "would fit any answer: give status, field, is or matches");
  const status = child(rule, "status");
  const [from, to] = ["from", "to"].map((name) => valueOf(child(status, name)));
  if (typeof from === "number" && typeof to === "number" && from > to)
    fault(reading, status, "is an empty range: `from` is above `to`");
}

function checkExpression(reading: Reading, at: At | null, needsGroup: boolean): void {
  const text = textOf(at);
  const problem = text === null ? null : expressionProblem(text, needsGroup);
  if (problem !== null) fault(reading, at, problem);
}

/** All single values in it, however deep. */
function leavesOf(at: At | null): At[] {
  if (at === null) return [];
  if (at.tree.kind === "value") return [at];
  return [...membersOf(at).map(([, value]) => value), ...itemsOf(at)].flatMap(leavesOf);
}
