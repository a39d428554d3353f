// The connection to MySQL is cut while a customer's change is stored, before the server gets its last
// statement or before its answer comes back: the answer never says that nothing was stored, and a repeat
// makes of it what the customer asked for.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { createIdFactory } from "../../src/core/id.ts";
import { WEBHOOK_CHUNK_ROWS_MAX } from "../../src/core/webhook-limits.ts";
import { moveDue } from "../../src/ledger/schedule.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { createPool } from "../../src/platform/mysql.ts";
import { holdDeclared } from "../support/declared.ts";
import {
  type IngestProcess,
  makeCustomer,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { until } from "../support/roles.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

const id = createIdFactory({ now: Date.now });
let db: TestDatabase;
let proxy: TcpProxy;
let ingest: IngestProcess;
let customer: TestCustomer;
beforeAll(async () => {
  db = await createTestDatabase();
  proxy = await startTcpProxy(db.config.mysqlPort);
  ingest = await startIngest(db.config, { mysqlPort: proxy.port });
}, 60_000);
afterAll(async () => {
  await ingest.end();
  proxy.close();
  await db.drop();
}, 30_000);

async function ask(method: "POST" | "DELETE" | "PATCH", path: string, body?: object) {
  const answer = await fetch(`${ingest.url}${path}`, {
    method,
    headers: { "content-type": "application/json", "x-api-key": customer.apiKey },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const [{ status }, text] = [answer, await answer.text()];
  const type = answer.headers.get("content-type");
  holdDeclared(method, new URL(answer.url).pathname, { status, type, text });
  return { status, body: JSON.parse(text) as Record<string, unknown> };
}

/** Deliveries that have failed, in the order of their events' ids. */
async function failed(count: number): Promise<string[]> {
  const events = Array.from({ length: count }, () => id());
  const rows = events.map(
    (event) =>
      `(${customer.customerId},'${event}','','${event}',1,'queued',NOW(3),'{}','failed',` +
      "NOW(3) + INTERVAL 1 DAY)",
  );
  await db.pool.query(
    "INSERT INTO webhook_deliveries (customer_id,event_id,endpoint,message_id,sequence,status,occurred_at," +
      `body,state,give_up_at) VALUES ${rows.join(",")}`,
  );
  return events;
}
async function count(table: string, where = "TRUE"): Promise<number> {
  const [row] = await db.pool.query<{ n: number }[]>(
    `SELECT COUNT(*) AS n FROM ${table} WHERE customer_id=${customer.customerId} AND ${where}`,
  );
  return Number(row?.n);
}

const OPT_OUT = { phone: "09121234567" };
const TEMPLATE = { id: "t", text: "Hello {name}" };
const CHANGED = { text: "Dear {name}" };
let event = "";

type Write = {
  cut(when: "before" | "after"): Promise<void>;
  ask(): ReturnType<typeof ask>;
  prepare?(): Promise<unknown>;
  /** What a repeat is answered if the first request was stored, and what is stored then. */
  again: object;
  /** A repeat may have another effect. */
  looksFirst?: true;
  stored(): Promise<number>;
  done: number;
};
const WRITES: Record<string, Write> = {
  "an opt-out": {
    cut: (when) => proxy.cutAtStatement("INSERT INTO opt_outs", when),
    ask: () => ask("POST", "/v1/opt-outs", OPT_OUT),
    again: { status: 200 },
    stored: () => count("opt_outs"),
    done: 1,
  },
  "the end of an opt-out": {
    prepare: () => ask("POST", "/v1/opt-outs", OPT_OUT),
    cut: (when) => proxy.cutAtStatement("DELETE FROM opt_outs", when),
    ask: () => ask("DELETE", "/v1/opt-outs?phone=09121234567"),
    again: { status: 200, body: { removed: 0 } },
    looksFirst: true,
    stored: () => count("opt_outs"),
    done: 0,
  },
  "a template": {
    cut: (when) => proxy.cutAtCommit("INSERT INTO templates", when),
    ask: () => ask("POST", "/v1/templates", TEMPLATE),
    again: { status: 201, body: { version: 1 } },
    stored: () => count("templates"),
    done: 1,
  },
  "a version of a template": {
    prepare: () => ask("POST", "/v1/templates", TEMPLATE),
    cut: (when) => proxy.cutAtCommit("INSERT INTO templates", when),
    ask: () => ask("POST", "/v1/templates/t/versions", CHANGED),
    again: { status: 201, body: { version: 2 } },
    stored: () => count("templates"),
    done: 2,
  },
  "the end of a template": {
    prepare: () => ask("POST", "/v1/templates", TEMPLATE),
    cut: (when) => proxy.cutAtCommit("DELETE FROM templates", when),
    ask: () => ask("DELETE", "/v1/templates/t"),
    again: { status: 404 },
    looksFirst: true,
    stored: () => count("templates"),
    done: 0,
  },
  "a replay of one event": {
    prepare: async () => ([event] = (await failed(1)) as [string]),
    cut: (when) => proxy.cutAtCommit("UPDATE webhook_deliveries", when),
    ask: () => ask("POST", `/v1/webhooks/deliveries/${event}/replay`, {}),
    again: { status: 200, body: { state: "pending" } },
    stored: () => count("webhook_deliveries", "state='pending'"),
    done: 1,
  },
  "a replay of a few events": {
    prepare: () => failed(3),
    cut: (when) => proxy.cutAtCommit("UPDATE webhook_deliveries", when),
    ask: () => ask("POST", "/v1/webhooks/deliveries/replay", { state: "failed" }),
    again: { status: 200, body: { replayed: 0, next: null } },
    stored: () => count("webhook_deliveries", "state='pending'"),
    done: 3,
  },
};

for (const [name, write] of Object.entries(WRITES))
  for (const when of ["before", "after"] as const)
    test(`the connection is cut ${when} the server stores ${name}: 503, and a repeat has the effect of once`, async () => {
      customer = await makeCustomer(db.config, 0);
      await write.prepare?.();
      const before = await write.stored();
      const happened = write.cut(when);
      const first = await write.ask();
      await happened;
      expect(first).toMatchObject({ status: 503, body: { code: "outcome_unknown" } });
      expect(first.body.detail).toContain(write.looksFirst ? "Ask what became of it" : "Repeat the request");
      expect(await write.stored()).toBe(when === "before" ? before : write.done);
      const again = await write.ask();
      if (when === "before") expect(again.status).toBeLessThan(300);
      else expect(again).toMatchObject(write.again);
      expect(await write.stored()).toBe(write.done);
    }, 30_000);

for (const when of ["before", "after"] as const)
  test(`a replay that is cut ${when} its second COMMIT answers what it did so far, and goes on from there`, async () => {
    customer = await makeCustomer(db.config, 0);
    const events = await failed(WEBHOOK_CHUNK_ROWS_MAX + 7);
    const happened = proxy.cutAtCommit(events.at(-1) as string, when);
    const first = await ask("POST", "/v1/webhooks/deliveries/replay", { state: "failed" });
    await happened;
    const next = events[WEBHOOK_CHUNK_ROWS_MAX - 1];
    expect(first).toEqual({ status: 200, body: { replayed: WEBHOOK_CHUNK_ROWS_MAX, next } });
    const rest = await ask("POST", "/v1/webhooks/deliveries/replay", { state: "failed", after: next });
    expect(rest).toEqual({ status: 200, body: { replayed: when === "before" ? 7 : 0, next: null } });
    expect(await count("webhook_deliveries", "state='pending'")).toBe(events.length);
  }, 30_000);

// A scheduled message is changed again by the process itself, so its caller hears of a lost connection only
// if that is of no use: no new connection is made, or the message is no longer scheduled then.

const HOUR_MS = 3_600_000;
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString();
async function scheduled(): Promise<string> {
  customer = await makeCustomer(db.config, 1_000);
  const sent = await ask("POST", "/v1/sms/send", {
    phone: "09121234567",
    text: "later",
    type: "normal",
    send_at: inMs(HOUR_MS),
  });
  expect(sent).toMatchObject({ status: 202, body: { status: "scheduled" } });
  return sent.body.id as string;
}
type Change = {
  ask(id: string): ReturnType<typeof ask>;
  /** Its statement that writes the message. */
  statement: string;
  stored: string;
  detail: string;
};
const CHANGES: Record<string, Change> = {
  "a cancellation": {
    ask: (id) => ask("DELETE", `/v1/messages/${id}`),
    statement: "DELETE /*+ INDEX(scheduled_messages",
    stored: "status='canceled'",
    detail: "Repeat the request",
  },
  "a change of the time": {
    ask: (id) => ask("PATCH", `/v1/messages/${id}`, { send_at: inMs(2 * HOUR_MS) }),
    statement: "UPDATE scheduled_messages SET run_at",
    stored: "send_at > NOW(3) + INTERVAL 90 MINUTE",
    detail: "Ask what became of it",
  },
};

for (const [name, { ask: change, statement, stored, detail }] of Object.entries(CHANGES)) {
  for (const when of ["before", "after"] as const) {
    test(`the connection is cut ${when} the server commits ${name}: it is answered as if it had not been`, async () => {
      const message = await scheduled();
      const happened = proxy.cutAtCommit(statement, when);
      const answer = await change(message);
      await happened;
      expect(answer).toMatchObject({ status: 200, body: { id: message } });
      expect(await count("messages", stored)).toBe(1);
    }, 30_000);

    test(`the connection is cut ${when} the server commits ${name}, and no new one is made: the outcome is unknown`, async () => {
      const message = await scheduled();
      const happened = proxy.cutAtCommit(statement, when).then(() => proxy.cutAll());
      const answer = await change(message);
      await happened;
      proxy.mend();
      expect(answer).toMatchObject({ status: 503, body: { code: "outcome_unknown" } });
      expect(answer.body.detail).toContain(detail);
      expect(await count("messages", stored)).toBe(when === "after" ? 1 : 0);
      await until(async () => (await change(message)).status === 200, "a repeat is answered");
      expect(await count("messages", stored)).toBe(1);
    }, 60_000);
  }

  test(`${name} is stored, and the message can't be read then: the outcome is unknown`, async () => {
    const message = await scheduled();
    const happened = proxy.cutAtStatement("m.guaranteed_by", "before");
    const answer = await change(message);
    await happened;
    expect(answer).toMatchObject({ status: 503, body: { code: "outcome_unknown" } });
    expect(answer.body.detail).toContain(detail);
    expect(await count("messages", stored)).toBe(1);
  }, 30_000);
}

test("a change to now whose answer is lost, and which is sent before it is tried again: the outcome is unknown", async () => {
  const message = await scheduled();
  const happened = proxy.cutAtCommit("UPDATE scheduled_messages SET run_at", "after").then(async () => {
    proxy.delay(2_000); // so that the next try comes after the move
    const pool = createPool(db.config, { connections: 1, multipleStatements: true });
    const moved = async () => (await moveDue({ pool, now: Date.now }, "normal")).records.length > 0;
    await until(moved, "it is queued");
    await pool.end();
    proxy.delay(0);
  });
  const answer = await ask("PATCH", `/v1/messages/${message}`, { send_at: inMs(-1_000) });
  await happened;
  expect(answer).toMatchObject({ status: 503, body: { code: "outcome_unknown" } });
  expect(answer.body.detail).toContain("Ask what became of it");
}, 30_000);
