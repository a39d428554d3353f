// Operators by HTTP, as their entries in the routes file describe them: what arrives at a local server of
// each one's shape, what its answers mean, and peers that misbehave. Connectors on Node, as senders run them;
// the server is a process of its own.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { idNumber } from "../../src/core/id.ts";
import { LATE_ANSWER_MAX_MS, SUBMIT_TIMEOUT_MS } from "../../src/core/limits.ts";
import type { Answer } from "../../src/operators/connectors/connector.ts";
import { faultLines, parseRoutes } from "../../src/operators/routes-file.ts";
import { examplesOf } from "../support/examples.ts";
import { laneRecord } from "../support/smpp-operator.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const env = { KEY: "wJalrXUtnFEMI", LOGIN: "us", PASSWORD: "hunter2" };

type Heard = { line: string; headers: Record<string, string>; body: string };
type Peer = { port: number; heard: Heard[]; stop(): void };
async function startPeer(answer = "/"): Promise<Peer> {
  const args = ["test/support/http-peer-tool.ts", answer];
  const child: ChildProcess = spawn("bun", args, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const heard: Heard[] = [];
  const port = Promise.withResolvers<number>();
  lines.on("line", (line) => {
    if (line.startsWith("{")) heard.push(JSON.parse(line) as Heard);
    else port.resolve(Number(line));
  });
  child.once("exit", () => port.reject(new Error("the peer ended")));
  return { port: await port.promise, heard, stop: () => void child.kill() };
}

const message = laneRecord("سلام & <b>", { from: "Shop" });
type Said = Answer | { report: Answer };

/** What the connector of an entry says about the message, one after the other. */
async function said(entry: string, record = message): Promise<Said[]> {
  const text = `operators:\n  A:\n    price: 1\n    window: 2\n${entry.replaceAll(/^(?=.)/gm, "    ")}`;
  const read = parseRoutes(new TextEncoder().encode(text), { env, folder: root });
  if (read.kind === "bad") throw new Error(faultLines("f", read.faults).join("\n"));
  const args = [
    "test/support/submit-tool.ts",
    JSON.stringify(read.file.operators[0]),
    JSON.stringify(record),
  ];
  const { stdout } = await promisify(execFile)("node", args, { cwd: root, timeout: 60_000 });
  await Bun.sleep(50); // until all that the peer heard is here
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Said);
}

let peer: Peer;
beforeAll(async () => {
  peer = await startPeer();
}, 30_000);
afterAll(() => peer.stop());

const say = (status: number, body: string) =>
  `http://127.0.0.1:${peer.port}/say/${status}/${encodeURIComponent(body)}`;
const last = (): Heard => peer.heard.at(-1) ?? { line: "", headers: {}, body: "" };
const accepted = (...operatorMessageIds: string[]): Said => ({ kind: "accepted", operatorMessageIds });
const refused = (permanent: boolean, reason: string): Said => ({ kind: "refused", permanent, reason });

describe("an operator that misbehaves", () => {
  const at = (behaviour: string) => `kind: http\nurl: http://127.0.0.1:${peer.port}/${behaviour}\n`;

  test("an answer in single bytes is whole", async () => {
    expect(await said(at("bytes"))).toEqual([accepted("a-1")]);
  });

  test("the connection ends after the request, or in the answer: lost, and sent once", async () => {
    for (const behaviour of ["cut", "cutInAnswer", "noise"]) {
      const before = peer.heard.length;
      for (const more of ["", "method: GET\n"])
        expect(await said(at(behaviour) + more)).toMatchObject([{ kind: "lost" }]);
      expect(peer.heard.length - before).toBe(2);
    }
  }, 60_000);

  test("a redirect is not followed, whatever it leads to: lost", async () => {
    const before = peer.heard.length;
    expect(await said(at("redirect"))).toEqual([{ kind: "lost", reason: "status 307" }]);
    expect(peer.heard.length - before).toBe(1);
  });

  test("100 MB are not read: lost, at once", async () => {
    expect(await said(at("hundredMegabytes"))).toEqual([
      { kind: "lost", reason: "UND_ERR_RES_EXCEEDED_MAX_SIZE" },
    ]);
  });

  test("an answer that trickles in is lost in time, waited for a while as a late one, then given up", async () => {
    const startedMs = performance.now();
    expect(await said(at("trickle"))).toEqual([{ kind: "lost", reason: "no answer in time" }]);
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeGreaterThan(SUBMIT_TIMEOUT_MS + LATE_ANSWER_MAX_MS);
    expect(tookMs).toBeLessThan(SUBMIT_TIMEOUT_MS + LATE_ANSWER_MAX_MS + 10_000);
  }, 60_000);

  test("JSON that is none, or 200 with an error inside, is never accepted", async () => {
    for (const [body, reason] of [
      ['{"operator_message_id":', "200 without an id"],
      ["<html>OK</html>", "200 without an id"],
      ['{"error":"no credit"}', "200 without an id"],
    ] as const)
      expect(await said(`kind: http\nurl: ${say(200, body)}\n`)).toEqual([{ kind: "lost", reason }]);
  }, 30_000);
});

describe("providers as docs/CONNECTORS.md describes them", () => {
  const examples = examplesOf(new URL("../../docs/CONNECTORS.md", import.meta.url));
  /** The entry of an example, at the peer, which gives this answer. */
  const entryOf = (name: string, status: number, body: string): string => {
    const example = examples.find(({ operator }) => operator === name);
    if (example === undefined) throw new Error(`no example ${name}`);
    const entry = example.entry.replace(/https:\/\/[\w.-]+/, say(status, body)).replace(/^price: .*\n/m, "");
    return entry.replaceAll(/\{ env: \w*(KEY|LOGIN|PASSWORD) \}/g, "{ env: $1 }");
  };

  test("panel: a form, 200 with an error inside, ids as big numbers", async () => {
    expect(await said(entryOf("panel", 200, '{"Value":9007199254740993,"RetStatus":1}'))).toEqual([
      accepted("9007199254740993"),
    ]);
    expect([...new URLSearchParams(last().body)]).toEqual([
      ["username", "us"],
      ["password", "hunter2"],
      ["to", "09121234567"],
      ["from", "Shop"],
      ["text", "سلام & <b>"],
      ["isUnicode", "true"],
    ]);
    expect(await said(entryOf("panel", 200, '{"Value":"-","RetStatus":11}'))).toEqual([
      refused(true, "200 11"),
    ]);
    expect(await said(entryOf("panel", 200, '{"Value":"-","RetStatus":2}'))).toEqual([
      refused(false, "200 2"),
    ]);
    expect(await said(entryOf("panel", 200, '{"RetStatus":99}'))).toMatchObject([{ kind: "lost" }]);
  }, 30_000);

  test("query: everything in the URL, an answer in words", async () => {
    expect(await said(entryOf("query", 200, "OK 77-1\n"))).toEqual([accepted("77-1")]);
    const [method, path = ""] = last().line.split(" ");
    const { searchParams } = new URL(path, "http://a");
    expect(method).toBe("GET");
    expect(Object.fromEntries(searchParams)).toEqual({
      user: "us",
      pass: "hunter2",
      dst: "989121234567",
      src: "Shop",
      hex: Buffer.from("سلام & <b>", "utf16le").swap16().toString("hex").toUpperCase(),
      dcs: "8",
    });
    expect(last().body).toBe("");
    expect(await said(entryOf("query", 200, "ERR 3 queue full"))).toEqual([refused(false, "200 queue full")]);
    expect(await said(entryOf("query", 200, "ERR 4 bad number"))).toEqual([refused(true, "200 bad number")]);
  }, 30_000);

  test("soap: XML both ways", async () => {
    const answer = (code: number) =>
      `<s:Envelope><s:Body><result code="${code}"><id>5f-2</id><why>w</why></result></s:Body></s:Envelope>`;
    expect(await said(entryOf("soap", 200, answer(0)))).toEqual([accepted("5f-2")]);
    expect(last().headers).toMatchObject({ "content-type": "text/xml; charset=utf-8", soapaction: "send" });
    expect(last().body).toContain("<text>سلام &amp; &lt;b&gt;</text>");
    expect(await said(entryOf("soap", 500, answer(7)))).toEqual([refused(true, "500 w")]);
    expect(await said(entryOf("soap", 500, "<html>"))).toMatchObject([{ kind: "lost" }]);
  }, 30_000);
});

describe("Twilio", () => {
  const SID = `AC${"0".repeat(32)}`;
  const entry = (status: number, body: string) => `kind: twilio
base_url: ${say(status, body)}
account_sid: ${SID}
auth_token: { env: KEY }
sender: "+15550001"
report_url: https://us.example/dlr/A?token={x}&message={id}
`;

  test("gets its form and credentials, and is asked for reports", async () => {
    expect(await said(entry(201, '{"sid":"SM1","status":"queued","error_code":null}'))).toEqual([
      accepted("SM1"),
    ]);
    expect(last().line).toEndWith(`/2010-04-01/Accounts/${SID}/Messages.json HTTP/1.1`);
    expect(last().headers).toMatchObject({
      authorization: `Basic ${btoa(`${SID}:${env.KEY}`)}`,
      "content-type": "application/x-www-form-urlencoded",
    });
    expect(Object.fromEntries(new URLSearchParams(last().body))).toEqual({
      To: "+989121234567",
      From: "Shop",
      Body: "سلام & <b>",
      StatusCallback: `https://us.example/dlr/A?token={x}&message=${message.id}`,
    });
    await said(entry(201, '{"sid":"SM2"}'), laneRecord("hi", { from: null }));
    expect(new URLSearchParams(last().body).get("From")).toBe("+15550001");
  }, 30_000);

  test("its errors are the message's, ours, or for now; a 5xx says nothing", async () => {
    const error = (status: number, code: number) => said(entry(status, JSON.stringify({ code, status })));
    expect(await error(400, 21211)).toEqual([refused(true, "400 21211")]);
    expect(await error(400, 21611)).toEqual([refused(false, "400 21611")]);
    expect(await error(401, 20003)).toEqual([refused(false, "401 20003")]);
    expect(await error(429, 20429)).toEqual([refused(false, "429 20429")]);
    expect(await error(500, 20500)).toEqual([{ kind: "lost", reason: "status 500" }]);
    expect(await said(entry(404, "<html>"))).toEqual([{ kind: "lost", reason: "status 404" }]);
  }, 60_000);
});

describe("Kavenegar", () => {
  const entry = (status: number, body: unknown) =>
    `kind: kavenegar\nbase_url: ${say(status, JSON.stringify(body))}\napi_key: { env: KEY }\n`;
  const answer = (status: number, entries: unknown = null) => ({ return: { status, message: "…" }, entries });

  test("gets key, form, and the number as it wants it", async () => {
    const entries = [{ messageid: 8792343, status: 1 }];
    expect(await said(entry(200, answer(200, entries)))).toEqual([accepted("8792343")]);
    expect(last().line).toEndWith("/v1/wJalrXUtnFEMI/sms/send.json HTTP/1.1");
    expect(Object.fromEntries(new URLSearchParams(last().body))).toEqual({
      receptor: "00989121234567",
      message: "سلام & <b>",
      sender: "Shop",
      localid: idNumber(message.id),
    });
    await said(`${entry(200, answer(200, entries))}localid: false\n`);
    expect(new URLSearchParams(last().body).has("localid")).toBe(false);
  });

  test("its table of statuses: the message's fault, ours, or for now", async () => {
    const refusals: [number, boolean][] = [
      [411, true],
      [413, true],
      [409, false],
      [418, false],
      [403, false],
    ];
    for (const [status, permanent] of refusals)
      expect(await said(entry(status, answer(status)))).toEqual([refused(permanent, `${status} ${status}`)]);
    // Also where HTTP says 200.
    expect(await said(entry(200, answer(411)))).toEqual([refused(true, "200 411")]);
    const blocked = [{ messageid: 1, status: 14 }];
    expect(await said(entry(200, answer(200, blocked)))).toEqual([refused(true, "200 200")]);
    expect(await said(entry(403, "not Kavenegar"))).toMatchObject([{ kind: "lost" }]);
    expect(await said(entry(500, answer(500)))).toMatchObject([{ kind: "lost" }]);
  }, 60_000);
});

describe("Amazon SNS", () => {
  const answering = async (status: number, body: string, record = message) => {
    const own = await startPeer(`/say/${status}/${encodeURIComponent(body)}`);
    try {
      const answers = await said(
        `kind: sns
region: eu-central-1
base_url: http://127.0.0.1:${own.port}
access_key_id: AKIAIOSFODNN7EXAMPLE
secret_access_key: { env: KEY }
`,
        record,
      );
      return { answers, heard: own.heard };
    } finally {
      own.stop();
    }
  };
  const published =
    "<PublishResponse><PublishResult><MessageId>94f20ce6-13c5</MessageId></PublishResult></PublishResponse>";
  const error = (code: string) => `<ErrorResponse><Error><Code>${code}</Code></Error></ErrorResponse>`;

  test("gets a Publish with a signature that covers it", async () => {
    const { answers, heard } = await answering(200, published);
    expect(answers).toEqual([accepted("94f20ce6-13c5")]);
    const [request] = heard;
    if (request === undefined) throw new Error("nothing came");
    expect(request.line).toBe("POST / HTTP/1.1");
    expect(Object.fromEntries(new URLSearchParams(request.body))).toEqual({
      Action: "Publish",
      Version: "2010-03-31",
      PhoneNumber: "+989121234567",
      Message: "سلام & <b>",
      "MessageAttributes.entry.1.Name": "AWS.SNS.SMS.SMSType",
      "MessageAttributes.entry.1.Value.DataType": "String",
      "MessageAttributes.entry.1.Value.StringValue": "Transactional",
      "MessageAttributes.entry.2.Name": "AWS.SNS.SMS.SenderID",
      "MessageAttributes.entry.2.Value.DataType": "String",
      "MessageAttributes.entry.2.Value.StringValue": "Shop",
    });
    expect(request.headers.authorization).toBe(signatureOf(request, env.KEY, "eu-central-1"));
  }, 30_000);

  test("a sender that it can't have is refused here; without one there is none", async () => {
    const odd = await answering(200, published, laneRecord("hi", { from: "My Shop!" }));
    expect(odd.answers).toEqual([refused(true, "a sender that SNS can't carry")]);
    expect(odd.heard).toEqual([]);
    const none = await answering(200, published, laneRecord("hi", { from: null }));
    expect(none.heard[0]?.body).not.toContain("entry.2");
  }, 30_000);

  test("its errors are the message's, ours, or for now; a 5xx says nothing", async () => {
    const cases: [number, string, Said][] = [
      [400, "InvalidParameter", refused(true, "400 InvalidParameter")],
      [400, "Throttling", refused(false, "400 Throttling")],
      [403, "SignatureDoesNotMatch", refused(false, "403 SignatureDoesNotMatch")],
      [500, "InternalError", { kind: "lost", reason: "status 500" }],
    ];
    for (const [status, code, answer] of cases)
      expect((await answering(status, error(code))).answers).toEqual([answer]);
    expect((await answering(200, "<html>")).answers).toEqual([{ kind: "lost", reason: "200 without an id" }]);
  }, 60_000);
});

/** Signature Version 4 of a request as it came, from its documentation alone. */
function signatureOf({ headers, body }: Heard, secret: string, region: string): string {
  const hash = (text: string) => createHash("sha256").update(text).digest("hex");
  const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();
  const [, signed = ""] = /SignedHeaders=([^,]+)/.exec(headers.authorization ?? "") ?? [];
  expect(signed.split(";")).toEqual(expect.arrayContaining(["host", "x-amz-date"]));
  const canonical = signed.split(";").map((name) => `${name}:${headers[name]}\n`);
  const time = headers["x-amz-date"] ?? "";
  const scope = `${time.slice(0, 8)}/${region}/sns/aws4_request`;
  const request = ["POST", "/", "", canonical.join(""), signed, hash(body)].join("\n");
  const text = ["AWS4-HMAC-SHA256", time, scope, hash(request)].join("\n");
  const key = [region, "sns", "aws4_request"].reduce(hmac, hmac(`AWS4${secret}`, time.slice(0, 8)));
  const signature = hmac(key, text).toString("hex");
  return (
    `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/${scope}, ` +
    `SignedHeaders=${signed}, Signature=${signature}`
  );
}
