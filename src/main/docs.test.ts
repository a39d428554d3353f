// The committed pages are the generated ones.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { ERRORS } from "../core/errors.ts";
import { problemsConf } from "../stack/edge-problems.ts";
import { ERRORS_PAGE, errorsPage, PROBLEMS_CONF } from "./docs.ts";
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
