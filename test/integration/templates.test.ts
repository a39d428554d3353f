// Templates on a real ingest process and MySQL: stored in versions, sent by sends, batches and previews as
// they are at that moment, and known to a process without a query once it has read them.

import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { createTemplateCache } from "../../src/customers/templates.ts";
import type { KeyOwner } from "../../src/customers/api-keys.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { readParams } from "../../src/reports/params.ts";
import { makeCustomer } from "../support/ingest-process.ts";
import { type Api, fieldsOf, refused, startApi } from "../support/refusals.ts";
import { until } from "../support/roles.ts";

let api: Api;
let pool: Pool;
beforeAll(async () => {
  api = await startApi();
  pool = createPool(api.db.config, { connections: 2, multipleStatements: true });
}, 120_000);
afterEach(() => pool.query("DELETE FROM outbox"));
afterAll(async () => {
  await pool.end();
  await api.stop();
});

const PHONE = "+989121234567";
async function ask(path: string, body?: unknown, method = body === undefined ? "GET" : "POST", key?: string) {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
  const answer = await api.ask(path, init, key);
  return { ...answer, body: JSON.parse(answer.text) as Record<string, unknown> };
}
const create = (id: string, text: string) => ask("/v1/templates", { id, text });
const sent = (fields: object) => ask("/v1/sms/send", { phone: PHONE, type: "normal", ...fields });
const textOf = async (id: unknown) =>
  (
    await pool.query<{ text: string; parts: number }[]>("SELECT text, parts FROM messages WHERE id=?", [id])
  )[0]?.text;
const reasonsOf = ({ body }: Awaited<ReturnType<typeof ask>>) =>
  (body.errors as { field: string; reason: string }[]).map(({ field, reason }) => `${field} ${reason}`);

test("a template is stored, listed, given new versions and deleted, each visible to its customer alone", async () => {
  const first = await create("order", "Hello {name}, {order}");
  expect([first.status, first.body.parameters]).toEqual([201, ["name", "order"]]);
  expect((await create("order", "Hello {name}, {order}")).text).toBe(first.text);
  expect(refused(await create("order", "other"), "template_exists").detail).toContain("new version");
  const second = await ask("/v1/templates/order/versions", { text: "Dear {name}" });
  expect(second.body).toMatchObject({ id: "order", version: 2, parameters: ["name"] });
  expect((await ask("/v1/templates/order/versions", { text: "Dear {name}" })).text).toBe(second.text);
  await create("alone", "x");
  expect((await ask("/v1/templates")).body).toMatchObject({
    templates: [
      { id: "alone", version: 1 },
      { id: "order", version: 2 },
    ],
  });
  expect((await ask("/v1/templates/order")).body).toMatchObject({
    versions: [{ version: 2 }, { version: 1 }],
  });
  const other = await makeCustomer(api.db.config, 1_000);
  expect((await ask("/v1/templates/order", undefined, "GET", other.apiKey)).status).toBe(404);
  const stolen = { phone: PHONE, type: "normal", template: "alone" };
  expect(reasonsOf(await ask("/v1/sms/send", stolen, "POST", other.apiKey))).toEqual([
    "template is no template of this customer",
  ]);
  expect((await ask("/v1/templates/alone", undefined, "DELETE")).body).toEqual({
    deleted: true,
    id: "alone",
  });
  for (const method of ["DELETE", "GET"])
    expect((await ask("/v1/templates/alone", undefined, method)).status).toBe(404);
});

test("pages of the list show every template once, by id, and a cursor is checked", async () => {
  const { apiKey } = await makeCustomer(api.db.config, 1_000);
  const ids = ["B", "a", "a-1", "b", "c.c"];
  for (const id of ids.toReversed()) await ask("/v1/templates", { id, text: "1" }, "POST", apiKey);
  await ask("/v1/templates/a/versions", { text: "2" }, "POST", apiKey);
  type Page = { templates: { id: string; version: number }[]; next_cursor: string | null };
  const page = async (query: string) =>
    (await ask(`/v1/templates${query}`, undefined, "GET", apiKey)).body as unknown as Page;
  const sizes: number[] = [];
  const seen: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const { templates, next_cursor }: Page = await page(
      `?limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`,
    );
    sizes.push(templates.length);
    seen.push(...templates.map(({ id, version }) => `${id} ${version}`));
    cursor = next_cursor;
  }
  expect([sizes, seen]).toEqual([
    [2, 2, 1],
    ["B 1", "a 2", "a-1 1", "b 1", "c.c 1"],
  ]);
  expect(await page("?limit=5")).toMatchObject({ next_cursor: null });
  expect((await page("")).templates.map(({ id }) => id)).toEqual(ids);
  for (const query of [
    "limit=0",
    "limit=1001",
    "cursor=x",
    `cursor=${cursorOf("a b")}`,
    `cursor=${cursorOf(1)}`,
  ])
    expect(fieldsOf(refused(await ask(`/v1/templates?${query}`), "validation_failed"))).toEqual([
      query.split("=")[0] as string,
    ]);
  expect(fieldsOf(refused(await ask("/v1/templates?status=x"), "validation_failed"))).toEqual(["status"]);
});

/** A cursor of this place, as readParams makes them. */
const cursorOf = (place: string | number): string => readParams(new Map()).nextCursor([place]);

test("what is no template is refused by its fields", async () => {
  for (const id of ["-x", "a b", "é", "a/b"])
    expect(fieldsOf(refused(await create(id, "x"), "validation_failed"))).toEqual(["id"]);
  expect(fieldsOf(refused(await create("x".repeat(65), ""), "validation_failed"))).toEqual(["id", "text"]);
  expect(fieldsOf(refused(await create("nul", "\0"), "validation_failed"))).toEqual(["text"]);
  expect((await ask("/v1/templates/none/versions", { text: "x" })).status).toBe(404);
  for (const id of ["é", "%C3%A9", "a%00b", "x".repeat(65)]) {
    const path = `/v1/templates/${id}`;
    expect((await ask(path, undefined, "GET")).status).toBe(404);
    expect((await ask(path, undefined, "DELETE")).status).toBe(404);
    expect((await ask(`${path}/versions`, { text: "x" })).status).toBe(404);
  }
  for (const template_version of [undefined, 1])
    expect(reasonsOf(await sent({ template: "ل {{a}", template_version }))).toEqual([
      "template is no template of this customer",
    ]);
});

test("a send has the text of its template at that moment, which later versions don't change", async () => {
  await create("hello", "Hello {name}");
  const { status, body } = await sent({ template: "hello", parameters: { name: "Sara" } });
  expect([status, await textOf(body.id)]).toEqual([202, "Hello Sara"]);
  await ask("/v1/templates/hello/versions", { text: "Dear {name}" });
  const newer = async () => {
    const preview = { phone: PHONE, type: "normal", template: "hello", parameters: { name: "Ali" } };
    return (await ask("/v1/sms/preview", preview)).body.segments;
  };
  await until(async () => (await newer())?.toString() === "Dear Ali", "the new version is known", 4_000);
  expect(await textOf(body.id)).toBe("Hello Sara");
  const old = await sent({ template: "hello", template_version: 1, parameters: { name: "Ali" } });
  expect(await textOf(old.body.id)).toBe("Hello Ali");
  const persian = await sent({ template: "hello", parameters: { name: "علي" }, normalize: true });
  expect([persian.body.normalized, await textOf(persian.body.id)]).toEqual([1, "Dear علی"]);
}, 120_000);

test("missing and unknown parameters, templates and versions are refused by name, with whatever else is wrong", async () => {
  await create("two", "{a} and {b}");
  expect(reasonsOf(await sent({ template: "two", parameters: { a: "1", c: "3" } }))).toEqual([
    "parameters.b is missing",
    "parameters.c is not a parameter of the text",
  ]);
  expect(reasonsOf(await sent({ phone: "12", template: "none" }))).toEqual([
    "phone is not a valid phone number",
    "template is no template of this customer",
  ]);
  expect(reasonsOf(await sent({ template: "two", template_version: 9 }))).toEqual([
    "template_version is no version of this template",
  ]);
  expect(reasonsOf(await sent({ template: "two", text: "x" }))).toEqual([
    "template can't be given together with text",
  ]);
  expect(reasonsOf(await sent({ text: "x", parameters: {} }))).toEqual(["parameters is only for a template"]);
  expect(reasonsOf(await sent({}))).toEqual(["text is required, or template"]);
  expect(reasonsOf(await sent({ template: "two", parameters: { a: 1, b: "" } }))[0]).toContain(
    "parameters.a",
  );
  const long = await sent({ template: "two", parameters: { a: "x".repeat(1_500), b: "y".repeat(100) } });
  expect(reasonsOf(long)).toEqual(["text needs more than 10 parts"]);
});

test("a batch fills a template for each phone, and rejects those that lack a parameter", async () => {
  await create("batch", "Hi {name}");
  const phones = [PHONE, PHONE];
  const parameters = [{ name: "Ali" }, {}];
  const { body } = await ask("/v1/sms/batches", { phones, template: "batch", parameters });
  expect(body).toMatchObject({
    accepted: [{ index: 0 }],
    rejected: [{ index: 1, detail: "parameters.name is missing." }],
  });
  expect(await textOf((body.accepted as { id: string }[])[0]?.id)).toBe("Hi Ali");
  const wrong = await ask("/v1/sms/batches", { phones, template: "none", text: "x", from: "much too long" });
  expect(fieldsOf(refused(wrong, "validation_failed"))).toEqual(["from", "template", "template"]);
  const both = await ask("/v1/sms/batches", { messages: [{ phone: PHONE, text: "x" }], template: "batch" });
  expect(reasonsOf(both)).toEqual(["template can't be given together with messages"]);
});

test("a template that was read is found without a query, for as long as its key's owner is known", async () => {
  let queries = 0;
  const counted = { query: (...args: Parameters<Pool["query"]>) => (queries++, pool.query(...args)) };
  const cache = createTemplateCache(() => counted as Pick<Pool, "query">);
  const owner = { customerId: api.customer.customerId } as KeyOwner;
  await create("cached", "Hi {name}");
  for (let n = 0; n < 3; n++) expect((await cache.find(owner, "cached"))?.names).toEqual(["name"]);
  await Promise.all([1, 2].map(() => cache.find(owner, "absent")));
  expect(queries).toBe(2);
  expect(await cache.find({ ...owner }, "cached")).not.toBeNull();
  expect(queries).toBe(3);
});

test("lines of an upload may name templates, and each is refused by its own faults", async () => {
  await create("shipped", "Hello {name}");
  const lines: [object, string | string[]][] = [
    [{ template: "shipped", parameters: { name: "Sara" } }, "Hello Sara"],
    [{ text: "Hello" }, "Hello"],
    [{ template: "shipped", parameters: {} }, ["parameters.name"]],
    [{ template: "none" }, ["template"]],
    [{ template: null }, ["text"]],
    [{ template: "shipped", text: "x" }, ["template"]],
    [{ text: "x", parameters: { name: "x" } }, ["parameters"]],
    [{ template: "shipped", template_version: 1, parameters: { name: "Ali" } }, "Hello Ali"],
  ];
  const body = lines.map(([fields]) => `${JSON.stringify({ phone: PHONE, ...fields })}\n`).join("");
  const headers = { "content-type": "application/x-ndjson", "idempotency-key": "lines" };
  const upload = () => api.ask("/v1/sms/batches", { method: "POST", body, headers });
  const answer = await upload();
  const results = answer.text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { id?: string; errors?: { field: string }[] });
  const found = await Promise.all(
    results.map(async ({ id, errors }) =>
      id === undefined ? errors?.map(({ field }) => field) : textOf(id),
    ),
  );
  expect(found).toEqual(lines.map(([, expected]) => expected));
  expect((await upload()).text).toBe(answer.text);
});
