// Operators and routes over the admin API, with a real ingest process that has the file: what it shows and
// checks, what it refuses to put in the file's place, and that who was told really uses it.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Compile } from "typebox/compile";
import { declaredAdminRoutes } from "../../src/api/admin/table.ts";
import { errorsOf } from "../../src/api/route.ts";
import { makeToken } from "../../src/control/admin-tokens.ts";
import { replaceRoutes } from "../../src/control/routes.ts";
import { type ErrorCode, SluiceError } from "../../src/core/errors.ts";
import { createIdFactory } from "../../src/core/id.ts";
import { sleep } from "../../src/platform/retry.ts";
import { type ProcessRecord, startProcess, stopProcess } from "../../src/stack/process.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { createTestEngines, type TestEngines } from "../support/engines.ts";
import { envOf } from "../support/ingest-process.ts";
import { freePorts } from "../support/ports.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-admin-routes-"));
const file = join(folder, "routes.yaml");
const stateFolder = join(folder, "state");
const operator = (name: string, more = "") =>
  `  ${name}: { kind: http, url: "http://127.0.0.1:9/${name}", price: 100${more} }\n`;
const FIRST = `# the first\noperators:\n${operator("A")}${operator("B")}`;
const SECRET = "hunter2-hunter2";

let engines: TestEngines;
let admin: ChildProcess;
let ingest: ProcessRecord;
let url = "";
const tokens = { writer: "", reader: "" };

beforeAll(async () => {
  engines = await createTestEngines();
  writeFileSync(file, FIRST);
  chmodSync(file, 0o640);
  const port = await freePorts(4);
  const config = { ...engines.config, routesFile: file, stateFolder, adminPort: port, apiPort: port + 2 };
  const main = (name: string) => join(projectRoot, "src/main", name);
  admin = spawn("bun", [main("admin.ts")], {
    env: { ...process.env, ...envOf({ ...config, healthPort: port + 1 }), NORTH: SECRET },
    stdio: "ignore",
  });
  // As the launcher starts and records it, but without the secret that the admin process has.
  const spec = { role: "ingest", name: "ingest-1", port: port + 2, healthPort: port + 3, cwd: projectRoot };
  const env = { ...process.env, ...envOf({ ...config, healthPort: spec.healthPort }) };
  const logFile = join(folder, "ingest.log");
  ingest = startProcess(
    { ...spec, command: ["bun", main("ingest.ts")], env, logFile, nice: 0, stopMaxMs: 5_000 },
    stateFolder,
    null,
  );
  url = `http://127.0.0.1:${port}`;
  const by = { pool: engines.pool, actor: { via: "cli", who: "tester", origin: "here" }, id } as const;
  tokens.writer = (await makeToken(by, { name: "sara", scope: "write" })).token;
  tokens.reader = (await makeToken(by, { name: "reza", scope: "read" })).token;
  await Promise.all([`${url}/health`, `http://127.0.0.1:${spec.healthPort}/ready`].map(untilOk));
}, 120_000);
afterAll(async () => {
  await stopProcess(ingest, stateFolder);
  admin.kill("SIGTERM");
  await new Promise((resolve) => admin.once("exit", resolve));
  await engines.drop();
  rmSync(folder, { recursive: true });
});
const id = createIdFactory({ now: Date.now });

async function untilOk(at: string): Promise<void> {
  for (let n = 0; n < 2_400 && !(await fetch(at).catch(() => null))?.ok; n++) await sleep(25);
}

type Answer = { status: number; body: Record<string, unknown> };
const routes = declaredAdminRoutes();
type Sent = { token?: string; text?: string; version?: string | null };

/** Sends a request and compares its answer with what its route declares. */
async function call(method: string, path: string, sent: Sent = {}): Promise<Answer> {
  const { token = tokens.writer, text, version = null } = sent;
  const answer = await fetch(`${url}/admin/v1/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(text === undefined ? {} : { "content-type": "application/json" }),
      ...(version === null ? {} : { "if-match": `"${version}"` }),
    },
    ...(text === undefined ? {} : { body: JSON.stringify({ text }) }),
  });
  const body = (await answer.json()) as Record<string, unknown>;
  const bare = `/admin/v1/${path.split("?", 1)[0]}`;
  const route = routes.find((each) => each.method === method && each.path === bare);
  if (route === undefined) throw new Error(`no route ${method} ${bare}`);
  if (answer.status >= 400) expect(errorsOf(route)).toContain(body.code as ErrorCode);
  else expect([...Compile(route.answers[answer.status] ?? {}).Errors(body)]).toEqual([]);
  return { status: answer.status, body };
}
const put = (text: string, version: string | null = hashOf(now())) =>
  call("PUT", "routes", { text, version });
const hashOf = (text: string) => createHash("sha256").update(text).digest("hex");
const now = () => readFileSync(file, "utf8");
type Entry = { who: string; subject: string; old: object; new: object };
const audit = async () =>
  (await call("GET", "audit?action=routes.change", { token: tokens.reader })).body.entries as Entry[];

const BAD: Record<string, [text: string, fault: [field: string, reason: string]]> = {
  "an unknown kind": [
    "operators:\n  A: { kind: telex }\n",
    ["text:2:14", "operators.A.kind: must be one of http, smpp, twilio, kavenegar, sns"],
  ],
  "a circle of fallbacks": [
    `operators:\n${operator("A")}routes:\n  r: { prefixes: ["+98"], operators: [A], fallback: s }\n` +
      "  s: { operators: [A], fallback: r }\n",
    ["text:4:53", "routes.r.fallback: the fallbacks go in a circle, r → s → r: remove one of them"],
  ],
  "splits of one prefix": [
    `operators:\n${operator("A")}${operator("B")}routes:\n` +
      '  r: { prefixes: ["+98"], split: { A: 80, B: 20 } }\n' +
      '  s: { prefixes: ["+98"], lanes: [normal], split: { A: 50, B: 50 } }\n',
    [
      "text:6:19",
      "routes.s.prefixes[0]: +98 in the lane normal is the route r's already (line 5): " +
        "remove it from one of them",
    ],
  ],
  "a secret that isn't there": [
    `operators:\n${operator("A", ", authorization: { env: NOBODY_HAS_IT }")}`,
    [
      "text:2:76",
      "operators.A.authorization: the environment has no NOBODY_HAS_IT: " +
        "set it for every process that reads this file",
    ],
  ],
  "no text": ["", ["text:1:1", "the file is empty: it needs `operators:`"]],
  "more than a file may have": [
    "#".repeat(256 * 1024 - 1) + "€",
    ["text:1:1", "the file has 262146 bytes; at most 262144 are read"],
  ],
};

test("the file is shown as a list, and as text to writers only; a number is explained", async () => {
  const shown = await call("GET", "routes");
  expect(shown.body).toMatchObject({ text: FIRST, version: hashOf(FIRST), faults: [], routes: [] });
  // Whoever wrote it may have put a secret into a header.
  expect(await call("GET", "routes", { token: tokens.reader })).toEqual({
    status: 200,
    body: { ...shown.body, text: null },
  });
  expect((shown.body.operators as { name: string }[]).map(({ name }) => name)).toEqual(["A", "B"]);
  const explained = await call("GET", "routes/explain?phone=09121234567&type=express", {
    token: tokens.reader,
  });
  expect(explained.body).toEqual({
    phone: "+989121234567",
    lanes: [
      {
        lane: "express",
        prefix: "+",
        route: null,
        operators: ["A", "B"].map((name) => ({
          operator: name,
          tier: 1,
          share: 0.5,
          why: "priority 0, price 100, weight 1 of 2",
        })),
      },
    ],
    faults: [],
  });
  for (const query of ["", "?phone=12", "?phone=09121234567&type=slow", "?phone=09121234567&lane=express"])
    expect((await call("GET", `routes/explain${query}`)).status).toBe(422);
});

test("a check names faults and changes, and a bad text is never put in place", async () => {
  for (const [, [text, [field, reason]]] of Object.entries(BAD)) {
    const checked = await call("POST", "routes/check", { text });
    expect([checked.status, checked.body.faults]).toMatchObject([200, [`${field} ${reason}`]]);
    const refused = await put(text);
    expect([refused.status, refused.body.code]).toEqual([422, "validation_failed"]);
    expect((refused.body.errors as object[])[0]).toEqual({ field, reason });
  }
  const text = FIRST.replace("price: 100", "price: 90");
  expect((await call("POST", "routes/check", { text })).body).toMatchObject({
    version: hashOf(text),
    faults: [],
    changes: ["operator A: price 100 → 90"],
  });
  expect((await put("#".repeat(1_048_576))).body.code).toBe("payload_too_large");
  expect((await put("operators: \ud800")).status).toBe(422);
  expect((await put(text, null)).body.errors).toEqual([{ field: "If-Match", reason: "is required" }]);
  const late = await put(text, hashOf("another"));
  expect([late.status, late.body.code, late.body.detail]).toEqual([
    412,
    "version_conflict",
    `The routes file's version is ${hashOf(FIRST)} now. Nothing was changed.`,
  ]);
  for (const [method, path] of [
    ["PUT", "routes"],
    ["POST", "routes/check"],
  ] as const) {
    const version = hashOf(FIRST);
    expect((await call(method, path, { token: tokens.reader, text, version })).status).toBe(403);
  }
  expect(now()).toBe(FIRST);
  expect(readdirSync(folder).filter((name) => name.startsWith("routes"))).toEqual(["routes.yaml"]);
  expect(await audit()).toEqual([]);
});

test("of changes at once that mean one version one is made; the process uses it, and a repeat changes nothing", async () => {
  const texts = Array.from({ length: 8 }, (_, n) => FIRST.replace("price: 100", `price: ${n + 1}`));
  const version = hashOf(FIRST);
  const answers = await Promise.all(texts.map((text) => put(text, version)));
  expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, ...Array(7).fill(412)]);
  const at = answers.findIndex(({ status }) => status === 200);
  const made = answers[at]?.body ?? {};
  const is = hashOf(texts[at] as string);
  const changes = [`operator A: price 100 → ${at + 1}`];
  const processes = [{ name: "ingest-1", pid: ingest.pid, result: "uses" }];
  expect(made).toEqual({ version: is, replaced: version, changes, processes });
  expect(now()).toBe(texts[at] as string);
  expect(statSync(file).mode & 0o7777).toBe(0o640);

  const again = await put(texts[at] as string, version);
  expect(again.body).toEqual({ version: is, replaced: is, changes: [], processes });
  expect(await audit()).toMatchObject([
    { who: "sara", subject: file, old: { version }, new: { version: is, changes } },
  ]);
});

test("a process that lacks a secret of the file refuses it, and the answer says so; no secret is told", async () => {
  const text = `operators:\n${operator("A", ", authorization: { env: NORTH }")}${operator("B")}`;
  const made = await put(text);
  expect(made.body.processes).toEqual([{ name: "ingest-1", pid: ingest.pid, result: "refused" }]);
  expect((made.body.changes as string[])[0]).toEndWith("authorization changed");
  const told = [made.body, (await call("GET", "routes")).body, await audit()];
  expect(JSON.stringify(told)).toContain("NORTH");
  expect(JSON.stringify(told)).not.toContain(SECRET);
  // A file that was made bad by hand is shown with its faults, and can be replaced.
  writeFileSync(file, "operators: [\n");
  const shown = (await call("GET", "routes")).body;
  expect(shown).toMatchObject({ text: "operators: [\n", operators: [] });
  expect(shown.faults).not.toEqual([]);
  expect((await call("GET", "routes/explain?phone=09121234567")).body.faults).toEqual(shown.faults);
  const mended = await put(FIRST, String(shown.version));
  expect(mended.body).toMatchObject({
    changes: ["the file of before had faults"],
    processes: [{ result: "uses" }],
  });
});

test("the row comes before the change: without it nothing is done, and of what the system refuses two rows tell", async () => {
  const done: string[] = [];
  const replacement = (place: () => void) => ({
    path: "/x/routes.yaml",
    version: "b",
    expected: "a",
    current: () => ({ version: "a", changes: [] }),
    stage: () => ({ place, discard: () => void done.push("discarded") }),
  });
  const by = { pool: engines.pool, actor: { via: "cli", who: "tester", origin: "here" } } as const;
  const logged = () =>
    engines.pool.query(
      "SELECT old_values AS was, new_values AS is_now, reason FROM audit_log " +
        "WHERE subject='/x/routes.yaml' ORDER BY audit_id",
    );
  // A name that no row takes: the statement fails.
  const nameless = { ...by, actor: { ...by.actor, who: "x".repeat(100) } };
  const unplaced = replacement(() => void done.push("placed"));
  expect(await replaceRoutes(nameless, unplaced).catch(() => "failed")).toBe("failed");
  expect([done, await logged()]).toEqual([["discarded"], []]);

  const refusing = replacement(() => {
    throw new SluiceError("unavailable", { detail: "The routes file can't be replaced (EBUSY)." });
  });
  const told = "The routes file can't be replaced (EBUSY).";
  expect(await replaceRoutes(by, refusing).catch((error: SluiceError) => error.detail)).toBe(told);
  expect(await logged()).toEqual([
    { was: '{"version":"a"}', is_now: '{"version":"b","changes":[]}', reason: null },
    { was: '{"version":"b"}', is_now: '{"version":"a"}', reason: `Not done after all: ${told}` },
  ]);
});
