// The Postman collection is the table of routes: every one, with what a request of it needs. Its requests are
// sent to a gateway by test/integration/postman.test.ts.

import { describe, expect, test } from "bun:test";
import { declaredRoutes } from "../../../test/support/declared.ts";
import {
  madeOf,
  type PostmanCollection,
  type PostmanEnvironment,
  type PostmanItem,
} from "../../../test/support/postman.ts";
import { TAGS } from "../about.ts";
import { openApi } from "./document.ts";
import { type OpenApi, postmanCollection, postmanEnvironment } from "./postman.ts";

const copied = <T>(value: unknown): T => JSON.parse(JSON.stringify(value)) as T;
const collection = copied<PostmanCollection>(
  postmanCollection(openApi(declaredRoutes) as unknown as OpenApi),
);
const environment = copied<PostmanEnvironment>(postmanEnvironment("http://127.0.0.1:8080", "slk_test"));
const items = collection.item.flatMap((folder) => folder.item);
const itemOf = (method: string, path: string): PostmanItem =>
  items.find(
    ({ request }) => request.method === method && `/${request.url.path.join("/")}` === path,
  ) as PostmanItem;

test("has a folder for each tag, and each route in the folder of its tag", () => {
  expect(collection.info.schema).toContain("/v2.1.0/");
  expect(collection.item.map(({ name }) => name)).toEqual(Object.keys(TAGS));
  const named = collection.item.flatMap(({ name, item }) =>
    item.map(({ request }) => `${name} ${request.method} /${request.url.path.join("/")}`),
  );
  const declared = declaredRoutes.map(({ about, method, path }) => `${about.tag} ${method} ${path}`);
  expect(named.toSorted()).toEqual(declared.toSorted());
});

for (const route of declaredRoutes) {
  describe(`${route.method} ${route.path}`, () => {
    const item = itemOf(route.method, route.path);

    test("is sent as the route declares: key, body, parameters", () => {
      const { method, url, headers, body } = madeOf(collection, environment, item);
      expect(method).toBe(route.method);
      expect(url).toStartWith("http://127.0.0.1:8080/");
      expect(url).not.toMatch(/[{}]|:\w+$|undefined/);
      expect(headers["x-api-key"]).toBe(route.access === "public" ? undefined : "slk_test");
      const takesKey = route.errors.includes("idempotency_key_reused");
      expect(headers["idempotency-key"] !== undefined).toBe(takesKey);
      if (route.body !== null) {
        expect(headers["content-type"]).toBe("application/json");
        expect(JSON.parse(body as string)).toEqual(route.about.body);
      } else if (route.rawBytesMax === undefined) expect(body).toBeUndefined();
      if (route.rawBytesMax === undefined)
        expect((item.request.url.query ?? []).map(({ key, disabled }) => [key, disabled])).toEqual(
          route.query.map((name) => [name, route.about.needs?.includes(name) === true ? undefined : true]),
        );
    });

    test("has an answer of each success as an example", () => {
      const uploaded = route.lines === undefined ? {} : { 200: route.lines.about.answer };
      const answers = { ...uploaded, ...route.about.answers } as Record<number, unknown>;
      const declared = Object.keys({ ...uploaded, ...route.answers });
      const successes = declared.filter((status) => status.startsWith("2"));
      expect(item.response.map(({ code }) => String(code))).toEqual(successes);
      for (const { code, body } of item.response) {
        const example = answers[code];
        expect(typeof example === "string" ? body : JSON.parse(body ?? "null")).toEqual(example ?? null);
      }
    });
  });
}

test("an Idempotency-Key is new in each request", () => {
  const keyOf = () =>
    madeOf(collection, environment, itemOf("POST", "/v1/sms/send")).headers["idempotency-key"];
  expect(keyOf()).not.toBe(keyOf());
});

test("the environment has every variable that the collection uses", () => {
  const used = new Set(
    [...JSON.stringify(collection).matchAll(/\{\{(\w+)\}\}/g)].map(([, name = ""]) => name),
  );
  expect([...used].toSorted()).toEqual(environment.values.map(({ key }) => key).toSorted());
});
