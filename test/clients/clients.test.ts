// Well-known HTTP clients against the direct port and the edge, as listed in cases.ts: each message is
// answered with 202, stored and charged once, or refused and not stored or charged. Clients that aren't
// installed are left out, unless SLUICE_CLIENTS=all (`make clients`, which installs all of them).

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { startEdge, type TestEdge } from "../support/edge.ts";
import { post } from "../support/ingest-process.ts";
import { type Api, startApi } from "../support/refusals.ts";
import { clientCases, type Door, type Outcome, type Program, programs } from "./cases.ts";
import { CLIENTS_PAGE, clientsPage } from "./page.ts";

type Line = { client: string; case: string; statuses: number[] };

const PRICE = 500;
const PROGRAM_MAX_MS = 200_000; // because Go compiles its standard library first
let api: Api;
let edge: TestEdge;
beforeAll(async () => {
  api = await startApi();
  edge = await startEdge(Number(new URL(api.ingest.url).port));
}, 60_000);
afterAll(async () => {
  await edge.end();
  await api.stop();
}, 30_000);

const referenceOf = (door: Door, { client, case: name }: Line, n: number): string =>
  `${door}/${client}/${name}/${n}`;

async function run(program: Program, door: Door): Promise<Line[]> {
  const [file = "", ...args] = program.command(join(import.meta.dirname, "programs", program.file)) ?? [];
  if (file === "") throw new Error(`${program.file}: not installed; run scripts/clients.sh`);
  const env = {
    ...process.env,
    PYTHONDONTWRITEBYTECODE: "1",
    SLUICE_URL: door === "edge" ? edge.url : api.ingest.url,
    SLUICE_TLS_URL: door === "edge" ? edge.tlsUrl : "",
    SLUICE_CA: edge.certificate,
    SLUICE_KEY: api.customer.apiKey,
    SLUICE_PREFIX: door,
  };
  const { stdout } = await promisify(execFile)(file, args, { env, timeout: PROGRAM_MAX_MS });
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

/** How many messages are stored under each reference. */
async function storedOf(door: Door, client: string): Promise<Map<string, number>> {
  const rows = await api.db.pool.query<{ reference: string; n: number }[]>(
    "SELECT reference, COUNT(*) AS n FROM messages " +
      "WHERE customer_id = ? AND reference LIKE ? GROUP BY reference",
    [api.customer.customerId, `${door}/${client}/%`],
  );
  return new Map(rows.map(({ reference, n }) => [reference, Number(n)]));
}

async function balance(): Promise<number> {
  return (JSON.parse((await api.ask("/v1/wallet")).text) as { balance: number }).balance;
}

/** The status that a client reports. */
const REPORTED = { "no answer": 0, "too late": 400 } as const;

function holdsTo(line: Line, outcome: Outcome): void {
  const { statuses } = line;
  expect(statuses.length).toBeGreaterThan(0);
  if (outcome === "not always") {
    expect(statuses.filter((status) => status !== 202 && status !== 0)).toEqual([]);
  } else {
    const wanted = typeof outcome === "number" ? outcome : REPORTED[outcome];
    expect({ ...line, statuses }).toEqual({ ...line, statuses: statuses.map(() => wanted) });
  }
}

/**
 * What a careful client does after no answer, or none from Sluice: sends the same request with the same key,
 * on a new connection, and again while the first is still being processed.
 */
async function repeat(reference: string): Promise<void> {
  const body = { phone: "+989121234567", text: "x", type: "normal", reference };
  const send = () =>
    post(`${api.ingest.url}/v1/sms/send`, api.customer.apiKey, body, { "idempotency-key": reference });
  let answer = await send();
  for (let n = 0; answer.status === 409 && n < 100; n++) {
    await sleep(100);
    answer = await send();
  }
  expect([reference, answer.status]).toEqual([reference, 202]);
}

async function tryAll(program: Program, door: Door): Promise<void> {
  const before = await balance();
  const lines = await run(program, door);
  const wanted = clientCases.filter((each) => program.clients.includes(each.client) && each[door] !== null);
  expect(lines.map(({ client, case: name }) => `${client} ${name}`)).toEqual(
    wanted.map(({ client, name }) => `${client} ${name}`),
  );
  let charged = 0;
  for (const [at, line] of lines.entries()) {
    const outcome = wanted[at]?.[door] as Outcome;
    holdsTo(line, outcome);
    for (const [i, status] of line.statuses.entries()) {
      const reference = referenceOf(door, line, i + 1);
      const repeated = (outcome === "not always" && status === 0) || outcome === "too late";
      if (repeated) await repeat(reference);
      const count = status === 202 || repeated ? 1 : 0;
      const stored = (await storedOf(door, line.client)).get(reference) ?? 0;
      expect({ reference, stored }).toEqual({ reference, stored: count });
      charged += count * PRICE;
    }
  }
  expect(before - (await balance())).toBe(charged);
}

for (const door of ["direct", "edge"] as const) {
  describe(door, () => {
    for (const program of programs) {
      const absent = program.command("") === null && process.env.SLUICE_CLIENTS !== "all";
      test.skipIf(absent)(
        `${program.clients.join(", ")}: each message is answered, stored and charged as the table says`,
        () => tryAll(program, door),
        PROGRAM_MAX_MS + 10_000,
      );
    }
  });
}

test("docs/reference/clients.md is what `bun test/clients/page.ts` writes", () => {
  expect(readFileSync(CLIENTS_PAGE, "utf8")).toBe(clientsPage());
});
