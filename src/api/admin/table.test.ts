// The table of the admin API: every route declares who may call it and what it answers, its document is one,
// with true examples, and nothing of it is on the customers' listener.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { declaredRoutes } from "../../../test/support/declared.ts";
import { findingsOf, type Json } from "../../../test/support/openapi.ts";
import { ERRORS } from "../../core/errors.ts";
import { PARAMS } from "../../reports/params.ts";
import { openApi } from "../openapi/document.ts";
import { errorsOf, isOfAdmins } from "../route.ts";
import { ADMIN_BOOK, declaredAdminRoutes } from "./table.ts";

const routes = declaredAdminRoutes();
const page = readFileSync(new URL("../../../docs/reference/admin-api.md", import.meta.url), "utf8");

/** Why a value doesn't match a schema; empty if it does. */
const mismatches = (schema: TSchema | undefined, value: unknown): string[] => {
  const check = Compile(schema as TSchema);
  return check.Check(value) ? [] : check.Errors(value).map((error) => JSON.stringify(error));
};

test("no route of it is one of the customers' API, and none of theirs is here", () => {
  const paths = new Set(declaredRoutes.map(({ path }) => path));
  const shared = routes.map(({ path }) => path).filter((path) => paths.has(path));
  expect(shared).toEqual(["/health", "/openapi.json"]);
  expect(declaredRoutes.filter(({ access }) => isOfAdmins(access))).toEqual([]);
});

test("its OpenAPI document is one, and names each operation once", () => {
  const document = JSON.parse(JSON.stringify(openApi(routes, ADMIN_BOOK))) as Json;
  expect(findingsOf(document)).toEqual([]);
  const ids = routes.map(({ about }) => about.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { about } of routes) expect(Object.keys(ADMIN_BOOK.tags)).toContain(about.tag);
});

for (const route of routes) {
  describe(`${route.method} ${route.path}`, () => {
    test("is an admin's, by scope: reading never changes anything", () => {
      const isOpen = route.access === "public";
      expect(route.path.startsWith("/admin/v1/")).toBe(!isOpen);
      if (!isOpen) expect(route.access).toBe(route.method === "GET" ? "admin:read" : "admin:write");
    });

    test("takes a body without unknown fields or none, and parameters that exist", () => {
      const hasBody = ["POST", "PUT", "PATCH"].includes(route.method);
      expect(route.body !== null).toBe(hasBody);
      if (route.body !== null) expect(route.body).toMatchObject({ additionalProperties: false });
      for (const name of route.query) expect(Object.keys(PARAMS)).toContain(name);
    });

    test("has an example of its body and of each answer, exactly as declared", () => {
      if (route.check !== null) expect(() => route.check?.(structuredClone(route.about.body))).not.toThrow();
      for (const [status, schema] of Object.entries(route.answers)) {
        const example = route.about.answers[Number(status)];
        if (status !== "304") expect(mismatches(schema, example)).toEqual([]);
      }
    });

    test("declares errors of the table, each once, and moves money only once for its key", () => {
      const all = errorsOf(route);
      expect(new Set(all).size).toBe(all.length);
      for (const code of all) expect(Object.keys(ERRORS)).toContain(code);
      if (/topups|adjustments/.test(route.path)) expect(all).toContain("idempotency_key_reused");
    });

    test("is listed on the page of the admin API", () => {
      if (route.path.startsWith("/admin/"))
        expect(page).toContain(`${route.path.replace(/:(\w+)/g, "{$1}")}\``);
    });
  });
}
