// The access matrix: every route of the table, called with the ids of another customer, with each scope
// alone, and with keys that are suspended, revoked, expired, used from elsewhere, or not signed for. On a
// real ingest process, with a report to read from.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Route } from "../../src/api/route.ts";
import type { ErrorCode } from "../../src/core/errors.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { createOtpSecret } from "../../src/core/otp-secret.ts";
import { setAddresses } from "../../src/customers/addresses.ts";
import { createKey, revokeKey, type Scope, SCOPES } from "../../src/customers/api-keys.ts";
import { setSuspended } from "../../src/customers/customers.ts";
import { createTemplate } from "../../src/customers/templates.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { createTestClickhouse, insertStatusEvents, type TestClickhouse } from "../support/clickhouse.ts";
import { declaredRoutes } from "../support/declared.ts";
import { makeCustomer, type TestCustomer } from "../support/ingest-process.ts";
import { insertCustomer } from "../support/messages.ts";
import { type Answer, type Api, OPENING, refused, startApi } from "../support/refusals.ts";

const id = createIdFactory({ now: Date.now });
const MARK = "of-the-owner-alone";
const routes = declaredRoutes.filter(({ access }) => access !== "public");
const nameOf = ({ method, path }: Route): string => `${method} ${path}`;

let events: TestClickhouse;
let api: Api;
let pool: Pool;
let owner: TestCustomer;
let stranger: TestCustomer;
/** By the path's parameter: an id of each kind that the owner has. */
let messageId: string;
const eventId = id();
const otpId = id();
const templateId = `${MARK}-template`;
const otpSecret = "a secret of the tests, long enough for it";
const withScope = new Map<Scope, TestCustomer>();
const refusedKeys: { name: string; apiKey: string; code: ErrorCode }[] = [];

beforeAll(async () => {
  events = await createTestClickhouse();
  api = await startApi({ clickhouseDatabase: events.config.clickhouseDatabase, otpSecret });
  pool = createPool(api.db.config, { connections: 2, multipleStatements: true });
  owner = api.customer;
  stranger = await makeCustomer(api.db.config, OPENING, { scopes: SCOPES });
  for (const scope of SCOPES)
    withScope.set(scope, await makeCustomer(api.db.config, OPENING, { scopes: [scope] }));
  await fillOwner();
  await giveCode();
  await createTemplate(pool, owner.customerId, { id: templateId, text: MARK });
  await makeRefusedKeys();
}, 90_000);
afterAll(async () => {
  await pool.end();
  await api.stop();
  await events.drop();
}, 30_000);

/** Two of everything that the owner can list, so that there are cursors. */
async function fillOwner(): Promise<void> {
  for (const reference of [`${MARK}-1`, `${MARK}-2`]) {
    const body = { phone: "09121234567", text: "hello", type: "normal", reference };
    const answer = await api.send(body);
    expect(answer.status).toBe(202);
    messageId = (JSON.parse(answer.text) as { id: string }).id;
    const { customerId } = owner;
    await insertStatusEvents(events.clickhouse, [
      {
        id: messageId,
        sequence: 1,
        status: "queued",
        customer_id: customerId,
        reference,
        created_at_ms: Date.now(),
      },
    ]);
  }
  for (const event of [eventId, id()])
    await pool.write(
      "INSERT INTO webhook_deliveries (customer_id,event_id,endpoint,url,message_id,sequence,status," +
        "occurred_at,body,state,give_up_at) VALUES (?,?,'',?,?,1,'queued',NOW(3),'{}','failed',NOW(3))",
      [owner.customerId, event, `https://${MARK}.example.com/`, messageId],
    );
}

/** A code that is the one in the route's example. */
async function giveCode(): Promise<void> {
  const example = declaredRoutes.find(({ path }) => path === "/v1/otp/:id/verify")?.about.body;
  const hash = createOtpSecret(otpSecret)?.hashOf(otpId, (example as { code: string }).code);
  await pool.write(
    "INSERT INTO otps (customer_id,phone,otp_id,message_id,code_hash,expires_at) " +
      "VALUES (?,'+989129876543',?,?,?,NOW(3) + INTERVAL 10 MINUTE)",
    [owner.customerId, otpId, messageId, hash],
  );
}

async function makeRefusedKeys(): Promise<void> {
  const make = async (name: string, code: ErrorCode, options: Parameters<typeof createKey>[3] = {}) => {
    const customerId = await insertCustomer(pool, OPENING);
    const key = await createKey({ pool, id }, customerId, SCOPES, options);
    refusedKeys.push({ name, apiKey: key.apiKey, code });
    return { customerId, keyId: key.keyId };
  };
  await setSuspended(pool, (await make("suspended", "customer_suspended")).customerId, true);
  await revokeKey(pool, (await make("revoked", "api_key_invalid")).keyId);
  await make("expired", "api_key_invalid", { expiresAtMs: Date.now() - 1 });
  await make("not signed for", "signature_missing", { signed: true });
  const { customerId } = await make("a customer elsewhere", "address_not_allowed");
  await setAddresses(pool, { customerId }, ["192.0.2.0/24", "2001:db8::/32"]);
  const { keyId } = await make("a key elsewhere", "address_not_allowed");
  await setAddresses(pool, { keyId }, ["127.0.0.2", "::1"]);
}

/** Calls a route with the example of its body, and the owner's ids in its path. */
function call(route: Route, apiKey: string | null, query = ""): Promise<Answer> {
  const idOf = { messages: messageId, otp: otpId, templates: templateId } as Record<
    string,
    string | undefined
  >;
  const ofWhat = idOf[route.path.split("/")[2] ?? ""] ?? eventId;
  const path = route.path.replace(":id", ofWhat) + query;
  const example = route.about.body as Record<string, unknown> | undefined;
  const soon = new Date(Date.now() + 3_600_000).toISOString();
  const given = example?.send_at === undefined ? example : { ...example, send_at: soon };
  const body = route.body === null ? {} : { body: JSON.stringify(given) };
  return api.ask(path, { method: route.method, ...body }, apiKey);
}
const isAccessRefusal = ({ status }: Answer): boolean => status === 401 || status === 403;

test("no route of /v1 is public, and the public ones are those that are meant to be", () => {
  const open = declaredRoutes.filter(({ access }) => access === "public").map(({ path }) => path);
  expect(open.filter((path) => path.startsWith("/v1"))).toEqual([]);
  expect(new Set(open.map((path) => path.split("/")[1]))).toEqual(
    new Set(["dlr", "docs", "health", "metrics", "mo", "openapi.json", "ready", "swagger"]),
  );
  expect(routes.length).toBeGreaterThan(13);
});

describe.each(routes.map((route) => [nameOf(route), route] as const))("%s", (_, route) => {
  const scope = route.access as Scope;

  test("is refused without a key, with a wrong one, and to every scope but its own", async () => {
    refused(await call(route, null), "api_key_missing");
    refused(await call(route, `sk_${"x".repeat(27)}`), "api_key_invalid");
    for (const [has, { apiKey }] of withScope) {
      const answer = await call(route, apiKey);
      if (has === scope) expect([has, isAccessRefusal(answer)]).toEqual([has, false]);
      else refused(answer, "scope_missing");
    }
  });

  test("is refused to keys that are suspended, revoked, expired, used from elsewhere, or not signed for", async () => {
    expect(refusedKeys.map(({ code }) => code).toSorted()).toEqual([
      "address_not_allowed",
      "address_not_allowed",
      "api_key_invalid",
      "api_key_invalid",
      "customer_suspended",
      "signature_missing",
    ]);
    for (const { apiKey, code } of refusedKeys) {
      const answer = await call(route, apiKey);
      refused(answer, code);
      const scheme = code.startsWith("signature_") ? "SluiceSignature" : "ApiKey";
      const challenge = answer.status === 401 ? `${scheme} realm="sluice"` : null;
      expect(answer.headers.get("www-authenticate")).toBe(challenge);
      // By which a client sees that its clock is wrong.
      expect(Math.abs(Date.parse(answer.headers.get("date") ?? "") - Date.now())).toBeLessThan(5_000);
    }
  });

  test("shows a customer nothing of another one, by its ids and cursors", async () => {
    const answer = await call(route, stranger.apiKey);
    if (route.path.includes(":id")) refused(answer, "not_found");
    const seen = [answer];
    if (route.query.includes("id")) seen.push(await call(route, stranger.apiKey, `?id=${messageId}`));
    if (route.query.includes("cursor")) {
      const page = await call(route, owner.apiKey, "?limit=1");
      expect(page.status).toBe(200);
      const { next_cursor } = JSON.parse(page.text) as { next_cursor: string | null };
      if (next_cursor !== null)
        seen.push(await call(route, stranger.apiKey, `?limit=1&cursor=${encodeURIComponent(next_cursor)}`));
    }
    for (const { text } of seen) {
      expect(text).not.toContain(MARK);
      expect(text.replaceAll(/"(detail|request_id)":"[^"]*"/g, "")).not.toContain(messageId);
      expect(text).not.toContain(`"customer_id":"${owner.customerId}"`);
    }
  });
});

test("the owner sees what strangers were not shown, and has its cursors", async () => {
  const lists = routes.filter(({ query }) => query.includes("cursor"));
  expect(lists.length).toBeGreaterThan(3);
  const shown = await Promise.all(lists.map((route) => call(route, owner.apiKey, "?limit=1")));
  const cursors = shown.map(({ text }) => (JSON.parse(text) as { next_cursor: string | null }).next_cursor);
  expect(cursors.filter((cursor) => cursor !== null).length).toBeGreaterThan(3);
  expect(shown.filter(({ text }) => text.includes(MARK)).length).toBeGreaterThan(2);
  // Its message is on its way, so it can be neither canceled nor changed.
  const isLate = ({ method }: Route) => method === "DELETE" || method === "PATCH";
  const isDelete = ({ method }: Route) => Number(method === "DELETE");
  const ofOne = routes.filter(({ path }) => path.includes(":id"));
  for (const route of ofOne.toSorted((a, b) => isDelete(a) - isDelete(b))) {
    const { status } = await call(route, owner.apiKey);
    const ends = route.path.endsWith("/versions") ? 201 : 200;
    const isItsMessage = isLate(route) && route.path.startsWith("/v1/messages");
    expect([nameOf(route), status]).toEqual([nameOf(route), isItsMessage ? 409 : ends]);
  }
});

test("of all that was refused nothing was stored, charged or changed", async () => {
  const found = await pool.query<{ name: string; of: number }[]>(
    "SELECT 'messages' AS name, customer_id AS `of` FROM messages UNION ALL " +
      "SELECT 'entries', customer_id FROM wallet_ledger WHERE op='topup' AND amount <> ?",
    [OPENING],
  );
  const mayHave = new Set([owner, stranger, ...withScope.values()].map(({ customerId }) => customerId));
  expect(found.filter(({ of }) => !mayHave.has(of))).toEqual([]);
  const ofOwner = found.filter(({ of }) => of === owner.customerId).map(({ name }) => name);
  expect(ofOwner).toEqual(["messages", "messages"]);
  const states = await pool.query<{ state: string; n: number }[]>(
    "SELECT state, COUNT(*) AS n FROM webhook_deliveries WHERE event_id <> ? GROUP BY state",
    [eventId],
  );
  expect(states).toEqual([{ state: "failed", n: 1 }]);
});
