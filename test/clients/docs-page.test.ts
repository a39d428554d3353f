// /docs in a browser: a message is sent with "Try it out". Left out where the browser isn't installed, unless
// SLUICE_CLIENTS=all (`make clients`, which installs it).

import { afterAll, beforeAll, expect, test } from "bun:test";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { createTestClickhouse, type TestClickhouse } from "../support/clickhouse.ts";
import { type Api, startApi } from "../support/refusals.ts";

const FOLDER = process.env.SLUICE_CLIENTS_BROWSER ?? "";
const PROGRAM = join(import.meta.dirname, "browser/docs-page.mjs");
const RUN_MAX_MS = 110_000;
const absent = !existsSync(FOLDER) && process.env.SLUICE_CLIENTS !== "all";
if (absent) console.log("/docs is not tried: no browser here; make clients installs one");

let clickhouse: TestClickhouse;
let api: Api;
beforeAll(async () => {
  if (absent) return;
  clickhouse = await createTestClickhouse();
  api = await startApi({ clickhouseDatabase: clickhouse.config.clickhouseDatabase });
}, 60_000);
afterAll(async () => {
  if (absent) return;
  await api.stop();
  await clickhouse.drop();
}, 30_000);

type Shown = { operations: number; status: string; body: string; asked: string[]; faults: string[] };

test.skipIf(absent)(
  "a reader enters a key, tries a send, and sees its answer; nothing but this API is asked",
  async () => {
    const args = [PROGRAM, FOLDER, api.ingest.url, api.customer.apiKey];
    const { stdout } = await promisify(execFile)("node", args, { timeout: RUN_MAX_MS });
    const shown = JSON.parse(stdout) as Shown;
    expect(shown).toMatchObject({ status: "202", asked: [api.ingest.url], faults: [] });
    expect(shown.operations).toBeGreaterThan(30);
    const { id } = JSON.parse(shown.body) as { id: string };
    const stored = await api.db.pool.query("SELECT customer_id FROM messages WHERE id=?", [id]);
    expect(stored).toEqual([{ customer_id: api.customer.customerId }]);
  },
  RUN_MAX_MS,
);
