// The commands for price plans, spend caps and low balances.

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { testCli } from "../support/cli.ts";

const { run, json, customer, stateFolder } = await testCli();

test("prices: a plan is imported, changed, used, checked and removed; a bad file changes nothing", () => {
  const id = customer().customer_id ?? "";
  const file = join(stateFolder, "prices.csv");
  const lines = ["prefix,valid_from,normal,express", "+98,2026-01-01,100,+50", "+882,,refused,refused"];
  writeFileSync(file, lines.join("\n"));
  expect(json("price", "import", "cli", file)).toMatchObject({ plan: "cli", rates: 2 });
  writeFileSync(file, [...lines, "98,,1,1", "+1,,x,1"].join("\n"));
  const bad = run(["price", "import", "cli", file]);
  expect([bad.code, bad.stdout]).toEqual([1, ""]);
  expect(bad.stderr).toContain("line 4 prefix must be a plus and up to 15 digits; line 5 normal must be");

  const set = ["price", "set", "cli", "+98912", "--normal", "90", "--express", "95"];
  expect(json(...set, "--from", "2026-02-01")).toMatchObject({ prefix: "+98912", normal: 90, express: 95 });
  expect(run([...set, "--refuse"]).stderr).toContain("not both");
  expect(run(["price", "set", "cli", "+1", "--normal", "1"]).stderr).toContain("both --normal and --express");
  expect(run(["price", "set", "cli", "98", "--refuse"]).stderr).toContain("a plus and up to 15 digits");
  expect(run(["price", "set", "none", "+", "--refuse"]).stderr).toContain("means no plan");
  const listed = run(["price", "list", "cli", "--json"]).stdout;
  expect((JSON.parse(listed) as { rates: { prefix: string }[] }).rates.map(({ prefix }) => prefix)).toEqual([
    "+882",
    "+98",
    "+98912",
  ]);

  const check = (phone: string, ...of: string[]) => json("price", "check", phone, "--customer", id, ...of);
  expect(check("09121234567")).toMatchObject({ phone: "+989121234567", price: 500, plan: null });
  expect(json("price", "use", "cli", "--customer", id)).toMatchObject({ plan: "cli" });
  expect(check("09121234567", "--lane", "express")).toMatchObject({ price: 95, prefix: "+98912" });
  expect(check("09121234567", "--at", "2026-01-15")).toMatchObject({ price: 100, prefix: "+98" });
  expect(check("+447400123456")).toMatchObject({ price: 500, plan: "cli", prefix: null });
  expect(check("+88213000000")).toMatchObject({ price: null, refused: expect.stringContaining("refuses") });
  expect(run(["price", "check", "12", "--customer", id]).stderr).toContain("phone is not a valid");

  expect(run(["price", "remove", "cli"]).stderr).toContain("is the plan of 1 customers");
  expect(json("price", "remove", "cli", "+882")).toMatchObject({ removed: 1 });
  expect(run(["price", "remove", "cli", "+882"]).stderr).toContain("no such rate");
  expect(json("price", "use", "none", "--customer", id)).toMatchObject({ plan: null });
  expect(json("price", "remove", "cli")).toMatchObject({ removed: true });
  expect(run(["price", "list", "cli"]).stderr).toContain("No price plan cli");
});

test("caps are set one by one, shown and removed; a low balance is watched", () => {
  const id = customer().customer_id ?? "";
  const of = ["--customer", id];
  expect(json("cap", "show", ...of)).toEqual({ customer_id: id, daily: "none", monthly: "none" });
  expect(json("cap", "set", ...of, "--daily", "1000")).toMatchObject({ daily: 1_000, daily_left: 1_000 });
  expect(json("cap", "set", ...of, "--monthly", "5000")).toMatchObject({ daily: 1_000, monthly_left: 5_000 });
  expect(json("cap", "set", ...of, "--daily", "none")).toMatchObject({ daily: "none", monthly: 5_000 });
  expect(run(["cap", "set", ...of]).stderr).toContain("say which cap");
  expect(run(["cap", "set", ...of, "--daily", "-1"]).stderr).toContain("whole number from 0 to");
  expect(json("webhook", "set", ...of, "--low-balance", "700")).toMatchObject({ low_balance: 700 });
  expect(json("webhook", "set", ...of, "--low-balance", "none")).toMatchObject({ low_balance: null });
});

test("quiet hours are set by prefix, listed and cleared", () => {
  const id = customer().customer_id ?? "";
  const all = { prefix: null, hours: "22:00-08:00", zone: null };
  expect(json("quiet", "list", id)).toEqual({ customer_id: id, quiet_hours: [] as never });
  expect(json("quiet", "set", id, "22:00-08:00")).toMatchObject({ quiet_hours: [all] });
  const iran = { prefix: "98", hours: "23:30-07:00", zone: "Asia/Tehran" };
  const set = ["quiet", "set", id, "23:30-07:00", "--prefix", "+98", "--zone", "Asia/Tehran"];
  expect(json(...set)).toMatchObject({ quiet_hours: [all, iran] });
  expect(run(["quiet", "list", id]).stdout).toContain('"zone":"Asia/Tehran"');
  expect(run(["quiet", "set", id, "8-22"]).stderr).toContain("such as 22:00-08:00");
  expect(run(["quiet", "set", id, "22:00-08:00", "--zone", "Tehran/Asia"]).stderr).toContain("IANA zone");
  expect(run(["quiet", "clear", id, "--prefix", "44"]).stderr).toContain("no such quiet hours");
  expect(json("quiet", "clear", id, "--prefix", "98")).toMatchObject({ quiet_hours: [all] });
  expect(json("quiet", "clear", id)).toMatchObject({ quiet_hours: [] as never });
});

test("sender ids are allowed, removed and listed; an empty list allows none", () => {
  const id = customer().customer_id ?? "";
  expect(json("sender", "list", id)).toEqual({ customer_id: id, senders: null as never });
  expect(json("sender", "allow", id, "Acme", "+98300045")).toMatchObject({ senders: ["98300045", "Acme"] });
  expect(run(["sender", "allow", id, "much too long a name"]).stderr).toContain("at most 11 characters");
  expect(run(["sender", "remove", id, "Other"]).stderr).toContain('The list has no "Other"');
  expect(json("sender", "remove", id, "Acme", "98300045")).toMatchObject({ senders: [] as never });
  expect(json("sender", "clear", id)).toMatchObject({ senders: null as never });
});
