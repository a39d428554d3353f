// The OpenAPI document: it is one, it has all of every route, and its examples are true.

import { describe, expect, setSystemTime, test } from "bun:test";
import type { TSchema } from "typebox";
import { Compile } from "typebox/compile";
import { declaredRoutes } from "../../../test/support/declared.ts";
import { expanded, findingsOf, type Json, resolve } from "../../../test/support/openapi.ts";
import { ERRORS } from "../../core/errors.ts";
import { sendAtOf } from "../../core/send-at.ts";
import { respond } from "../http.ts";
import { errorsOf, type Route } from "../route.ts";
import { createOpenApi } from "../routes/openapi.ts";
import { Nothing } from "../shapes.ts";
import { openApi } from "./document.ts";
import { templateOf } from "./operation.ts";
import { CODES, problemName } from "./problems.ts";

type Media = { schema?: Json; example?: unknown; examples?: Record<string, { value: unknown }> };
type Answer = { description: string; headers: Json; content?: Record<string, Media> };
type Parameter = Required<Pick<Media, "schema" | "example">> & {
  name: string;
  in: string;
  required?: boolean;
};
type Operation = {
  operationId: string;
  security: Record<string, string[]>[];
  parameters: Parameter[];
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, Answer>;
};

/** The document as it is read by others, whole and with all references in place. */
const read = (routes: readonly Route[]): [document: Json, full: Json] => {
  const document = JSON.parse(JSON.stringify(openApi(routes))) as Json;
  return [document, expanded(document, document) as Json];
};
const [document, full] = read(declaredRoutes);
const paths = full.paths as Record<string, Record<string, Operation>>;
const operationOf = ({ method, path }: Route): Operation =>
  paths[templateOf(path)]?.[method.toLowerCase()] as Operation;

/** Why a value doesn't match a schema; empty if it does. */
const mismatches = (schema: unknown, value: unknown): string[] => {
  const check = Compile(schema as TSchema);
  return check.Check(value) ? [] : check.Errors(value).map((error) => JSON.stringify(error));
};
const examplesOf = ({ example, examples }: Media): unknown[] =>
  examples === undefined ? [example] : Object.values(examples).map(({ value }) => value);

test("is an OpenAPI 3.1 document: fields, references, schemas and names of components", () => {
  expect(document.openapi).toBe("3.1.0");
  expect(findingsOf(document)).toEqual([]);
});

test("has every route and no other", () => {
  const named = Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  const declared = declaredRoutes.map(({ method, path }) => `${method} ${templateOf(path)}`);
  expect(named.toSorted()).toEqual(declared.toSorted());
});

test("names each operation once", () => {
  const ids = declaredRoutes.map((route) => operationOf(route).operationId);
  expect(new Set(ids).size).toBe(declaredRoutes.length);
  for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z]+$/);
});

test("has every error of the table as a schema, of which its example is one", () => {
  const { schemas, examples } = full.components as { schemas: Json; examples: Record<string, Json> };
  for (const code of CODES) {
    const example = examples[code]?.value as Json;
    expect(example).toMatchObject({ code, status: ERRORS[code].status });
    expect(mismatches(schemas[problemName(code)], example)).toEqual([]);
  }
  const [one, other] = [schemas[problemName("rate_limited")], examples.not_found?.value];
  expect(mismatches(one, other)).not.toEqual([]);
  const short = structuredClone(examples.insufficient_balance?.value) as Json;
  delete short.required;
  expect(mismatches(schemas[problemName("insufficient_balance")], short)).not.toEqual([]);
});

for (const route of declaredRoutes) {
  describe(`${route.method} ${route.path}`, () => {
    const operation = operationOf(route);

    test("has each parameter of its path, query and headers, with an example that is one", () => {
      const named = operation.parameters.map((one) => `${one.in} ${one.name}`);
      const inPath = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => `path ${name}`);
      const key = route.errors.includes("idempotency_key_reused") ? ["header Idempotency-Key"] : [];
      const raw = route.rawBytesMax === undefined ? [] : ["query report"];
      expect(named).toEqual([...inPath, ...route.query.map((name) => `query ${name}`), ...raw, ...key]);
      for (const { schema, example } of operation.parameters) expect(mismatches(schema, example)).toEqual([]);
    });

    test("needs the key and scope that it declares", () => {
      const isPublic = route.access === "public";
      expect(operation.security.some((one) => one.apiKey !== undefined)).toBe(!isPublic);
      if (!isPublic) expect(operation.security).toEqual([{ apiKey: [route.access] }]);
      for (const name of operation.security.flatMap((one) => Object.keys(one)))
        expect(resolve(`#/components/securitySchemes/${name}`, document)).toBeDefined();
    });

    test("has the schema of its body, and an example that it would accept", () => {
      const media = operation.requestBody?.content["application/json"];
      if (route.body === null || route.check === null) return expect(media).toBeUndefined();
      expect(media?.schema).toMatchObject({ type: "object", additionalProperties: false });
      expect(Object.keys(media?.schema?.properties as Json)).toEqual(Object.keys(route.body.properties));
      expect(mismatches(media?.schema, media?.example)).toEqual([]);
      const check = route.check;
      expect(() => check(structuredClone(media?.example))).not.toThrow();
    });

    test("has the schema of each answer, and an example that is exactly as declared", () => {
      for (const [status, schema] of Object.entries(route.answers)) {
        const content = operation.responses[status]?.content ?? {};
        const media = content[route.about.mediaType ?? "application/json"];
        if (schema === Nothing) {
          expect(content).toEqual({});
          continue;
        }
        expect(media?.schema).toBeDefined();
        expect(mismatches(media?.schema, media?.example)).toEqual([]);
        expect(mismatches(schema, media?.example)).toEqual([]);
      }
    });

    test("has the schema of the lines of an answer, also of the problem that may be its last one", () => {
      if (route.lines === undefined) return;
      const media = operation.responses["200"]?.content?.["application/x-ndjson"];
      const schema = media?.schema?.contentSchema;
      const results = String(media?.example).trim().split("\n");
      for (const line of results) expect(mismatches(schema, JSON.parse(line))).toEqual([]);
      const { examples } = full.components as { examples: Record<string, { value: Json }> };
      const problem = { ...examples.unavailable?.value, retry_after: 1 };
      expect(mismatches(schema, problem)).toEqual([]);
      expect(mismatches(schema, { status: 503 })).not.toEqual([]);
    });

    test("has each of its errors and no other, each with its example, which is a problem of that status", () => {
      const codes: string[] = [];
      for (const [status, { content = {} }] of Object.entries(operation.responses)) {
        const media = content["application/problem+json"];
        if (media === undefined) continue;
        codes.push(...Object.keys(media.examples ?? {}));
        for (const example of examplesOf(media)) {
          expect(mismatches(media.schema, example)).toEqual([]);
          expect(String((example as { status: number }).status)).toBe(status);
        }
      }
      expect(codes.toSorted()).toEqual(errorsOf(route).toSorted());
    });

    test("has the headers of its answers", () => {
      for (const [status, { headers }] of Object.entries(operation.responses)) {
        expect(Object.keys(headers)).toContain("X-Request-Id");
        expect(Object.keys(headers).includes("WWW-Authenticate")).toBe(status === "401");
        const takesKey = route.errors.includes("idempotency_key_reused");
        const isLines = route.lines !== undefined && status === "200";
        expect(Object.keys(headers).includes("Idempotent-Replayed")).toBe(
          takesKey && status.startsWith("2") && !isLines,
        );
        for (const header of Object.values(headers) as { schema: Json; example: unknown }[])
          expect(mismatches(header.schema, header.example)).toEqual([]);
      }
    });
  });
}

test("links lead to operations that there are, by an id that the example of the answer has", () => {
  const byId = new Map(declaredRoutes.map((route) => [route.about.operationId, route]));
  const linked = declaredRoutes.flatMap(({ about }) =>
    Object.entries(about.links ?? {}).map(([to, place]) => ({ about, to, place })),
  );
  expect(linked.length).toBeGreaterThan(5);
  for (const { about, to, place } of linked) {
    expect([to, byId.get(to)?.path]).toEqual([to, expect.stringContaining(":id")]);
    const answer: unknown = Object.values(about.answers)[0];
    const steps = place.slice(1).split("/");
    expect(steps.reduce((found, step) => (found as Json)[step], answer)).toBeString();
  }
});

test("what a route needs in its query is required", () => {
  const [remove] = declaredRoutes.filter(({ about }) => about.operationId === "removeOptOut") as [Route];
  const required = operationOf(remove).parameters.filter((one) => one.required === true);
  expect(required.map(({ name }) => name)).toEqual(["phone"]);
});

test("a time to come in an example is one that would be accepted now", () => {
  const given = declaredRoutes.flatMap(
    ({ about }) => (about.body as { send_at?: string } | undefined)?.send_at ?? [],
  );
  expect(given.length).toBeGreaterThan(0);
  for (const text of given) expect(sendAtOf(text, Date.now())).toEqual({ atMs: Date.parse(text) });
});

test("a process that has run for weeks answers with times that are still to come", async () => {
  const route = createOpenApi(() => declaredRoutes);
  const sendAt = async () => {
    const request = new Request("http://sluice/openapi.json");
    const given = (await respond(await route.handle({ request } as never), "r").json()) as Json;
    const { patch } = (given.paths as Record<string, { patch: Operation }>)["/v1/messages/{id}"] as never;
    return (patch as Operation).requestBody?.content["application/json"]?.example as { send_at: string };
  };
  const { send_at: first } = await sendAt();
  setSystemTime(Date.now() + 20 * 86_400_000);
  try {
    const { send_at: later } = await sendAt();
    expect(sendAtOf(later, Date.now())).toEqual({ atMs: Date.parse(later) });
    expect(Date.parse(later)).toBeGreaterThan(Date.parse(first));
  } finally {
    setSystemTime();
  }
});

test("a field that may be left out may be null, as a body's check reads it", () => {
  for (const route of declaredRoutes) {
    const media = operationOf(route).requestBody?.content["application/json"];
    const { check } = route;
    if (media === undefined || check === null) continue;
    const needed = (media.schema?.required ?? []) as string[];
    const optional = Object.keys(media.schema?.properties as Json).filter((name) => !needed.includes(name));
    const example = media.example as Json;
    const body = { ...Object.fromEntries(optional.map((name) => [name, null])), ...example };
    expect(mismatches(media.schema, body)).toEqual([]);
    expect(() => check(structuredClone(body))).not.toThrow();
    for (const name of needed) expect(mismatches(media.schema, { ...body, [name]: null })).not.toEqual([]);
  }
});

test("a 429, and the 202 of a send, tell the rate limits", () => {
  const headersOf = (path: string, method: string, status: string) =>
    Object.keys(paths[path]?.[method]?.responses[status]?.headers ?? {});
  for (const status of ["202", "429"])
    expect(headersOf("/v1/sms/send", "post", status)).toContain("RateLimit");
  expect(headersOf("/v1/sms/send", "post", "202")).toContain("Idempotent-Replayed");
  expect(headersOf("/v1/sms/send", "post", "429")).toContain("Retry-After");
  expect(headersOf("/v1/wallet/reconcile", "get", "429")).toContain("Retry-After");
  expect(headersOf("/v1/wallet/reconcile", "get", "429")).toContain("RateLimit");
});

test("answers are open for members to come, bodies are not", () => {
  const closed = JSON.stringify(paths["/v1/wallet"]?.get?.responses["200"]?.content);
  expect(closed).not.toContain("additionalProperties");
});

describe("mistakes are found", () => {
  const changed = (change: (copy: Json) => void): string[] => {
    const copy = structuredClone(document);
    change(copy);
    return findingsOf(copy);
  };
  type Deep = Record<string, Record<string, Record<string, Json>>>;
  const send = (copy: Json) => (copy.paths as Deep)["/v1/sms/send"]?.post as Json;

  test("in the document: an unknown field, a missing one, a reference to nothing, an odd schema", () => {
    expect(changed((copy) => Object.assign(send(copy), { sumary: "x" }))).toEqual([
      "#/paths//v1/sms/send/post must not have sumary",
    ]);
    expect(changed((copy) => delete send(copy).responses)).toEqual(
      expect.arrayContaining(["#/paths//v1/sms/send/post has no responses"]),
    );
    const schemas = (copy: Json) => (copy.components as Record<string, Json>).schemas as Json;
    for (const [schema, finding] of [
      [{ $ref: "#/components/schemas/Gold" }, "refers to nothing: #/components/schemas/Gold"],
      [{ type: "object", nullable: true }, "has the unknown keyword nullable"],
      [{ type: "text" }, "is not a schema"],
      [{ items: { minimum: "1" } }, "/items is not a schema"],
    ] as const) {
      const found = changed((copy) => Object.assign(schemas(copy), { Money: schema }));
      expect(found.some((one) => one.includes(finding))).toBe(true);
    }
  });

  test("in a route: a parameter of the path that isn't described, an example that is missing or wrong", () => {
    const [one] = declaredRoutes.filter(({ path }) => path === "/v1/messages/:id") as [Route];
    const silent = { ...one, about: { ...one.about, path: {} } };
    expect(() => openApi([silent])).toThrow("does not describe its parameter id");
    const [bare] = read([{ ...one, about: { ...one.about, answers: {} } }]);
    expect(findingsOf(bare).filter((found) => found.endsWith("has no example"))).toHaveLength(1);
    const wrong = { ...(one.about.answers[200] as Json), cost: -1 };
    expect(mismatches(one.answers[200], wrong)).not.toEqual([]);
  });
});

test("GET /openapi.json answers the document, with itself in it", async () => {
  const [route] = declaredRoutes.filter(({ path }) => path === "/openapi.json") as [Route];
  const request = new Request("http://sluice/openapi.json");
  const reply = await route.handle({ request } as never);
  expect(reply.status).toBe(200);
  expect(JSON.parse(reply.body as string)).toEqual(document);
  expect(Object.keys(paths)).toContain("/openapi.json");
});
