// What commands change is in the audit log, with the user who ran them.

import { expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../src/platform/config.ts";
import { createPool } from "../../src/platform/mysql.ts";
import { testCli } from "../support/cli.ts";

const { run, json, customer, settings } = await testCli();

type Entry = Record<string, unknown> & { action: string };
const logOf = (...filter: string[]) =>
  (JSON.parse(run(["audit", ...filter, "--json"]).stdout) as { entries: Entry[] }).entries;

test("every change by a command is in the audit log, with who made it, and no secret", () => {
  const made = customer();
  const of = ["--customer", made.customer_id ?? ""];
  json("topup", ...of, "--amount", "5000", "--request-id", "slip");
  json("topup", ...of, "--amount", "5000", "--request-id", "slip");
  const adjusted = ["adjust", ...of, "--amount=-1500", "--reason", "paid twice", "--key", "k1"];
  expect(json(...adjusted)).toMatchObject({ amount: -1_500, balance: 3_500 });
  expect(json(...adjusted)).toMatchObject({ amount: -1_500, balance: 3_500 });
  expect(run(["adjust", ...of, "--amount=-3501", "--reason", "x"]).stderr).toContain("the wallet holds 3500");
  expect(run(["adjust", ...of, "--amount", "0", "--reason", "x"])).toMatchObject({ code: 1, stdout: "" });
  for (const key of ["تیکت-۴۷۱۱", "a,b", 'a"b', "a\\b", "", "k".repeat(256)]) {
    const refused = run(["adjust", ...of, "--amount", "1", "--reason", "x", "--key", key]);
    expect({ key, ...refused }).toMatchObject({ key, code: 1, stdout: "" });
    expect(refused.stderr).toContain("It must have 1 to 255 printable ASCII characters");
  }
  expect(json("customer", "set", ...of, "--price-normal", "450")).toMatchObject({ price_normal: 450 });
  run(["customer", "suspend", ...of]);
  run(["customer", "suspend", ...of]);
  json("cap", "set", ...of, "--daily", "900");
  const { token, token_id: tokenId } = json("admin-token", "create", "sara", "--scopes", "write");
  expect(token).toStartWith(`sat_${tokenId}_`);
  expect(run(["admin-token", "revoke", tokenId ?? ""]).code).toBe(0);
  expect(run(["admin-token", "revoke", tokenId ?? ""]).stderr).toContain("no live token");
  expect(run(["admin-token", "create", "x"], { to: "/dev/full" }).code).toBe(74);

  const log = logOf(...of);
  expect(log.map(({ action, amount }) => [action, amount])).toEqual([
    ["caps.change", null],
    ["customer.change", null],
    ["customer.change", null],
    ["wallet.adjust", -1_500],
    ["wallet.topup", 5_000],
    ["key.create", null],
    ["customer.create", null],
  ]);
  expect(log[2]).toMatchObject({ old: { price_normal: 500 }, new: { price_normal: 450 } });
  const who = execFileSync("id", ["-un"], { encoding: "utf8" }).trim();
  for (const entry of log) expect(entry).toMatchObject({ via: "cli", who });
  expect(logOf("--action", "token.revoke").map(({ subject }) => subject)).toContain(tokenId as never);
  const all = run(["audit", "--limit", "200"]).stdout;
  expect(all).toContain('reason "paid twice"');
  for (const secret of [token, made.api_key]) expect(all).not.toContain(String(secret));
  const first = JSON.parse(run(["audit", "--limit", "1", "--json"]).stdout) as { next_cursor: string };
  expect(run(["audit", "--limit", "1", "--cursor", first.next_cursor]).code).toBe(0);
  expect(run(["audit", "--action", "x"]).code).toBe(1);
});

test("endpoints that are resumed are in the audit log, and nothing if none had stopped", async () => {
  const { customer_id: id = "" } = customer();
  const resume = (...origin: string[]) => json("webhook", "resume", "--customer", id, ...origin);
  const logged = () => logOf("--customer", id, "--action", "webhook.resume").map(({ subject }) => subject);
  expect(resume()).toMatchObject({ resumed: 0 });
  expect(logged()).toEqual([]);
  const pool = createPool(loadConfig(settings), { connections: 1 });
  await pool.query(
    "INSERT INTO webhook_endpoints (customer_id,endpoint,state) VALUES (?,'','gone'),(?,?,'paused')",
    [id, id, "https://a.example"],
  );
  await pool.end();
  expect(resume("--origin", "https://b.example")).toMatchObject({ resumed: 0 });
  expect(resume("--origin", "https://a.example")).toMatchObject({ resumed: 1 });
  expect(resume()).toMatchObject({ resumed: 1 });
  expect(resume()).toMatchObject({ resumed: 0 });
  expect(logged()).toEqual([null, "https://a.example"]);
});

test("an opt-out that is there already stays as it is, without a row in the audit log", () => {
  const of = ["--customer", customer().customer_id ?? ""];
  const optOut = (command: string, ...sender: string[]) =>
    json("opt-out", command, "09121234567", ...of, ...sender);
  const [added, again] = [optOut("add"), optOut("add")];
  expect(added).toMatchObject({ phone: "+989121234567", sender: null, source: "cli" });
  expect(again).toEqual(added);
  expect(optOut("add", "--sender", "30001")).toMatchObject({ sender: "30001" });
  expect([optOut("remove"), optOut("remove")]).toMatchObject([{ removed: 2 }, { removed: 0 }]);
  const log = logOf(...of).filter(({ action }) => action.startsWith("opt_out."));
  expect(log.map((entry) => [entry.action, entry.new ?? entry.old])).toEqual([
    ["opt_out.remove", { sender: null }],
    ["opt_out.add", { sender: "30001" }],
    ["opt_out.add", { sender: null }],
  ]);
});

test("a routes file is replaced by a command only at the version it is meant for; the log has both", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-replace-"));
  const [file, next] = [join(folder, "routes.yaml"), join(folder, "next.yaml")];
  const text = (price: string) => `operators: { A: { kind: http, url: http://a, price: ${price} } }\n`;
  writeFileSync(file, text("1"));
  const replace = (price: string, ...options: string[]) => {
    writeFileSync(next, text(price));
    return run(["route", "replace", next, ...options], { env: { SLUICE_ROUTES: file } });
  };
  const [version = ""] = execFileSync("sha256sum", [file], { encoding: "utf8" }).split(" ");
  expect(replace("free")).toMatchObject({ code: 65, stdout: "" });
  const late = replace("2", "--if-version", "another");
  expect(late).toMatchObject({ code: 1, stdout: "" });
  expect(late.stderr).toContain(`version is ${version} now`);
  expect(readFileSync(file, "utf8")).toBe(text("1"));
  const made = replace("2", "--if-version", version);
  expect(made.code).toBe(1); // nobody runs whom it could tell
  expect(made.stderr).toStartWith("sluice: no process was told to read the file: ");
  expect(made.stdout).toStartWith(`operator A: price 1 → 2\n${file} was ${version}\n`);
  expect(readFileSync(file, "utf8")).toBe(text("2"));
  const logged = logOf("--action", "routes.change");
  rmSync(folder, { recursive: true });
  expect(logged).toMatchObject([
    { subject: file, via: "cli", old: { version }, new: { changes: ["operator A: price 1 → 2"] } },
  ]);
});
