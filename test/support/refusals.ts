// One ingest process, one customer with a full wallet, and helpers that send it invalid requests and check
// every answer against the contract for errors. At the end `untouched` asserts that nothing of them was
// stored, charged or logged.

import { expect } from "bun:test";
import { ERRORS, type ErrorCode } from "../../src/core/errors.ts";
import type { Config } from "../../src/platform/config.ts";
import { createTestDatabase, type TestDatabase } from "./database.ts";
import { type IngestProcess, makeCustomer, startIngest, type TestCustomer } from "./ingest-process.ts";
import { holdDeclared } from "./declared.ts";
import type { RawAnswer } from "./raw-http.ts";

export type Answer = {
  status: number;
  headers: { get(name: string): string | null | undefined };
  text: string;
};
export type Problem = Record<string, unknown> & { errors?: { field: string; reason: string }[] };

export type Api = {
  db: TestDatabase;
  ingest: IngestProcess;
  customer: TestCustomer;
  ask(path: string, init?: RequestInit, apiKey?: string | null): Promise<Answer>;
  send(body: unknown, headers?: Record<string, string>, apiKey?: string | null): Promise<Answer>;
  topup(body: unknown, apiKey?: string, headers?: Record<string, string>): Promise<Answer>;
  /**
   * Asserts that nothing was stored or charged for the customer, and that no text, phone or key is in the
   * log.
   */
  untouched(): Promise<void>;
  stop(): Promise<void>;
};

export const OPENING = 1_000_000;
/** The text of every message here; it must appear neither in answers nor in logs. */
const SECRET = "never-in-a-log";
export const message = { phone: "09121234567", text: SECRET, type: "normal" };

export async function startApi(overrides: Partial<Config> = {}): Promise<Api> {
  const db = await createTestDatabase();
  const ingest = await startIngest(db.config, overrides);
  const customer = await makeCustomer(db.config, OPENING);
  const ask: Api["ask"] = async (path, init = {}, apiKey = customer.apiKey) => {
    const given = init.headers as Record<string, string> | undefined;
    const headers: Record<string, string> = { "content-type": "application/json", ...given };
    if (apiKey !== null) headers["x-api-key"] = apiKey;
    const answer = await fetch(`${ingest.url}${path}`, { ...init, headers });
    const { status } = answer;
    const text = await answer.text();
    const type = answer.headers.get("content-type");
    holdDeclared(init.method ?? "GET", new URL(answer.url).pathname, { status, type, text });
    return { status, headers: answer.headers, text };
  };
  const post = (path: string, body: unknown, headers: Record<string, string>, apiKey?: string | null) =>
    ask(
      path,
      { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body), headers },
      apiKey,
    );
  return {
    db,
    ingest,
    customer,
    ask,
    send: (body, headers = {}, apiKey) => post("/v1/sms/send", body, headers, apiKey),
    topup: (body, apiKey, headers = {}) => post("/v1/wallet/topup", body, headers, apiKey),
    untouched: () => untouched(db, ingest, customer),
    async stop() {
      expect(await ingest.end()).toBe(0);
      await db.drop();
    },
  };
}

/** Checks an answer against the contract for errors, and returns its body. */
export function refused(answer: Answer, code: ErrorCode): Problem {
  const body = JSON.parse(answer.text || "{}") as Problem;
  const { status, title } = ERRORS[code];
  expect({ status: answer.status, code: body.code }).toEqual({ status, code });
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  expect(body).toMatchObject({ type: `urn:sluice:error:${code}`, title, status, error: code });
  expect(typeof body.detail).toBe("string");
  expect(body.request_id).toBe(answer.headers.get("x-request-id") as string);
  expect(body.request_id).toMatch(/^[0-9a-f]{32}$/);
  expect(answer.text).not.toContain(SECRET);
  expect(answer.text).not.toMatch(/\bat \/|node_modules|SELECT|INSERT|\.ts:/);
  return body;
}

/** The names of the refused fields, sorted. */
export function fieldsOf(problem: Problem): string[] {
  return (problem.errors ?? []).map(({ field }) => field).sort();
}

export function fromRaw({ status, headers, body }: RawAnswer): Answer {
  return { status, headers, text: body };
}

async function untouched(db: TestDatabase, ingest: IngestProcess, customer: TestCustomer): Promise<void> {
  const of = [customer.customerId];
  expect(await db.pool.query("SELECT id FROM messages WHERE customer_id=?", of)).toEqual([]);
  const [wallet] = await db.pool.query<{ balance: number; reserved: number }[]>(
    "SELECT balance, reserved FROM wallet_accounts WHERE customer_id=?",
    of,
  );
  expect((wallet?.balance ?? 0) + (wallet?.reserved ?? 0)).toBe(OPENING);
  const entries = await db.pool.query(
    "SELECT op FROM wallet_ledger WHERE customer_id=? AND op NOT IN ('topup','grant','release')",
    of,
  );
  expect(entries).toEqual([]);
  const log = ingest.log();
  for (const secret of [SECRET, "9121234567", customer.apiKey]) expect(log).not.toContain(secret);
  expect(log).not.toContain("request failed");
}
