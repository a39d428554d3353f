// POST and GET /dlr/{operator} against a real ingest process: what is stored, who is believed, and what bad
// peers get. Reading and settling what is stored: dlr.test.ts.

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { REPORT_BYTES_MAX } from "../../src/core/limits.ts";
import { type RawReport, unpackReports } from "../../src/core/raw-report.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { createTestDatabase, type TestDatabase } from "../support/database.ts";
import { type IngestProcess, startIngest } from "../support/ingest-process.ts";
import { rawHttp } from "../support/raw-http.ts";
import { until } from "../support/roles.ts";

const operator = (reports: string) => `
    kind: http
    url: http://127.0.0.1:9/submit
    price: 1
    reports: { shape: generic, ${reports} }`;
const ROUTES = `operators:
  open: ${operator("open: true")}
  secret: ${operator("secret: { env: TEST_SECRET }")}
  near: ${operator("addresses: [127.0.0.1]")}
  far: ${operator("addresses: [192.0.2.0/24]")}
  twilio: ${operator("twilio_auth_token: { env: TEST_SECRET }")}
  vonage: ${operator("vonage_signature_secret: { env: TEST_SECRET }")}
`;

let db: TestDatabase;
let pool: Pool;
let ingest: IngestProcess;
let folder: string;
let routesFile: string;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = createPool(db.config, { connections: 2, multipleStatements: true });
  folder = mkdtempSync(join(tmpdir(), "sluice-dlr-"));
  routesFile = join(folder, "routes.yaml");
  writeFileSync(routesFile, ROUTES);
  process.env.TEST_SECRET = "a-secret";
  ingest = await startIngest(db.config, { routesFile });
});
afterAll(async () => {
  delete process.env.TEST_SECRET;
  await ingest?.end("SIGKILL");
  await pool?.end();
  await db?.drop();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => pool.query("DELETE FROM inbox"));

const call = (path: string, init: RequestInit = {}) =>
  fetch(`${ingest.url}/dlr/${path}`, { method: "POST", ...init });
async function stored(): Promise<RawReport[]> {
  const rows = await pool.query<{ payload: Buffer }[]>("SELECT payload FROM inbox ORDER BY id");
  return rows.flatMap(({ payload }) => unpackReports(payload));
}
async function refused(answer: Response, status: number, code: string): Promise<void> {
  expect(answer.status).toBe(status);
  expect(answer.headers.get("x-request-id")).toMatch(/^[0-9a-f]{32}$/);
  expect(((await answer.json()) as { code: string }).code).toBe(code);
  expect(await stored()).toEqual([]);
}

test("a report is stored byte for byte before its 200, whatever its media type", async () => {
  const body = Buffer.from([0x7b, 0xff, 0x00, 0x22]);
  const answer = await call("open?a=%20b&c", { body, headers: { "content-type": "text/weird; x" } });
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({ stored: true });
  const [one] = await stored();
  expect(one).toMatchObject({
    operator: "open",
    via: "http",
    contentType: "text/weird; x",
    query: "a=%20b&c",
  });
  expect(one?.via === "http" && Buffer.from(one.body)).toEqual(body);
});

test("some operators report by GET, with everything in the query", async () => {
  expect((await call("open?id=1&status=DELIVRD", { method: "GET" })).status).toBe(200);
  expect(await stored()).toMatchObject([{ query: "id=1&status=DELIVRD" }]);
});

test("the secret is asked for, and not stored", async () => {
  await refused(await call("secret", { body: "{}" }), 403, "report_refused");
  await refused(await call("secret?token=wrong", { body: "{}" }), 403, "report_refused");
  const headers = { "x-sluice-token": "a-secret" };
  expect((await call("secret", { body: "{}", headers })).status).toBe(200);
  expect((await call("secret?token=a-secret&id=1", { body: "{}" })).status).toBe(200);
  expect(await stored()).toMatchObject([{ query: "" }, { query: "id=1" }]);
});

describe("without a Host, or with one that no URL can have", () => {
  const starts = (path: string) => [
    `POST ${path} HTTP/1.0\r\n`,
    ...["a b", "[", "h:99999", "h%00", ""].map((host) => `POST ${path} HTTP/1.1\r\nHost: ${host}\r\n`),
  ];
  const form = "content-type: application/x-www-form-urlencoded\r\n";
  const send = (start: string, headers: string, url = ingest.url) =>
    rawHttp(url, [`${start}${headers}content-length: 4\r\n\r\nid=1`]);

  test("what is admitted is stored, and what isn't is refused", async () => {
    const hmac = createHmac("sha256", "a-secret").update("&a=b&id=1").digest("hex");
    const paths = [
      "/dlr/secret?token=a-secret&a=b",
      "/mo/secret?token=a-secret&a=b",
      `/dlr/vonage?a=b&sig=${hmac}`,
    ];
    for (const start of paths.flatMap(starts))
      expect([start, (await send(start, form)).status]).toEqual([start, 200]);
    const all = await stored();
    expect(all).toHaveLength(3 * starts("").length);
    for (const one of all) expect("query" in one && one.query).toStartWith("a=b");
    await pool.query("DELETE FROM inbox");
    const bad = ["/dlr/secret?token=wrong", "/mo/secret", "/dlr/vonage?sig=x", "/dlr/twilio?bodySHA256=x"];
    for (const start of bad.flatMap(starts)) {
      const { status, body } = await send(start, `${form}x-twilio-signature: x\r\n`);
      expect([start, status, (JSON.parse(body) as { code: string }).code]).toEqual([
        start,
        403,
        "report_refused",
      ]);
    }
    expect(await stored()).toEqual([]);
  });

  test("a signature covers the public URL", async () => {
    const publicUrl = "https://sms.example/";
    const behind = await startIngest(db.config, { routesFile, publicUrl });
    try {
      const path = "/dlr/twilio?a=%20b";
      const signature = createHmac("sha1", "a-secret")
        .update(`https://sms.example${path}id1`)
        .digest("base64");
      for (const start of starts(path)) {
        const answer = await send(start, `${form}x-twilio-signature: ${signature}\r\n`, behind.url);
        expect([start, answer.status]).toEqual([start, 200]);
      }
      expect((await stored())[0]).toMatchObject({ query: "a=%20b" });
    } finally {
      await behind.end();
    }
  });
});

test("an operator's addresses are asked for", async () => {
  expect((await call("near", { body: "{}" })).status).toBe(200);
  await pool.query("DELETE FROM inbox");
  // A header says nothing about where a request comes from.
  const headers = { "x-real-ip": "192.0.2.1", "x-forwarded-for": "192.0.2.1" };
  await refused(await call("far", { body: "{}", headers }), 403, "report_refused");
  await until(() => ingest.log().includes("the address 127.0.0.1 is not listed"), "it is logged");
});

test("an unknown operator and another method are refused", async () => {
  await refused(await call("nobody", { body: "{}" }), 404, "not_found");
  await refused(await call("open", { method: "DELETE" }), 405, "method_not_allowed");
});

test("a body of up to 1 MiB is taken, with a length or in chunks; more is not, nor a compressed one", async () => {
  const chunked = (size: number) =>
    new ReadableStream({
      start(controller) {
        for (let left = size; left > 0; left -= 65_536)
          controller.enqueue(new Uint8Array(Math.min(left, 65_536)));
        controller.close();
      },
    });
  expect((await call("open", { body: new Uint8Array(REPORT_BYTES_MAX) })).status).toBe(200);
  expect((await call("open", { body: chunked(REPORT_BYTES_MAX) })).status).toBe(200);
  expect((await stored()).map((one) => one.via === "http" && one.body.length)).toEqual([
    REPORT_BYTES_MAX,
    REPORT_BYTES_MAX,
  ]);
  await pool.query("DELETE FROM inbox");
  await refused(await call("open", { body: new Uint8Array(REPORT_BYTES_MAX + 1) }), 413, "payload_too_large");
  await refused(await call("open", { body: chunked(REPORT_BYTES_MAX + 1) }), 413, "payload_too_large");
  const headers = { "content-encoding": "gzip" };
  await refused(await call("open", { body: gzipSync("{}"), headers }), 415, "unsupported_media_type");
});

test("10,000 reports in one body, and 500 at once, are all stored", async () => {
  const reports = Array.from({ length: 10_000 }, (_, i) => ({ id: `${i}`, status: "DELIVRD" }));
  expect((await call("open", { body: JSON.stringify(reports) })).status).toBe(200);
  const many = Array.from({ length: 500 }, (_, i) => call(`open?n=${i}`, { body: "{}" }));
  expect((await Promise.all(many)).every(({ status }) => status === 200)).toBe(true);
  expect(await stored()).toHaveLength(501);
});

test("SIGHUP reads the routes file again; a bad one is refused, and the operators stay", async () => {
  writeFileSync(routesFile, `${ROUTES}  late: ${operator("open: true")}\n`);
  process.kill(ingest.pid, "SIGHUP");
  await until(async () => (await call("late", { body: "{}" })).status === 200, "the new operator is known");
  writeFileSync(routesFile, "operators: {}\n");
  process.kill(ingest.pid, "SIGHUP");
  await until(() => Promise.resolve(ingest.log().includes("the routes file is refused")), "it is refused");
  expect((await call("late", { body: "{}" })).status).toBe(200);
});
