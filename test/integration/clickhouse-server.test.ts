// ClickHouse's HTTP interface in front of chDB, as @clickhouse/client uses it: each test talks plain HTTP to
// the real process. Needs no other engine.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { projectRoot } from "../../src/stack/tools.ts";
import { freePort } from "../support/ports.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-clickhouse-"));
const port = await freePort();
const api = `http://127.0.0.1:${port}/`;
let server: ReturnType<typeof start>;

beforeAll(async () => {
  server = start();
  await answering();
});
afterAll(async () => {
  server.kill("SIGKILL");
  await server.exited;
  rmSync(folder, { recursive: true, force: true });
});

function start() {
  const env = { ...process.env, SLUICE_STATE: folder, SLUICE_CLICKHOUSE_PORT: String(port) };
  const command = [process.execPath, join(projectRoot, "src/main/clickhouse-server.ts")];
  return Bun.spawn(command, { env, stdin: "ignore", stdout: "ignore", stderr: "ignore" });
}

async function answering(): Promise<void> {
  for (let tries = 0; tries < 1_200; tries++) {
    if (
      await fetch(`${api}ping`)
        .then((r) => r.ok)
        .catch(() => false)
    )
      return;
    await Bun.sleep(50);
  }
  throw new Error("it doesn't answer");
}

type Given = Record<string, string>;
async function ask(sql: string, search: Given = {}, init: RequestInit = {}) {
  const address = `${api}?${new URLSearchParams({ default_format: "JSONEachRow", ...search }).toString()}`;
  const response = await fetch(address, { method: "POST", body: sql, ...init });
  return { status: response.status, headers: response.headers, text: await response.text() };
}
const rows = async (sql: string, search?: Given): Promise<unknown[]> => {
  const { status, text } = await ask(sql, search);
  if (status !== 200) throw new Error(text);
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);
};

test("parameters arrive as their types: text with every awkward character, arrays, null", async () => {
  const search = { param_s: "a\\tb\\\\c'd\\n", param_a: "['x\\'y','z']", param_n: "\\N", param_i: "7" };
  const sql = "SELECT {s:String} AS s, {a:Array(String)} AS a, {n:Nullable(String)} AS n, {i:UInt32} AS i";
  expect(await rows(sql, search)).toEqual([{ s: "a\tb\\c'd\n", a: ["x'y", "z"], n: null, i: 7 }]);
});

test("settings, database and parameters of one request don't affect others", async () => {
  await rows("CREATE DATABASE IF NOT EXISTS one");
  const asked = "SELECT getSetting('max_threads') AS threads, currentDatabase() AS name";
  expect(await rows(asked, { max_threads: "3", database: "one" })).toEqual([{ threads: 3, name: "one" }]);
  expect(await rows(asked)).not.toEqual([{ threads: 3, name: "one" }]);
  await rows("SELECT {x:UInt8}", { param_x: "1" });
  expect((await ask("SELECT {x:UInt8}")).text).toContain("Code: 456"); // UNKNOWN_QUERY_PARAMETER
});

test("120 requests at once each get their own answer", async () => {
  const answers = await Promise.all(
    Array.from({ length: 120 }, (_, i) => rows("SELECT {i:UInt32} AS i", { param_i: String(i) })),
  );
  expect(answers).toEqual(Array.from({ length: 120 }, (_, i) => [{ i }]));
});

test("more requests than may wait are refused with ClickHouse's own code, and the rest are answered", async () => {
  const answers = await Promise.all(Array.from({ length: 250 }, () => ask("SELECT sleep(0.02)")));
  const refused = answers.filter(({ status }) => status === 503);
  expect(refused.length).toBeGreaterThan(0);
  for (const { headers } of refused) expect(headers.get("x-clickhouse-exception-code")).toBe("202");
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(250 - refused.length);
});

test("an error gives its code in the text and in the header", async () => {
  const { status, headers, text } = await ask("SELECT * FROM nowhere");
  expect(status).toBe(500);
  expect(text).toStartWith("Code: 60. DB::Exception: ");
  expect(text).toContain("(UNKNOWN_TABLE)");
  expect(headers.get("x-clickhouse-exception-code")).toBe("60");
});

test("rows are inserted from the body, even compressed, and survive a kill -9", async () => {
  await rows("CREATE TABLE kept (id UInt64) ENGINE = MergeTree ORDER BY id");
  const body = Array.from({ length: 1_000 }, (_, id) => JSON.stringify({ id })).join("\n");
  const query = "INSERT INTO kept FORMAT JSONEachRow";
  expect((await ask(body, { query })).status).toBe(200);
  const headers = { "content-encoding": "gzip" };
  expect((await ask("", { query }, { body: gzipSync(body), headers })).status).toBe(200);
  server.kill("SIGKILL");
  await server.exited;
  server = start();
  await answering();
  expect(await rows("SELECT count() AS n, uniqExact(id) AS ids FROM kept")).toEqual([
    { n: 2_000, ids: 1_000 },
  ]);
});

test("SIGTERM ends it with exit code 0", async () => {
  server.kill("SIGTERM");
  expect(await server.exited).toBe(0);
});
