// Every request of the Postman collection that the command line prints, sent to a gateway as Postman would.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { createTestClickhouse, type TestClickhouse } from "../support/clickhouse.ts";
import { holdDeclared } from "../support/declared.ts";
import {
  madeOf,
  type PostmanCollection,
  type PostmanEnvironment,
  type PostmanItem,
} from "../support/postman.ts";
import { type Api, startApi } from "../support/refusals.ts";

let clickhouse: TestClickhouse;
let api: Api;
beforeAll(async () => {
  clickhouse = await createTestClickhouse();
  api = await startApi({
    clickhouseDatabase: clickhouse.config.clickhouseDatabase,
    otpSecret: "a secret of the tests, long enough for it",
  });
}, 60_000);
afterAll(async () => {
  await api.stop();
  await clickhouse.drop();
}, 30_000);

const printed = (...args: string[]): unknown => {
  const cli = join(import.meta.dirname, "../../src/main/cli.ts");
  const { status, stdout } = spawnSync("bun", [cli, "openapi", ...args], { encoding: "utf8" });
  expect(status).toBe(0);
  return JSON.parse(stdout);
};

/** Of requests that answer something else than a success here: nothing is set up that they could find. */
const NOT_HERE: Readonly<Record<string, readonly number[]>> = {
  // The message is on its way, and the time of the example has passed.
  "DELETE /v1/messages/:id": [409],
  "PATCH /v1/messages/:id": [409, 422],
  "GET /v1/webhooks": [404],
  "POST /v1/webhooks/deliveries/:id/replay": [404],
  "POST /dlr/:operator": [200, 403, 404],
  "GET /dlr/:operator": [200, 403, 404],
  "POST /mo/:operator": [200, 403, 404],
  "GET /mo/:operator": [200, 403, 404],
  // Its id is that of the message.
  "GET /v1/templates/:id": [404],
  "POST /v1/templates/:id/versions": [404],
  "DELETE /v1/templates/:id": [404],
  // Its parameters are disabled, and the phone is needed.
  "DELETE /v1/opt-outs": [200, 422],
  "POST /v1/otp/:id/verify": [404],
};

test("every request of the collection is answered as its route declares", async () => {
  const collection = printed("--postman") as PostmanCollection;
  const where = ["--base-url", api.ingest.url, "--api-key", api.customer.apiKey];
  const environment = printed("--postman-environment", ...where) as PostmanEnvironment;
  let id = "";
  const ask = async (item: PostmanItem): Promise<void> => {
    const values: Record<string, string> = { id, operator: "A", file: "start.js" };
    const { method, url, headers, body } = madeOf(collection, environment, item, values);
    const answer = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
    const { status } = answer;
    const text = await answer.text();
    holdDeclared(method, new URL(url).pathname, { status, type: answer.headers.get("content-type"), text });
    const name = `${method} /${item.request.url.path.join("/")}`;
    const isWanted = (NOT_HERE[name] ?? [200, 201, 202]).includes(status);
    if (!isWanted) throw new Error(`${name} is answered ${status}: ${text}`);
    if (name === "POST /v1/sms/send") ({ id } = JSON.parse(text) as { id: string });
  };
  const items = collection.item.flatMap((folder) => folder.item);
  expect(items.length).toBeGreaterThan(15);
  for (const item of items) await ask(item);
  expect(id).toMatch(/^[0-9A-Z]{26}$/);
});
