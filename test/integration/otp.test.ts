// One-time codes on real processes and engines: a code is sent as an express message, verified once, and
// never lies anywhere in the clear. Two ingest processes share every limit.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { OTP_TRIES_MAX, OTP_WINDOW_MS } from "../../src/core/otp-limits.ts";
import { setOtpCode } from "../../src/customers/customers.ts";
import { lookForQueued, requeue } from "../../src/ledger/requeue.ts";
import { purgeOtpCounts } from "../../src/ledger/otp-counts.ts";
import { purgeOtps } from "../../src/ledger/otps.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { reconcileBooks } from "../support/books.ts";
import {
  type IngestProcess,
  makeCustomer,
  post,
  startIngest,
  type TestCustomer,
} from "../support/ingest-process.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const SECRET = { otpSecret: "a secret of the tests, long enough for it" };
/** Longer than a sender takes to start again, however busy the machine is. */
const PROMISE = { expressPromiseMs: 60_000, expressPromiseMaxMs: 60_000 };
const SHORT_PROMISE = { expressPromiseMs: 4_000, expressPromiseMaxMs: 60_000 };
const OPENING = 1_000_000;
const EXPRESS = 700;

let down: Downstream;
let pool: Pool;
let ingests: IngestProcess[];
let customer: TestCustomer;
let sender: Role;

beforeAll(async () => {
  down = await createDownstream();
  pool = createPool(down.config, { connections: 4, multipleStatements: true });
  const start = () => startIngest(down.config, { ...SECRET, ...PROMISE });
  ingests = await Promise.all([start(), start()]);
  customer = await shownTo(OPENING);
  await Promise.all([down.startOperator("A", "fast"), down.start("relay")]);
  sender = await down.start("sender-express", SECRET);
}, 120_000);
afterAll(async () => {
  await Promise.all(ingests.map((ingest) => ingest.end()));
  await pool.end();
  await down.end();
});
afterEach(() => reconcileBooks(pool));

/** A customer whose answers have the code. */
async function shownTo(balance: number): Promise<TestCustomer> {
  const made = await makeCustomer(down.config, balance);
  await setOtpCode(pool, made.customerId, true);
  return made;
}
let phones = 1_000_000;
/** Each of a range of its own. */
const newPhone = () => `+98912${(phones += 10_001)}`;
type Fields = Record<string, unknown> & { id: string; message_id: string; otp_code: string };
type Told = { status: number; headers: Headers; body: Fields; text: string };
async function ask(path: string, body: unknown, { by = customer, at = 0, key = "" } = {}): Promise<Told> {
  const { url } = ingests[at % ingests.length] as IngestProcess;
  const headers = key === "" ? {} : { "idempotency-key": key };
  const answer = await post(`${url}${path}`, by.apiKey, body, headers as Record<string, string>);
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: JSON.parse(text) as Fields, text };
}
async function send(fields: object = {}, options = {}): Promise<Told> {
  const told = await ask("/v1/otp", { phone: newPhone(), ...fields }, options);
  expect(told).toMatchObject({ status: 202 });
  return told;
}
const verify = (id: string, code: string, options = {}) => ask(`/v1/otp/${id}/verify`, { code }, options);
const wrongFor = (code: string) => (code.startsWith("0") ? "1" : "0") + code.slice(1);
const codeOf = ({ status, body }: Told) => (status === 200 ? "verified" : String(body.code));
type Row = { status: string; text: string; sealed_code: string | null; lane: string; valid_until: Date };
const rowOf = async (id: string): Promise<Row> => {
  const sql = "SELECT status, text, sealed_code, lane, valid_until FROM messages WHERE id = ?";
  return (await pool.query<Row[]>(sql, [id]))[0] as Row;
};
const untilSent = (id: string) =>
  until(async () => (await rowOf(id)).status === "sent", `${id} is sent`, 30_000, sender.log);
const balanceOf = async ({ customerId }: TestCustomer): Promise<number> => {
  const rows = await pool.query<{ left_over: number }[]>(
    "SELECT w.balance + COALESCE((SELECT SUM(granted - spent) FROM credit_leases WHERE customer_id = " +
      "w.customer_id), 0) AS left_over FROM wallet_accounts w WHERE w.customer_id = ?",
    [customerId],
  );
  return Number(rows[0]?.left_over);
};

describe("a code", () => {
  test("goes out as an express message, is charged as one, and is verified once, at any process", async () => {
    const before = await balanceOf(customer);
    const phone = newPhone();
    const { body } = await send({ phone, template: "{code} is your code", length: 8, ttl: 120 });
    expect(body).toMatchObject({ parts: 1, cost: EXPRESS, currency: "IRR" });
    expect(body.otp_code).toMatch(/^\d{8}$/);
    const row = await rowOf(body.message_id);
    expect(row).toMatchObject({ lane: "express", text: "{code} is your code" });
    expect(row.valid_until.toISOString()).toBe(body.expires_at as string);
    expect(await balanceOf(customer)).toBe(before - EXPRESS);
    expect(codeOf(await verify(body.id, wrongFor(body.otp_code)))).toBe("otp_wrong");
    const verified = await verify(body.id.toLowerCase(), body.otp_code, { at: 1 });
    expect(verified.body as unknown).toEqual({
      verified: true,
      id: body.id,
      message_id: body.message_id,
      phone,
    });
    const again = await verify(body.id, body.otp_code);
    expect([codeOf(again), again.body.otp_status]).toEqual(["otp_over", "verified"]);
    await untilSent(body.message_id);
    expect(down.received("A").some((line) => line.includes(body.message_id))).toBe(true);
  }, 120_000);

  test("is typed in Persian digits as well", async () => {
    const { body } = await send({ length: 4 });
    const persian = body.otp_code.replace(/\d/g, (digit) => String.fromCharCode(0x06f0 + Number(digit)));
    expect(codeOf(await verify(body.id, persian))).toBe("verified");
  });

  test("has five tries, however many requests at two processes make them at once", async () => {
    const { body } = await send();
    const wrong = wrongFor(body.otp_code);
    const told = await Promise.all(Array.from({ length: 20 }, (_, at) => verify(body.id, wrong, { at })));
    expect(told.filter((one) => codeOf(one) === "otp_wrong")).toHaveLength(OTP_TRIES_MAX);
    const rest = told.filter((one) => codeOf(one) !== "otp_wrong");
    expect(new Set(rest.map(({ body: { otp_status } }) => otp_status))).toEqual(new Set(["locked"]));
    const right = await verify(body.id, body.otp_code);
    expect([codeOf(right), right.body.otp_status]).toEqual(["otp_over", "locked"]);
  });

  test("is verified by one of the requests that have it right at once", async () => {
    const { body } = await send();
    const told = await Promise.all(
      Array.from({ length: OTP_TRIES_MAX }, (_, at) => verify(body.id, body.otp_code, { at })),
    );
    expect(told.map(codeOf).toSorted()).toEqual([...Array(4).fill("otp_over"), "verified"]);
  });

  test("is over when its time is, and is replaced by a newer one for the same phone", async () => {
    const phone = newPhone();
    const first = (await send({ phone })).body;
    const of = [customer.customerId, phone];
    await pool.write("UPDATE otps SET expires_at = NOW(3) WHERE customer_id = ? AND phone = ?", of);
    const late = await verify(first.id, first.otp_code);
    expect([codeOf(late), late.body.otp_status]).toEqual(["otp_over", "expired"]);
    await forgetPause(phone);
    const second = (await send({ phone })).body;
    expect(codeOf(await verify(first.id, first.otp_code))).toBe("not_found");
    expect(codeOf(await verify(second.id, second.otp_code))).toBe("verified");
  });

  test("is its customer's: another one has a code of its own for the phone, and can't verify this one", async () => {
    const other = await shownTo(OPENING);
    const phone = newPhone();
    const [own, others] = [(await send({ phone })).body, (await send({ phone }, { by: other })).body];
    expect(codeOf(await verify(own.id, own.otp_code, { by: other }))).toBe("not_found");
    expect(codeOf(await verify(own.id, own.otp_code))).toBe("verified");
    expect(codeOf(await verify(others.id, others.otp_code, { by: other }))).toBe("verified");
  });

  test("is in the answer only for customers with that flag", async () => {
    const plain = await makeCustomer(down.config, OPENING);
    const { body } = await send({}, { by: plain });
    expect(body).not.toHaveProperty("otp_code");
  });
});

/** As if the pause after the last code to this phone were over. */
const forgetPause = (phone: string) =>
  pool.write("UPDATE otp_counts SET last_ms = 0 WHERE prefix = ?", [phone]);

test("what is no code, template, length or ttl is refused by name, and no try is lost", async () => {
  const bad: [object, string][] = [
    [{ template: "no place" }, "template"],
    [{ template: "{code} {code}" }, "template"],
    [{ template: `{code}${"x".repeat(1_525)}` }, "template"],
    [{ template: "{code}\0" }, "template"],
    [{ length: 3 }, "length"],
    [{ length: 11 }, "length"],
    [{ ttl: 119 }, "ttl"],
    [{ ttl: 601 }, "ttl"],
    [{ type: "normal" }, "type"],
    [{ phone: "12" }, "phone"],
  ];
  for (const [fields, field] of bad) {
    const { status, body } = await ask("/v1/otp", { phone: newPhone(), ...fields });
    const named = (body.errors as { field: string }[]).map((error) => error.field);
    expect({ fields, status, named }).toEqual({ fields, status: 422, named: [field] });
  }
  const { body } = await send();
  for (const code of ["12a456", "123", "12345678901"]) {
    const refusal = await verify(body.id, code);
    const reason = code === "123" ? "must have at least 4 characters" : "must be 4 to 10 digits";
    expect(refusal).toMatchObject({ status: 422, body: { errors: [{ field: "code", reason }] } });
  }
  for (const id of ["x", "01M7YBCH59Z4D8R94AWEAQ1Q8T"])
    expect(codeOf(await verify(id, "123456"))).toBe("not_found");
  const told = await verify(body.id, wrongFor(body.otp_code));
  expect(told.body.tries_left as unknown).toBe(OTP_TRIES_MAX - 1);
});

describe("with an Idempotency-Key", () => {
  test("a repeat gets the same bytes with the code, which lies nowhere in the clear", async () => {
    const phone = newPhone();
    const body = { phone, length: 10 };
    const first = await ask("/v1/otp", body, { key: "k1" });
    const before = await balanceOf(customer);
    const again = await ask("/v1/otp", body, { key: "k1", at: 1 });
    expect([again.status, again.text]).toEqual([202, first.text]);
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(await balanceOf(customer)).toBe(before);
    expect(codeOf(await verify(first.body.id, again.body.otp_code))).toBe("verified");
    const other = await ask("/v1/otp", { ...body, length: 4 }, { key: "k1" });
    expect(codeOf(other)).toBe("idempotency_key_reused");
    await untilSent(first.body.message_id);
    await holdNowhere(first.body.otp_code);
  }, 120_000);
});

/** Asserts that no table, topic or log has the code in the clear. */
async function holdNowhere(code: string): Promise<void> {
  const tables = await pool.query<{ name: string }[]>(
    "SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()",
  );
  const found: string[] = [];
  const isIn = (value: unknown): boolean =>
    Buffer.isBuffer(value) ? value.includes(code) : typeof value === "string" && value.includes(code);
  for (const { name } of tables)
    for (const row of await pool.query(`SELECT * FROM ${name}`))
      if (Object.values(row).some(isIn)) found.push(name);
  const topics = ["sms.express", "sms.status", "wallet.ledger"];
  const records = await Promise.all(topics.map((topic) => down.readTopic(topic)));
  for (const [at, of] of records.entries())
    if (of.some(({ value }) => value.includes(code))) found.push(topics[at] as string);
  const logs = [...ingests.map((ingest) => ingest.log()), sender.log()];
  if (logs.some((log) => log.includes(code))) found.push("a log");
  const folder = join(down.config.stateFolder, "operators");
  for (const file of readdirSync(folder))
    if (readFileSync(join(folder, file), "latin1").includes(code)) found.push(`operators/${file}`);
  expect(found).toEqual([]);
}

describe("secrecy", () => {
  test("the code is sealed until its message is submitted, and gone from MySQL afterwards", async () => {
    await sender.end();
    const { body } = await send({ length: 10 });
    const waiting = await rowOf(body.message_id);
    expect(waiting.sealed_code).toMatch(/^[\w-]{40,80}$/);
    await holdNowhere(body.otp_code);
    sender = await down.start("sender-express", SECRET);
    await untilSent(body.message_id);
    expect((await rowOf(body.message_id)).sealed_code).toBeNull();
    await holdNowhere(body.otp_code);
    const headers = { "x-api-key": customer.apiKey };
    for (const path of [`/v1/messages/${body.message_id}`, "/v1/messages?limit=5"]) {
      const answer = await fetch(`${ingests[0]?.url}${path}`, { headers });
      expect(await answer.text()).not.toContain(body.otp_code);
    }
  }, 120_000);

  test("a message whose record was lost is queued again with its code", async () => {
    await sender.end();
    const { body } = await send({ length: 10 });
    const of = [body.message_id];
    await until(
      async () => (await pool.query("SELECT id FROM outbox WHERE lane = 'express'")).length === 0,
      "the relay has taken it",
    );
    const range = { from: body.message_id, to: `${body.message_id}!` };
    const { queued } = await pool.use((conn) => lookForQueued(conn, "express", range, Date.now() + 60_000));
    expect(await requeue(pool, queued, Date.now())).toEqual({ ids: of, ended: [] });
    sender = await down.start("sender-express", SECRET);
    await untilSent(body.message_id);
    expect(down.received("A").filter((line) => line.includes(body.message_id))).toHaveLength(1);
    expect((await rowOf(body.message_id)).sealed_code).toBeNull();
  }, 120_000);

  test("a sender without the secret submits nothing: the message expires and is refunded", async () => {
    await sender.end();
    sender = await down.start("sender-express", { otpSecret: "" });
    const poor = await shownTo(EXPRESS);
    ingests.push(await startIngest(down.config, { ...SECRET, ...SHORT_PROMISE }));
    const { body } = await send({}, { by: poor, at: ingests.length - 1 });
    await until(
      async () => (await rowOf(body.message_id)).status === "expired",
      "it is expired",
      40_000,
      sender.log,
    );
    expect((await rowOf(body.message_id)).sealed_code).toBeNull();
    expect(await balanceOf(poor)).toBe(EXPRESS);
    expect(down.received("A").some((line) => line.includes(body.message_id))).toBe(false);
    await sender.end();
    sender = await down.start("sender-express", SECRET);
  }, 120_000);

  test("an ingest process without the secret sends no codes, and says so", async () => {
    const ingest = await startIngest(down.config);
    const answer = await post(`${ingest.url}/v1/otp`, customer.apiKey, { phone: newPhone() });
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "60"]);
    expect(((await answer.json()) as { code: string }).code).toBe("unavailable");
    await ingest.end();
  }, 120_000);
});

describe("limits, counted over both processes", () => {
  test("a phone gets one code in 30 s and five in an hour; what is refused costs nothing", async () => {
    const phone = newPhone();
    await send({ phone });
    const before = await balanceOf(customer);
    const soon = await ask("/v1/otp", { phone }, { at: 1 });
    expect(codeOf(soon)).toBe("otp_phone_limited");
    expect(Number(soon.headers.get("retry-after"))).toBeWithin(25, 31);
    expect(await balanceOf(customer)).toBe(before);
    for (let n = 0; n < 4; n++) {
      await forgetPause(phone);
      await send({ phone }, { at: n });
    }
    await forgetPause(phone);
    const often = await ask("/v1/otp", { phone });
    expect(codeOf(often)).toBe("otp_phone_limited");
    expect(Number(often.headers.get("retry-after"))).toBeWithin(3_500, 3_601);
  });

  test("of many requests for one phone at once, one gets a code", async () => {
    const phone = newPhone();
    const told = await Promise.all(Array.from({ length: 10 }, (_, at) => ask("/v1/otp", { phone }, { at })));
    expect(told.filter(({ status }) => status === 202)).toHaveLength(1);
  });

  test("a code that can't be paid for is not counted, and leaves the one before as it is", async () => {
    const poor = await shownTo(EXPRESS);
    const phone = newPhone();
    const { body } = await send({ phone }, { by: poor });
    for (let n = 0; n < 7; n++) {
      await forgetPause(phone);
      expect(codeOf(await ask("/v1/otp", { phone }, { by: poor, at: n }))).toBe("insufficient_balance");
    }
    const rows = await pool.query<{ sent: number }[]>(
      "SELECT sent FROM otp_counts WHERE customer_id = ? ORDER BY prefix",
      [poor.customerId],
    );
    expect(rows.map(({ sent }) => sent)).toEqual([1, 1, 1, 1]);
    expect(codeOf(await verify(body.id, body.otp_code, { by: poor }))).toBe("verified");
  });

  test("a range that is gone through is suspected, and so is a network where few are verified", async () => {
    const plain = await makeCustomer(down.config, OPENING);
    const { customerId } = plain;
    const phone = newPhone();
    await send({ phone }, { by: plain });
    const set = (prefix: string, sent: number, verified: number) =>
      pool.write("UPDATE otp_counts SET sent = ?, verified = ? WHERE customer_id = ? AND prefix = ?", [
        sent,
        verified,
        customerId,
        prefix,
      ]);
    const neighbour = phone.slice(0, -1) + ((Number(phone.at(-1)) + 1) % 10);
    await set(phone.slice(0, -4), 60, 0);
    expect(codeOf(await ask("/v1/otp", { phone: neighbour }, { by: plain }))).toBe("otp_pumping_suspected");
    await send({}, { by: plain });
    await set("+98912", 100, 9);
    const unverified = await ask("/v1/otp", { phone: newPhone() }, { by: plain, at: 1 });
    expect(codeOf(unverified)).toBe("otp_pumping_suspected");
    await set("+98912", 100, 10);
    await send({}, { by: plain });
    await set("", 10_000, 0);
    expect(codeOf(await ask("/v1/otp", { phone: newPhone() }, { by: plain }))).toBe("otp_customer_limited");
  });

  test("a verified code counts for its network", async () => {
    const own = await shownTo(OPENING);
    const { body } = await send({}, { by: own });
    await verify(body.id, body.otp_code, { by: own });
    const rows = await pool.query(
      "SELECT prefix, sent, verified FROM otp_counts WHERE customer_id = ? AND verified > 0",
      [own.customerId],
    );
    expect(rows).toEqual([{ prefix: "+98912", sent: 1, verified: 1 }]);
  });
});

test("codes and counts that are long over are deleted", async () => {
  const { body } = await send();
  const of = [body.id];
  await pool.write("UPDATE otps SET expires_at = NOW(3) - INTERVAL 61 MINUTE WHERE otp_id = ?", of);
  const counts = async () => (await pool.query("SELECT 1 FROM otp_counts")).length;
  const before = await counts();
  await pool.write("UPDATE otp_counts SET from_ms = from_ms - ? LIMIT 2", [2 * OTP_WINDOW_MS + 60_000]);
  expect([await purgeOtps(pool), await purgeOtpCounts(pool)]).toEqual([1, 2]);
  expect(await pool.query("SELECT 1 FROM otps WHERE otp_id = ?", of)).toEqual([]);
  expect(await counts()).toBe(before - 2);
});
