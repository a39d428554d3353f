// Checks the table of routes: every route declares all that it accepts and answers, and the README lists it.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Compile } from "typebox/compile";
import { declaredRoutes, holdDeclared } from "../../test/support/declared.ts";
import { ERRORS } from "../core/errors.ts";
import { SCOPES } from "../customers/api-keys.ts";
import { PARAMS } from "../reports/params.ts";
import { errorsOf } from "./route.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

test("no two routes have the same method and path", () => {
  const names = declaredRoutes.map(({ method, path }) => `${method} ${path}`);
  expect(new Set(names).size).toBe(names.length);
});

for (const route of declaredRoutes) {
  describe(`${route.method} ${route.path}`, () => {
    test("declares who may call it, and refuses everyone else", () => {
      expect([...SCOPES, "public"]).toContain(route.access);
      expect(route.path.startsWith("/v1/")).toBe(route.access !== "public");
    });

    test("accepts only parameters that exist, each once", () => {
      expect(new Set(route.query).size).toBe(route.query.length);
      for (const name of route.query) expect(Object.keys(PARAMS)).toContain(name);
    });

    test("accepts a body without unknown fields, or none", () => {
      // Reports of operators are read leniently: body and query as they come.
      const isStrict = route.rawBytesMax === undefined;
      const hasBody = route.method === "POST" || route.method === "PATCH";
      expect(route.body === null).toBe(!hasBody || !isStrict);
      if (route.body !== null) expect(route.body).toMatchObject({ additionalProperties: false });
    });

    test("declares its answers, all of them checkable", () => {
      const statuses = Object.keys(route.answers).map(Number);
      expect(statuses.some((status) => status >= 200 && status < 300)).toBe(true);
      for (const schema of Object.values(route.answers)) expect(() => Compile(schema)).not.toThrow();
    });

    test("declares errors of the table, each once, without those implied by its access, query and body", () => {
      const all = errorsOf(route);
      expect(new Set(all).size).toBe(all.length);
      for (const code of all) expect(Object.keys(ERRORS)).toContain(code);
      // Whatever reads or writes for a caller, a full pool of connections answers.
      if (route.access !== "public") expect(all).toContain("overloaded");
    });

    test("is listed in the README, with its scope", () => {
      const path = route.path.replace(/:(\w+)/, "{$1}");
      const lines = readme.split("\n").filter((one) => one.startsWith("|") && one.includes(`${path}\``));
      // A path of several methods may have a line for each.
      const named = lines.find((one) => one.includes(`${route.method} ${path}\``)) ?? lines[0];
      expect(named?.split("|").at(-2)?.trim()).toBe(route.access === "public" ? "none" : route.access);
    });
  });
}

describe("the check of answers against the table", () => {
  const problem = (code: string) => ({
    status: 422,
    type: "application/problem+json",
    text: JSON.stringify({ code }),
  });
  const json = (status: number, body: unknown) => ({
    status,
    type: "application/json",
    text: JSON.stringify(body),
  });

  test("accepts declared answers", () => {
    holdDeclared("GET", "/health", json(200, { status: "ok" }));
    holdDeclared("GET", "/v1/messages/01M7YBCH59Z4D8R94AWEAQ1Q8T?x=1", problem("not_found"));
    holdDeclared("POST", "/v1/sms/send", problem("credit_elsewhere"));
    holdDeclared("PUT", "/v1/wallet", json(405, {}));
    holdDeclared("GET", "/nowhere", json(404, {}));
  });

  test("finds an undeclared code, status or member, and a route that does not exist", () => {
    expect(() => holdDeclared("GET", "/v1/wallet", problem("lane_saturated"))).toThrow("does not declare");
    expect(() => holdDeclared("GET", "/health", json(201, { status: "ok" }))).toThrow("does not declare");
    expect(() => holdDeclared("GET", "/health", json(200, { status: "ok", x: 1 }))).toThrow(
      "not as declared",
    );
    expect(() => holdDeclared("GET", "/nowhere", json(200, {}))).toThrow();
  });
});
