// The baseline of bench/ingest: the same request, served the plain way. One transaction per request on a pool
// of 64 connections: lock the wallet, check, move the money, write message, entry and outbox rows, commit,
// answer. Correct, durable, and slow.

import { insufficientBalance, SluiceError } from "../src/core/errors.ts";
import { createIdFactory } from "../src/core/id.ts";
import { countParts } from "../src/core/parts.ts";
import { parsePhone } from "../src/core/phone.ts";
import { packLaneRow } from "../src/core/lane-record.ts";
import { createKeyCache } from "../src/customers/key-cache.ts";
import { parseJson } from "../src/core/json.ts";
import { readBody, respond, respondProblem } from "../src/api/http.ts";
import { checkerOf } from "../src/api/body-check.ts";
import { SendBody } from "../src/api/routes/send.ts";
import { entryOf } from "../src/core/ledger.ts";
import { entriesSql, eventsSql } from "../src/ledger/posting.ts";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { newTraceparent, traceIdOf } from "../src/platform/trace.ts";

const config = loadConfig(process.env);
const pool = createPool(config, { connections: 64, queueMax: 10_000 });
const pools = { polls: pool, loads: () => pool };
const keys = createKeyCache(pools, { monotonicMs: () => performance.now(), now: Date.now });
const id = createIdFactory({ now: Date.now });
const check = checkerOf(SendBody);

async function send(request: Request, traceparent: string): Promise<Record<string, unknown>> {
  const key = request.headers.get("x-api-key") ?? "";
  const owner = keys.get(key) ?? (await keys.load(key));
  if (owner === null) throw new SluiceError("api_key_invalid");
  const { text = "", ...body } = check(parseJson(await readBody(request)));
  const phone = parsePhone(body.phone, owner.region);
  if (!("e164" in phone)) throw new SluiceError("validation_failed");
  const { encoding, parts } = countParts(text);
  const { customerId } = owner;
  const cost = parts * owner.priceNormal;
  const messageId = id();
  const nowMs = Date.now();
  const record = {
    id: messageId,
    customerId,
    phone: phone.e164,
    text,
    from: null,
    reference: null,
    lane: "normal" as const,
    encoding,
    parts,
    cost,
    createdAtMs: nowMs,
    attempt: 0,
    guaranteedByMs: null,
    validUntilMs: null,
    traceparent,
  };
  const balance = await pool.transaction(async (conn) => {
    const [wallet] = await conn.query<{ balance: number }[]>(
      "SELECT balance FROM wallet_accounts WHERE customer_id=? FOR UPDATE",
      [customerId],
    );
    if (wallet === undefined || wallet.balance < cost) throw insufficientBalance(cost, wallet?.balance ?? 0);
    await conn.write(
      "UPDATE wallet_accounts SET balance=balance-?, reserved=reserved+? WHERE customer_id=?",
      [cost, cost, customerId],
    );
    await conn.write(
      "INSERT INTO messages " +
        "(id,customer_id,lane,status,phone,text,encoding,parts,cost,created_at,updated_at) " +
        "VALUES (?,?,'normal','queued',?,?,?,?,?,NOW(3),NOW(3))",
      [messageId, customerId, phone.e164, text, encoding, parts, cost],
    );
    // From wallet to message at once: posted as a grant and a reserve.
    const entries = [
      entryOf(id(), "grant", customerId, cost, nowMs),
      entryOf(messageId, "reserve", customerId, cost, nowMs),
    ];
    await conn.write(entriesSql(entries));
    await conn.write("INSERT INTO outbox (lane,payload) VALUES ('normal',?)", [packLaneRow([record])]);
    await conn.write(
      eventsSql(
        [
          {
            ...record,
            status: "queued",
            operator: null,
            operatorMessageId: null,
            sequence: 1,
            updatedAtMs: nowMs,
          },
        ],
        entries,
      ),
    );
    return wallet.balance - cost;
  });
  return {
    enqueued: true,
    id: messageId,
    customer_id: String(customerId),
    type: "normal",
    encoding,
    parts,
    cost,
    balance_after: balance,
  };
}

Bun.serve({
  hostname: "127.0.0.1",
  port: config.apiPort,
  routes: {
    "/v1/sms/send": {
      POST: async (request) => {
        const traceparent = newTraceparent();
        try {
          return respond({ status: 202, body: await send(request, traceparent) }, traceIdOf(traceparent));
        } catch (error) {
          return respondProblem(error, traceIdOf(traceparent));
        }
      },
    },
    "/health": () => new Response("ok"),
  },
});
