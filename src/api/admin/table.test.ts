// The table of the admin API: every route declares who may call it and what it answers, its document is one,
// with true examples, and nothing of it is on the customers' listener.

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { declaredRoutes } from "../../../test/support/declared.ts";
import { expanded, findingsOf, type Json } from "../../../test/support/openapi.ts";
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
  expect(findingsOf(document)).toEqual([]);
  const ids = routes.map(({ about }) => about.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { about } of routes) expect(Object.keys(ADMIN_BOOK.tags)).toContain(about.tag);
});

type Body = { content: Record<string, { schema: TSchema }> };
type Parameter = { name: string; in: string; required?: boolean; schema: TSchema; example: string };
const document = JSON.parse(JSON.stringify(openApi(routes, ADMIN_BOOK))) as Json;
const admin = expanded(document, document) as {
  paths: Record<string, Record<string, { operationId: string; parameters: Parameter[]; requestBody?: Body }>>;
};
const operations = Object.values(admin.paths).flatMap((methods) => Object.values(methods));
/** A parameter of an operation. */
const parameterOf = (operationId: string, name: string): Parameter =>
  operations
    .find((one) => one.operationId === operationId)
    ?.parameters.find((one) => one.name === name) as Parameter;
const isOne = (parameter: Parameter, value: string) => mismatches(parameter.schema, value).length === 0;

test("a header that a change can't do without is required, and no other", () => {
  const required = operations.flatMap(({ operationId, parameters }) =>
    parameters
      .filter((one) => one.in === "header" && one.required === true)
      .map(({ name }) => `${operationId} ${name}`),
  );
  expect(required).toEqual(["topUp Idempotency-Key", "adjust Idempotency-Key", "replaceRoutes If-Match"]);
});

test("a parameter of the path or a header is described as exactly as it is read", () => {
  for (const { parameters } of operations)
    for (const parameter of parameters) expect(mismatches(parameter.schema, parameter.example)).toEqual([]);
  const version = parameterOf("changeCustomer", "If-Match");
  expect(['"1"', "1", "*", '""'].map((value) => isOne(version, value))).toEqual([true, true, true, true]);
  expect(['"1", "2"', 'W/"1"', "x", ""].some((value) => isOne(version, value))).toBe(false);
  const file = parameterOf("replaceRoutes", "If-Match");
  expect([isOne(file, `"${"a".repeat(64)}"`), isOne(file, "*"), isOne(file, '"1"')]).toEqual([
    true,
    false,
    false,
  ]);
  expect(isOne(parameterOf("changeKey", "id"), "é")).toBe(false);
  const plan = parameterOf("changeRates", "plan");
  expect(["a\u0000", "x".repeat(61), ""].some((value) => isOne(plan, value))).toBe(false);
  expect(isOne(parameterOf("listAudit", "who"), "")).toBe(false);
});

test("what a handler refuses for its shape is no body by the document", () => {
  const bodyOf = (operationId: string): TSchema => {
    const found = operations.find((one) => one.operationId === operationId);
    return found?.requestBody?.content["application/json"]?.schema as TSchema;
  };
  for (const [operationId, body] of [
    ["adjust", { amount: 0, reason: "x" }],
    ["adjust", { amount: 1, reason: "a\u0007" }],
    ["topUp", { amount: 1, request_id: "a\u0007" }],
    ["createCustomer", { name: "a\u0007" }],
  ] as const)
    expect([operationId, mismatches(bodyOf(operationId), body)]).not.toEqual([operationId, []]);
  expect(mismatches(bodyOf("adjust"), { amount: -1, reason: "x" })).toEqual([]);
});

test("a time to come in an example is still to come", () => {
  const given = routes.flatMap(
    ({ about }) => (about.body as { expires_at?: string } | undefined)?.expires_at ?? [],
  );
  expect(given.length).toBeGreaterThan(0);
  for (const text of given) expect(Date.parse(text)).toBeGreaterThan(Date.now());
});

/** The fields that a row of the page names: the words in its code, without those of a list's items. */
function fieldsIn(row: string): string[] {
  const [, about = ""] = row.split(" | ");
  const code = [...about.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text.replace(/\[.*\]/, ""));
  const words = code.flatMap((text) => text.match(/(?<![\w-])[a-z_]+(?![\w-])/g) ?? []);
  return [...new Set(words)].toSorted();
}

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
      if (route.access !== "public") expect(all).toContain("overloaded"); // of a full pool of connections
      const movesMoney = /topups|adjustments/.test(route.path);
      if (movesMoney) expect(all).toContain("idempotency_key_reused");
      expect(route.about.needs?.includes("Idempotency-Key") === true).toBe(movesMoney);
    });

    test("is listed on the page of the admin API, with every field of its body", () => {
      if (!route.path.startsWith("/admin/")) return;
      const named = `\`${route.method} ${route.path.replace(/:(\w+)/g, "{$1}")}\``;
      const row = page.split("\n").find((line) => line.startsWith(`| ${named} |`));
      expect(row).toBeDefined();
      if (route.body !== null)
        expect(fieldsIn(row ?? "")).toEqual(Object.keys(route.body.properties).toSorted());
    });
  });
}
