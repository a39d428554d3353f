// `./sluice` as scripts use it: exit codes, output that can't be written, input that the API would refuse
// too.

import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commitOf } from "../../src/platform/commit.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { launcher, testCli } from "../support/cli.ts";

const { run, json, liveKeys, customer, settings, stateFolder } = await testCli();

test("a top-up without a real request id is refused, and the next payment counts", () => {
  const id = customer().customer_id ?? "";
  for (const bad of ["", " ", "x".repeat(129), "😀".repeat(129), "a\u0007b"]) {
    const refused = run(["topup", "--customer", id, "--amount", "5", "--request-id", bad]);
    expect([refused.code, refused.stdout]).toEqual([1, ""]);
    expect(refused.stderr).toContain("--request-id");
  }
  const paid = ["topup", "--customer", id, "--amount", "5", "--request-id", "😀".repeat(128)];
  expect(json(...paid)).toMatchObject({ idempotent: false, balance: 5 });
  expect(json(...paid)).toMatchObject({ idempotent: true, balance: 5 });
});

test("every wrong field is named", () => {
  for (const name of ["", "  ", "a\tb", "x".repeat(201)])
    expect(run(["customer", "create", "--name", name])).toMatchObject({ code: 1, stdout: "" });
  const dear = run(["customer", "create", "--name", "x", "--price-normal", "9007199254740991"]);
  expect(dear.code).toBe(1);
  expect(dear.stderr).toContain("price_normal must be a whole number from 1 to");
  expect(dear.stderr).not.toContain("errors");
});

test("a new key that can't be written is revoked, and the command fails", async () => {
  const id = customer().customer_id ?? "";
  expect(await liveKeys(id)).toBe(1);
  const lost = run(["key", "create", "--customer", id], { to: "/dev/full" });
  expect(lost.code).toBe(74);
  expect(lost.stderr).toContain("was revoked");
  expect(await liveKeys(id)).toBe(1);
  expect(json("key", "create", "--customer", id).api_key).toStartWith("sk_");
});

test("any other output that can't be written fails too", () => {
  for (const args of [
    ["customer", "list"],
    ["status", "--json"],
    ["lease", "list"],
  ])
    expect({ args, ...run(args, { to: "/dev/full" }) }).toMatchObject({ args, code: 74 });
});

test("what a customer can be set up for is off, on, off again", () => {
  const id = customer().customer_id ?? "";
  const fieldOf = {
    "express-resend-unknown": "express_resend_unknown",
    "otp-code": "otp_code",
  };
  type Row = Record<string, unknown>;
  const shown = (field: string) => {
    const { customers } = JSON.parse(run(["customer", "list", "--json"]).stdout) as { customers: Row[] };
    return customers.find((row) => row.customer_id === id)?.[field];
  };
  for (const [name, field] of Object.entries(fieldOf)) {
    expect(shown(field)).toBe(false);
    for (const setting of ["on", "off"]) {
      const set = ["customer", name, setting, "--customer", id, "--json"];
      expect(JSON.parse(run(set).stdout)).toEqual({ customer_id: id, [field]: setting === "on" });
      expect(shown(field)).toBe(setting === "on");
    }
  }
});

test("lists of an unknown customer fail", () => {
  for (const args of [
    ["key", "list", "--customer", "999999"],
    ["lease", "list", "--customer", "999999"],
    ["customer", "mode", "strict", "--customer", "999999"],
    ["customer", "otp-code", "on", "--customer", "999999"],
    ["customer", "express-resend-unknown", "on", "--customer", "999999"],
    ["price", "check", "09121234567", "--customer", "999999"],
    ["price", "use", "none", "--customer", "999999"],
    ["cap", "show", "--customer", "999999"],
    ["cap", "set", "--daily", "1", "--customer", "999999"],
    ["customer", "suspend", "--customer", "999999"],
    ["customer", "resume", "--customer", "999999"],
    ["address", "set", "::1", "--customer", "999999"],
    ["address", "list", "--customer", "999999"],
  ]) {
    const found = run(args);
    expect({ args, code: found.code, stdout: found.stdout }).toEqual({ args, code: 1, stdout: "" });
    expect(found.stderr).toContain("No customer 999999");
  }
});

test("openapi prints the document, also where nothing runs", () => {
  const { code, stdout } = run(["openapi"]);
  const document = JSON.parse(stdout) as { openapi: string; paths: Record<string, unknown> };
  expect([code, document.openapi]).toEqual([0, "3.1.0"]);
  expect(Object.keys(document.paths)).toContain("/v1/sms/send");
});

test("openapi prints a Postman collection and an environment for it", () => {
  const collection = JSON.parse(run(["openapi", "--postman"]).stdout) as { info: { schema: string } };
  expect(collection.info.schema).toContain("collection/v2.1.0");
  const args = [
    "openapi",
    "--postman-environment",
    "--base-url",
    "https://sms.example.com",
    "--api-key",
    "k",
  ];
  const { values } = JSON.parse(run(args).stdout) as { values: { key: string; value: string }[] };
  expect(values.map(({ key, value }) => [key, value])).toEqual([
    ["base_url", "https://sms.example.com"],
    ["api_key", "k"],
  ]);
});

test("the exit code of status says whether it is ready", () => {
  const { code, stdout } = run(["status", "--json"]);
  expect(JSON.parse(stdout)).toMatchObject({ ready: false });
  expect(code).toBe(3);
});

test("reconcile exits 2 when it could not look, and never 1, which says that the books drift", () => {
  expect(run(["reconcile", "--help"])).toMatchObject({ code: 0, stderr: "" });
  for (const [args, env, reason] of [
    [[], { SLUICE_KAFKA_PORT: "x" }, "bad settings"],
    [[], { SLUICE_MYSQL_PORT: "1" }, "could not check"],
    [["--nothing"], {}, "unknown option"],
    [["--customer", "x"], {}, "whole number"],
    [["7"], {}, "too many arguments"],
  ] as const) {
    const { code, stdout, stderr } = run(["reconcile", ...args], { env });
    expect({ args, code }).toEqual({ args, code: 2 });
    expect(stdout + stderr).toContain(reason);
  }
});

test("a routes file is checked: 0 without faults, 65 with all of them on stderr, as file:line:column", () => {
  expect(run(["route", "check"])).toMatchObject({ code: 0, stderr: "" });
  const file = join(stateFolder, "bad.yaml");
  writeFileSync(file, "operators:\n  A: { kind: http, price: 1 }\nroutes: { r: { operators: [B] } }\n");
  const { code, stdout, stderr } = run(["route", "check", file]);
  expect([code, stdout]).toEqual([65, ""]);
  expect(stderr.split("\n").map((line) => line.split(": ", 1)[0])).toEqual([
    `${file}:2:6 operators.A.url`,
    `${file}:3:11 routes.r`,
    `${file}:3:28 routes.r.operators[0]`,
    "",
  ]);
  for (const args of [["explain", "09121234567"], ["list"], ["reload"]])
    expect(run(["route", ...args], { env: { SLUICE_ROUTES: file } })).toMatchObject({ code: 65, stdout: "" });
});

test("who would take a number is explained, also as JSON; exit 1 if nobody would, or if it is no number", () => {
  const file = join(stateFolder, "good.yaml");
  writeFileSync(
    file,
    "operators:\n  A: { kind: http, url: http://a, price: 1, prefixes: ['+98'], lanes: [normal], " +
      "authorization: { env: SECRET } }\n",
  );
  const env = { SLUICE_ROUTES: file, SECRET: "hunter2" };
  const explained = run(["route", "explain", "0912 123 4567", "--lane", "normal"], { env });
  expect(explained).toEqual({
    code: 0,
    stdout:
      "+989121234567, normal: the prefix +98 decides, by the operators' own terms\n" +
      "  1. A: priority 0, price 1\n",
    stderr: "",
  });
  const express = run(["route", "explain", "09121234567", "--lane", "express", "--json"], { env });
  expect(express.code).toBe(1);
  expect(JSON.parse(express.stdout)).toEqual({
    phone: "+989121234567",
    lanes: [{ lane: "express", prefix: null, route: null, operators: [] }],
  });
  expect(run(["route", "explain", "0912"], { env })).toMatchObject({ code: 1, stdout: "" });
  for (const args of [["list"], ["list", "--json"], ["check"]]) {
    const { code, stdout, stderr } = run(["route", ...args], { env });
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).not.toContain("hunter2");
  }
  const told = run(["route", "reload"], { env });
  expect(told).toMatchObject({ code: 1, stdout: "" });
  expect(told.stderr).toContain(`none that ./sluice up started runs in ${stateFolder}.`);
});

test("the version is the package's, with the commit of the checkout", () => {
  const { version } = JSON.parse(readFileSync(join(projectRoot, "package.json"), "utf8")) as {
    version: string;
  };
  const commit = commitOf(projectRoot);
  const shown = commit === "" ? version : `${version} (${commit})`;
  expect(run(["--version"])).toEqual({ code: 0, stdout: `${shown}\n`, stderr: "" });
});

test("the state folder is the project's, wherever the command is called", () => {
  for (const cwd of [tmpdir(), projectRoot])
    expect(run(["logs", "no-such-role"], { cwd, env: { SLUICE_STATE: "" } }).stderr).toContain(
      "no-such-role",
    );
  const elsewhere = mkdtempSync(join(tmpdir(), "sluice-test-cwd-"));
  run(["status"], { cwd: elsewhere, env: { SLUICE_STATE: "" } });
  expect(readdirSync(elsewhere)).toEqual([]);
  rmSync(elsewhere, { recursive: true });
});

test("following a log leaves no `tail` process behind, however it ends", async () => {
  mkdirSync(join(stateFolder, "logs"), { recursive: true });
  const file = join(stateFolder, "logs", "relay.log");
  writeFileSync(file, "one line\n");
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const child = spawn(launcher, ["logs", "relay", "-f"], {
      env: settings,
      stdio: ["ignore", "pipe", "ignore"],
    });
    await new Promise((seen) => child.stdout.once("data", seen));
    expect(tailsOf(file)).toBe(1);
    child.kill(signal);
    for (let i = 0; i < 300 && tailsOf(file) > 0; i++) await Bun.sleep(100);
    expect(tailsOf(file)).toBe(0);
  }
});

const tailsOf = (file: string): number =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const [command, ...args] = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return command?.endsWith("tail") === true && args.includes(file);
      } catch {
        return false; // ended in the meantime
      }
    }).length;

test("a webhook is set up, shown, rotated and removed; its URL must be public, its secret is shown once", () => {
  const id = customer().customer_id ?? "";
  const of = ["--customer", id];
  const refused = run(["webhook", "set", ...of, "--url", "https://127.0.0.1/"]);
  expect([refused.code, refused.stdout]).toEqual([1, ""]);
  expect(refused.stderr).toContain("url must not lead to an address that isn't public");
  expect(run(["webhook", "set", ...of, "--statuses", "sent,gone"]).stderr).toContain("unknown status gone");
  expect(run(["webhook", "show", ...of]).stderr).toContain("has no webhook");

  const set = json("webhook", "set", ...of, "--url", "https://example.com/sms", "--statuses", "sent,failed");
  expect(set).toMatchObject({ url: "https://example.com/sms", statuses: "sent,failed" });
  expect(set.secret).toStartWith("whsec_");
  expect(json("webhook", "set", ...of, "--no-url")).not.toHaveProperty("secret");
  expect(run(["webhook", "set", ...of, "--pauses", "maybe"]).stderr).toContain("one of: on, off");
  expect(json("webhook", "set", ...of, "--pauses", "off")).toMatchObject({ tell_pauses: false });
  const shown = JSON.parse(run(["webhook", "show", ...of, "--json"]).stdout) as object;
  expect(shown).toMatchObject({ url: null, statuses: ["sent", "failed"], tell_pauses: false, endpoints: [] });
  const second = json("webhook", "rotate", ...of);
  expect(second.secret).toStartWith("whsec_");
  expect(run(["webhook", "rotate", ...of]).stderr).toContain("--now");
  expect(json("webhook", "rotate", ...of, "--now").secret).not.toBe(second.secret ?? "");

  expect(run(["webhook", "list", ...of, "--json"]).stdout).toBe('{"deliveries":[]}\n');
  expect(run(["webhook", "replay", ...of, "--failed", "--json"]).stdout).toBe('{"replayed":0}\n');
  expect(run(["webhook", "replay", ...of]).stderr).toContain("say which");
  expect(run(["webhook", "replay", ...of, "--id", "x"]).stderr).toContain("no delivery");
  expect(run(["webhook", "resume", ...of]).stdout).toContain("resumed: 0");
  expect(run(["webhook", "remove", ...of]).stdout).toContain("removed: true");
});
