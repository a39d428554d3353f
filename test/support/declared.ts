// Compares the API's answers with its table of routes: the body with the schema for its status, the code of
// an error with those that the route may answer.

import { expect } from "bun:test";
import { Compile } from "typebox/compile";
import { errorsOf, type Route } from "../../src/api/route.ts";
import { declaredRoutes as routesOfTheTable } from "../../src/api/table.ts";
import type { ErrorCode } from "../../src/core/errors.ts";

/** The table of routes without working handlers: for reading declarations only. */
export const declaredRoutes: Route[] = routesOfTheTable();

const patternOf = ({ path }: Route): RegExp => new RegExp(`^${path.replace(/:\w+/g, "[^/]+")}$`);
const patterns = declaredRoutes.map((route) => ({ route, pattern: patternOf(route) }));
const checks = new Map<object, ReturnType<typeof Compile>>();

type Seen = { status: number; type: string | null | undefined; text: string };

/** `path` may include a query. Expects 404 for paths that no route has, and 405 for other methods. */
export function holdDeclared(method: string, path: string, { status, type, text }: Seen): void {
  const bare = path.split("?", 1)[0] as string;
  const here = patterns.filter(({ pattern }) => pattern.test(bare)).map(({ route }) => route);
  const route = here.find((one) => one.method === (method === "HEAD" ? "GET" : method));
  const where = `${method} ${bare}`;
  if (route === undefined) {
    expect(`${where} ${status}`).toBe(`${where} ${here.length === 0 ? 404 : 405}`);
    return;
  }
  if (method === "HEAD") return;
  if (type === "application/problem+json") {
    const { code } = JSON.parse(text) as { code: ErrorCode };
    if (!errorsOf(route).includes(code)) throw new Error(`${where} does not declare ${code}`);
    return;
  }
  if (type === "application/x-ndjson") return holdLines(route, where, text);
  if (type?.startsWith("text/csv") && route.exported !== undefined) return;
  const schema = route.answers[status];
  if (schema === undefined) throw new Error(`${where} does not declare a ${status}`);
  const check = checks.get(schema) ?? Compile(schema);
  checks.set(schema, check);
  const body: unknown = type === "application/json" && text !== "" ? JSON.parse(text) : text;
  if (!check.Check(body)) {
    const errors = JSON.stringify(check.Errors(body).slice(0, 5));
    throw new Error(`${where} ${status} is not as declared: ${errors} in ${text.slice(0, 500)}`);
  }
}

/** Each line of the answer: a result or a row with its cursor, or, as the last one, a problem. */
function holdLines(route: Route, where: string, text: string): void {
  const { lines, exported } = route;
  const rest = text.split("\n");
  expect(rest.pop()).toBe("");
  for (const [at, line] of rest.entries()) {
    const { cursor, ...value } = JSON.parse(line) as Record<string, unknown>;
    if (lines !== undefined && value.status !== undefined && at === rest.length - 1) {
      if (!errorsOf(route).includes(value.code as ErrorCode))
        throw new Error(`${where} does not declare ${String(value.code)}`);
      continue;
    }
    const schema = lines?.answer ?? exported?.row;
    if (schema === undefined) throw new Error(`${where} does not declare lines`);
    const check = checks.get(schema) ?? Compile(schema);
    checks.set(schema, check);
    if (!check.Check(value)) throw new Error(`${where}: line ${at} is not as declared: ${line}`);
    if (exported !== undefined) expect(cursor).toBeString();
  }
}
