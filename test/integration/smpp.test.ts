// An operator by SMPP, with real processes and engines, from the accepted message to its delivery report:
// messages of one part and of several, a link that is cut again and again. What the operator took is compared
// with what the gateway says and charged.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { countParts } from "../../src/core/parts.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import { type Profile, PROFILES } from "../../src/stack/operator-behaviour.ts";
import { SMPP_PASSWORD, startSmppOperator } from "../../src/stack/operator-smpp.ts";
import { acceptMessages, insertCustomer, laneRecord } from "../support/messages.ts";
import { createDownstream, type Downstream, type Role, until } from "../support/roles.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-smpp-"));
const BALANCE = 1_000_000_000;
const PRICE = 7;

let down: Downstream;
let operator: Awaited<ReturnType<typeof startSmppOperator>>;
let profile: Profile = PROFILES.fast;
let sender: Role;
let customerId: number;

beforeAll(async () => {
  down = await createDownstream();
  customerId = await insertCustomer(down.pool, BALANCE);
  operator = await startSmppOperator({
    name: "north",
    host: "127.0.0.1",
    port: 0,
    folder,
    profile: () => profile,
  });
  writeFileSync(join(folder, "password"), `${SMPP_PASSWORD}\n`);
  const routesFile = join(folder, "routes.yaml");
  writeFileSync(
    routesFile,
    `operators:
  north:
    kind: smpp
    host: 127.0.0.1
    port: ${operator.port}
    system_id: us
    password: { file: password }
    binds: 2
    bind_window: 20
    window: 40
    price: 1
`,
  );
  [sender] = await Promise.all([
    down.start("sender-normal", { routesFile }),
    down.start("dlr", { routesFile }),
    down.start("relay"),
  ]);
}, 120_000);
afterAll(async () => {
  await down.end();
  await operator.stop();
  rmSync(folder, { recursive: true });
});

let phones = 0;
const messageOf = (text: string): LaneRecord => {
  const { encoding, parts } = countParts(text);
  const phone = `+98912${String(++phones).padStart(7, "0")}`;
  return laneRecord(customerId, { text, phone, encoding, parts, cost: parts * PRICE });
};

type Row = { id: string; phone: string; parts: number; status: string; operator_message_id: string | null };
async function untilSettled(records: readonly LaneRecord[], mostMs: number): Promise<Row[]> {
  let rows: Row[] = [];
  const ids = records.map(({ id }) => `'${id}'`);
  await until(
    async () => {
      rows = await down.pool.query<Row[]>(
        `SELECT id, phone, parts, status, operator_message_id FROM messages WHERE id IN (${ids})`,
      );
      return rows.every(({ status }) => status === "delivered" || status === "unknown");
    },
    "all are delivered or unknown",
    mostMs,
    sender.log,
  );
  return rows;
}

/** The operator's ids, by phone, in the order of parts. */
function taken(): Map<string, string[]> {
  const byPhone = new Map<string, string[]>();
  for (const line of readFileSync(join(folder, "north.smpp.log"), "latin1").split("\n").slice(0, -1)) {
    const [id = "", phone = "", part = ""] = line.split(" ");
    const ids = byPhone.get(phone) ?? [];
    const at = Number(part.split("/")[0]) - 1;
    if (ids[at] !== undefined) throw new Error(`${phone} got part ${part} twice`);
    ids[at] = id;
    byPhone.set(phone, ids);
  }
  return byPhone;
}

/** Captured for these messages. */
async function captured(records: readonly LaneRecord[]): Promise<number> {
  const ids = records.map(({ id }) => `'${id}'`);
  const [row] = await down.pool.query<{ sum: string | null }[]>(
    `SELECT SUM(amount) AS sum FROM wallet_ledger WHERE leg='close' AND op='capture' ` +
      `AND entry_id IN (${ids})`,
  );
  return Number(row?.sum ?? 0);
}

const TEXTS = ["hello", "سلام دنیا", "a".repeat(320), "سلام ".repeat(40), `@_$€${"{".repeat(100)}`];

test("messages of one part and of several are taken once, part by part, charged, and reported delivered", async () => {
  const records = Array.from({ length: 250 }, (_, i) => messageOf(TEXTS[i % TEXTS.length] as string));
  await acceptMessages(down.pool, records);
  const rows = await untilSettled(records, 60_000);
  const ids = taken();
  for (const { phone, parts, status, operator_message_id } of rows) {
    const own = ids.get(phone) ?? [];
    expect([status, own.length, operator_message_id]).toEqual(["delivered", parts, own[0] as string]);
  }
  expect(await captured(records)).toBe(records.reduce((sum, { cost }) => sum + cost, 0));
}, 120_000);

test("a link that is cut again and again in the middle of a window: nothing is sent twice, nothing stays behind", async () => {
  profile = { ...PROFILES.drops, drops: 0.005 };
  const records = Array.from({ length: 2_000 }, (_, i) => messageOf(TEXTS[i % TEXTS.length] as string));
  for (let at = 0; at < records.length; at += 200)
    await acceptMessages(down.pool, records.slice(at, at + 200));
  const rows = await untilSettled(records, 120_000);
  profile = PROFILES.fast;
  const ids = taken(); // throws for a part that came twice
  const delivered = rows.filter(({ status }) => status === "delivered");
  for (const { phone, parts } of delivered) expect(ids.get(phone)).toHaveLength(parts);
  // Only those whose answer was lost stay unknown and reserved: no id of theirs is known, so no report is.
  // How many are lost is chance: there are some 20 cuts, each in a window of 40.
  const lost = rows.length - delivered.length;
  expect(lost).toBeGreaterThan(0);
  expect(lost).toBeLessThan(rows.length / 2);
  const isDelivered = new Set(delivered.map(({ id }) => id));
  const cost = records.filter(({ id }) => isDelivered.has(id)).reduce((sum, record) => sum + record.cost, 0);
  expect(await captured(records)).toBe(cost);
  await until(() => sender.log().includes("next bind in"), "it is logged");
}, 180_000);
