// The committed pages equal the generated ones.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { parse } from "yaml";
import { declaredRoutes } from "../api/table.ts";
import { ERRORS } from "../core/errors.ts";
import { problemsConf } from "../stack/edge-problems.ts";
import { CLIENT_TYPES, clientTypes } from "./client-types.ts";
import { ERRORS_PAGE, errorsPage, PAGES_WITH_TABLES, PROBLEMS_CONF } from "./docs.ts";
import { TABLES, tablesOf, withTables } from "./docs-tables.ts";
import { METRICS_PAGE, metricsPage } from "./metrics-page.ts";
import { ROUTES_SCHEMA_FILE, routesSchema } from "./routes-schema.ts";

test("docs/reference/errors.md is what `bun src/main/docs.ts` writes", () => {
  expect(readFileSync(ERRORS_PAGE, "utf8")).toBe(errorsPage());
});

test("docs/reference/metrics.md is what `bun src/main/docs.ts` writes", () => {
  expect(readFileSync(METRICS_PAGE, "utf8")).toBe(metricsPage());
});

test("deploy/nginx/problems.conf is what it writes", () => {
  expect(readFileSync(PROBLEMS_CONF, "utf8")).toBe(
    problemsConf(declaredRoutes().map(({ method }) => method)),
  );
});

test("docs/reference/routes.schema.json is what it writes", () => {
  expect(readFileSync(ROUTES_SCHEMA_FILE, "utf8")).toBe(routesSchema());
});

test("clients/typescript/types.ts is what it writes", () => {
  expect(readFileSync(CLIENT_TYPES, "utf8")).toBe(clientTypes());
});

test("the client's types demand what a query needs, and offer no format but the JSON that it reads", () => {
  const types = clientTypes();
  expect(types).toContain("query: { phone: string; sender?: string };"); // of removeOptOut
  expect(types).toContain("query?: { phone?: string; sender?: string;"); // of listOptOuts
  expect(types).not.toMatch(/\bformat\??:/);
});

test("the published schema takes the shipped routes file, and refuses what the file's own check refuses", () => {
  const text = readFileSync(new URL("../../routes.yaml", import.meta.url), "utf8");
  const schema = Compile(JSON.parse(routesSchema()) as TSchema);
  type Shipped = { operators: Record<string, Record<string, unknown>> };
  const shipped = (): Shipped => parse(text) as Shipped;
  expect(schema.Check(shipped())).toBe(true);
  const changed = (field: string, value: unknown) => {
    const file = shipped();
    Object.assign(file.operators.A as object, { [field]: value });
    return schema.Check(file);
  };
  expect(changed("authorization", { env: "NORTH" })).toBe(true);
  expect(changed("authorization", "hunter2")).toBe(false);
  expect(changed("kind", "htp")).toBe(false);
  expect(changed("price", undefined)).toBe(false);
  expect(changed("prefixes", ["98"])).toBe(false);
  expect(changed("colour", "red")).toBe(false);
  expect(schema.Check({ routes: {} })).toBe(false);
  expect(schema.Check({ ...shipped(), routes: { r: { prefixes: ["+98"], operators: ["A"] } } })).toBe(true);
  expect(schema.Check({ ...shipped(), routes: { r: { prefix: ["+98"], operators: ["A"] } } })).toBe(false);
});

test("the page names every code once", () => {
  for (const code of Object.keys(ERRORS)) expect(errorsPage().split(`| \`${code}\` |`)).toHaveLength(2);
});

test("the tables inside hand-written pages are what it writes, and each table is in one of them", () => {
  const pages = PAGES_WITH_TABLES.map((page) => readFileSync(page, "utf8"));
  for (const page of pages) expect(page).toBe(withTables(page));
  expect(pages.flatMap(tablesOf).toSorted()).toEqual(Object.keys(TABLES).toSorted());
});

test("a changed table is regenerated, only between its markers; an unknown table is refused", () => {
  const page = "a\n<!-- table charging -->\n| old |\n<!-- /table -->\nb\n";
  const made = withTables(page);
  expect(made).not.toContain("old");
  expect(made).toStartWith("a\n<!-- table charging: written by");
  expect(made).toEndWith("\n<!-- /table -->\nb\n");
  expect(withTables(made)).toBe(made);
  expect(() => withTables(page.replace("charging", "wages"))).toThrow("no table wages");
});
