// The committed pages equal the generated ones.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { ERRORS } from "../core/errors.ts";
import { problemsConf } from "../stack/edge-problems.ts";
import { ERRORS_PAGE, errorsPage, PAGES_WITH_TABLES, PROBLEMS_CONF } from "./docs.ts";
import { TABLES, tablesOf, withTables } from "./docs-tables.ts";
import { METRICS_PAGE, metricsPage } from "./metrics-page.ts";

test("docs/reference/errors.md is what `bun src/main/docs.ts` writes", () => {
  expect(readFileSync(ERRORS_PAGE, "utf8")).toBe(errorsPage());
});

test("docs/reference/metrics.md is what `bun src/main/docs.ts` writes", () => {
  expect(readFileSync(METRICS_PAGE, "utf8")).toBe(metricsPage());
});

test("deploy/nginx/problems.conf is what it writes", () => {
  expect(readFileSync(PROBLEMS_CONF, "utf8")).toBe(problemsConf());
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
