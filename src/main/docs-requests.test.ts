// Each request by curl in the pages is of a route that exists, with parameters that it knows and a body that
// its schema takes, where the body is written there. Leaves out doors, which read requests as others do.

import { expect, test } from "bun:test";
import { declaredRoutes } from "../../test/support/declared.ts";
import { type Page, pages } from "../../test/support/pages.ts";
import { declaredAdminRoutes } from "../api/admin/table.ts";
import { SluiceError } from "../core/errors.ts";
import { isOfAdmins } from "../api/route.ts";

const routes = [...declaredRoutes, ...declaredAdminRoutes().filter(({ access }) => isOfAdmins(access))];

/** The commands with curl, each on one line. */
const curlsOf = (text: string): string[] =>
  text
    .replace(/\\\n\s*/g, " ")
    .split("\n")
    .filter((line) => /\bcurl -.*http:\/\/127\.0\.0\.1:80\d0\//.test(line));

function faultOf(command: string): string | null {
  const [, path = "", query = ""] = /127\.0\.0\.1:80\d0(\/[^\s"'?]*)\??([^\s"']*)/.exec(command) ?? [];
  const body = / -d '([^']*)'/.exec(command)?.[1];
  const method = / -X ([A-Z]+)/.exec(command)?.[1] ?? (/ (-d|--data-binary) /.test(command) ? "POST" : "GET");
  const found = routes.find(
    (route) => route.method === method && new RegExp(`^${route.path.replace(/:\w+/g, "[^/]+")}$`).test(path),
  );
  if (found === undefined) return `no route ${method} ${path}`;
  const known: readonly string[] = found.query;
  const unknown = [...new URLSearchParams(query).keys()].find((name) => !known.includes(name));
  if (unknown !== undefined) return `no parameter ${unknown}`;
  if (found.check === null || body === undefined) return null;
  try {
    found.check(JSON.parse(body));
    return null;
  } catch (error) {
    return error instanceof SluiceError ? JSON.stringify(error.errors) : String(error);
  }
}

const badRequests = ({ path, text }: Page): string[] =>
  curlsOf(text).flatMap((command) => {
    const fault = faultOf(command);
    return fault === null ? [] : [`${path}: ${fault}: ${command}`];
  });

test("the pages' requests by curl are of routes that exist, as these take them", () => {
  const ours = pages.filter(({ path }) => !path.startsWith("docs/doors/"));
  expect(ours.flatMap(({ text }) => curlsOf(text)).length).toBeGreaterThan(20);
  expect(ours.flatMap(badRequests)).toEqual([]);
});

test("planted mistakes are found", () => {
  const faults = (command: string) => badRequests({ path: "x.md", text: command }).join();
  const url = "http://127.0.0.1:8080/v1";
  expect(faults(`curl -sS ${url}/sms/sent -d '{}'`)).toContain("no route POST /v1/sms/sent");
  expect(faults(`curl -sS ${url}/sms/send \\\n  -d '{"phone":"+989121234567","txt":"x"}'`)).toContain("txt");
  expect(faults(`curl -sS "${url}/opt-outs?limits=5"`)).toContain("no parameter limits");
  expect(faults(`curl -sS "${url}/opt-outs?limit=5"`)).toBe("");
});
