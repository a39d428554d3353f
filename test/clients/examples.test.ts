// The programs of docs/examples against a gateway: each sends a message through a proxy that loses the first
// answers to it, waits for its status, and verifies webhooks. Those whose runtime isn't installed are named
// and left out, unless SLUICE_CLIENTS=all (`make clients`, which installs them).

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { ERRORS, type ErrorCode, problemBody, problemHeaders, SluiceError } from "../../src/core/errors.ts";
import { type ChangeEvent, eventBody } from "../../src/core/webhook-event.ts";
import { signedHeaders } from "../../src/webhook/sign.ts";
import { createTestClickhouse, type TestClickhouse } from "../support/clickhouse.ts";
import { type Api, startApi } from "../support/refusals.ts";
import { onPath } from "./cases.ts";

type Example = { file: string; needs: readonly string[]; command: readonly string[] };
const EXAMPLES: readonly Example[] = [
  { file: "sluice.sh", needs: ["curl", "jq", "openssl"], command: ["bash"] },
  { file: "sluice.ts", needs: ["node"], command: ["node"] },
  { file: "sluice.py", needs: ["python3"], command: ["python3"] },
  { file: "sluice.go", needs: ["go"], command: ["go", "run"] },
  { file: "Sluice.java", needs: ["javac"], command: ["java"] },
  { file: "sluice.php", needs: ["php"], command: ["php"] },
];
const FOLDER = join(import.meta.dirname, "../../docs/examples");
const RUN_MAX_MS = 200_000; // because Go compiles its standard library first
const PRICE = 500;

let clickhouse: TestClickhouse;
let api: Api;
let proxy: Server;
/** Of a 202: another answer, none, or half of it and then an end, or silence. */
type Loss = "503" | "nothing" | "half" | "silence";
/** What a client gets in place of its first answers to a send; a code: without asking the gateway. */
let instead: readonly (Loss | ErrorCode)[] = [];
/** Of each try of a send. */
let keys: (string | undefined)[] = [];
beforeAll(async () => {
  clickhouse = await createTestClickhouse();
  api = await startApi({ clickhouseDatabase: clickhouse.config.clickhouseDatabase });
  proxy = createServer((request, response) => void pass(request, response));
  await once(proxy.listen(0, "127.0.0.1"), "listening");
}, 60_000);
afterAll(async () => {
  proxy.closeAllConnections();
  proxy.close();
  await api.stop();
  await clickhouse.drop();
}, 30_000);

async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = "", url = "", headers } = request;
  const given = method === "POST" ? { body: await text(request) } : {};
  const kept = ["x-api-key", "idempotency-key", "content-type"].flatMap((name) => {
    const value = headers[name];
    return typeof value === "string" ? [[name, value] as [string, string]] : [];
  });
  let step: Loss | ErrorCode | undefined;
  if (method === "POST") {
    const key = kept.find(([name]) => name === "idempotency-key")?.[1];
    step = instead[keys.filter((one) => one === key).length];
    keys.push(key);
  }
  if (step !== undefined && step in ERRORS) {
    const error = new SluiceError(step as ErrorCode);
    response.writeHead(error.status, problemHeaders(error, "r-1")).end(problemBody(error, "r-1"));
    return;
  }
  const answer = await fetch(`${api.ingest.url}${url}`, { method, headers: kept, ...given });
  const body = await answer.text();
  const type = answer.headers.get("content-type") ?? "";
  if (step === undefined || answer.status !== 202)
    response.writeHead(answer.status, { "content-type": type }).end(body);
  else if (step === "503") response.writeHead(503, { "retry-after": "1" }).end();
  else if (step === "nothing") request.socket.destroy();
  else {
    response.writeHead(202, { "content-type": type, "content-length": Buffer.byteLength(body) });
    response.write(body.slice(0, body.length / 2), () => {
      if (step === "half") request.socket.destroy();
    });
  }
}

type Ran = { code: number | null; stdout: string; stderr: string };

async function run(
  { file, command }: Example,
  args: string[],
  given: Record<string, string>,
  stdin = "",
): Promise<Ran> {
  const [program = "", ...before] = command;
  // Java reads its arguments in the encoding of the locale.
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1", LC_ALL: "C.UTF-8", ...given };
  const child = spawn(program, [...before, join(FOLDER, file), ...args], { env, timeout: RUN_MAX_MS });
  child.stdin.on("error", () => undefined); // it ended before it had read everything
  child.stdin.end(stdin);
  const ended = new Promise<number | null>((resolve, reject) =>
    child.once("close", resolve).once("error", reject),
  );
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { code, stdout: stdout.trim(), stderr };
}

const account = () => ({
  SLUICE_URL: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
  SLUICE_KEY: api.customer.apiKey,
});
const balance = async () => (JSON.parse((await api.ask("/v1/wallet")).text) as { balance: number }).balance;

/** No sender runs here: what is queued becomes sent. */
async function whileSent<T>(running: Promise<T>): Promise<T> {
  const done = running.then(() => true);
  while (!(await Promise.race([done, sleep(200, false)])))
    await api.db.pool.query("UPDATE messages SET status='sent', sequence=4 WHERE status='queued'");
  return running;
}

const SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const change: ChangeEvent = {
  customerId: 1,
  url: null,
  messageId: "01M7YBCG2N0V4QK5A1T8P6WJ3D",
  lane: "normal",
  phone: "+989121234567",
  status: "delivered",
  sequence: 5,
  parts: 1,
  cost: 500,
  reference: "سفارش ۱",
  operator: "A",
  error: null,
  createdAtMs: 1_790_000_000_000,
  occurredAtMs: 1_790_000_001_000,
};
const BODY = eventBody(change);
const call = (secrets: readonly string[], atMs = Date.now()) => {
  const headers = signedHeaders(secrets, { eventId: "01M7YBCH59Z4D8R94AWEAQ1Q8T", body: BODY }, atMs);
  return {
    WEBHOOK_SECRET: SECRET,
    WEBHOOK_ID: headers["webhook-id"] ?? "",
    WEBHOOK_TIMESTAMP: headers["webhook-timestamp"] ?? "",
    WEBHOOK_SIGNATURE: headers["webhook-signature"] ?? "",
  };
};

test("every program of docs/examples is run here", () => {
  const programs = readdirSync(FOLDER).filter((name) => !name.endsWith(".md"));
  expect(programs.toSorted()).toEqual(EXAMPLES.map(({ file }) => file).toSorted());
});

const missingOf = ({ needs }: Example) => needs.filter((name) => !onPath(name));
const isAbsent = (example: Example) => missingOf(example).length > 0 && process.env.SLUICE_CLIENTS !== "all";

test(
  "an answer that falls silent within its body is given up, and asked for again",
  async () => {
    [keys, instead] = [[], ["silence"]];
    const present = EXAMPLES.filter((example) => !isAbsent(example));
    const sending = present.map((example) =>
      run(example, ["send", "+989121234567", `${example.file} after silence`], account()),
    );
    for (const [n, ran] of (await whileSent(Promise.all(sending))).entries()) {
      const said = `${present[n]?.file} after silence`;
      const stored = await api.db.pool.query<{ id: string }[]>("SELECT id FROM messages WHERE text=?", [
        said,
      ]);
      expect(ran).toMatchObject({ code: 0, stdout: `${stored[0]?.id} sent` });
      expect(stored).toHaveLength(1);
    }
    expect([keys.length, new Set(keys).size]).toEqual([2 * present.length, present.length]);
  },
  RUN_MAX_MS,
);

for (const example of EXAMPLES) {
  const absent = isAbsent(example);
  if (absent)
    console.log(
      `docs/examples/${example.file} is not run: no ${missingOf(example).join(", ")} here; ` +
        "make clients installs it",
    );

  describe(example.file, () => {
    test.skipIf(absent).each<[string, (Loss | ErrorCode)[]]>([
      ["503", ["503"]],
      ["nothing", ["nothing"]],
      ["half of it", ["half"]],
      ["nothing, and 409 while that try is still in progress", ["nothing", "idempotency_in_progress"]],
    ])(
      "sends a message once, although the first answer is lost, and waits for its status: it gets %s instead",
      async (_, given) => {
        [keys, instead] = [[], given];
        const [before, said] = [await balance(), `${example.file}: "سلام" \\ ok ${given.join("+")}`];
        const ran = await whileSent(run(example, ["send", "+989121234567", said], account()));
        expect(ran).toMatchObject({ code: 0 });
        expect(ran.stdout).toMatch(/^[0-9A-Z]{26} sent$/);
        const stored = await api.db.pool.query("SELECT id, text FROM messages WHERE text=?", [said]);
        expect(stored).toEqual([{ id: ran.stdout.split(" ")[0], text: said }]);
        expect(before - (await balance())).toBe(PRICE);
        expect([keys.length, new Set(keys).size]).toEqual([given.length + 1, 1]);
      },
      RUN_MAX_MS,
    );

    test.skipIf(absent)(
      "says that a message may have been sent if the first answer is lost and its repeat refused",
      async () => {
        [keys, instead] = [[], ["nothing", "customer_suspended"]];
        const { code, stderr } = await run(example, ["send", "+989121234567", "Hello"], account());
        expect(code).toBe(1);
        expect(stderr).toContain("may have taken effect");
        expect(stderr).toContain("customer_suspended");
        expect([keys.length, new Set(keys).size]).toEqual([2, 1]);
        expect(stderr).toContain(keys[0] ?? "no key");
      },
      RUN_MAX_MS,
    );

    test.skipIf(absent)(
      "says why a message is refused, and ends with 1",
      async () => {
        instead = [];
        const { code, stderr } = await run(example, ["send", "12", "Hello"], account());
        expect(code).toBe(1);
        expect(stderr).toContain("validation_failed");
        expect(stderr).not.toContain("may have taken effect");
      },
      RUN_MAX_MS,
    );

    test.skipIf(absent)(
      "verifies a webhook, also while its secret is being changed, and refuses others",
      async () => {
        const good = { code: 0, stdout: `${change.messageId} delivered` };
        expect(await run(example, ["verify"], call([SECRET]), BODY)).toMatchObject(good);
        expect(await run(example, ["verify"], call([OTHER, SECRET]), BODY)).toMatchObject(good);
        const old = call([SECRET], Date.now() - 400_000);
        for (const [headers, body] of [
          [call([OTHER]), BODY],
          [call([SECRET]), BODY.replace("delivered", "undelivered")],
          [old, BODY],
        ] as const) {
          const ran = await run(example, ["verify"], headers, body);
          expect(ran).toMatchObject({ code: 1, stdout: "" });
          expect(ran.stderr).toContain("refused");
        }
      },
      RUN_MAX_MS,
    );
  });
}
