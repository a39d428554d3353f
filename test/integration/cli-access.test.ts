// The commands for keys, allow-lists and the suspension of customers.

import { expect, test } from "bun:test";
import { testCli } from "../support/cli.ts";

const { run, json, liveKeys, customer } = await testCli();

test("a key is rotated: the new one is shown once, the old one expires; a new one that can't be written isn't made", async () => {
  const { customer_id: id = "", key_id: old = "" } = customer();
  expect(run(["key", "rotate", old], { to: "/dev/full" })).toMatchObject({ code: 74 });
  expect(await liveKeys(id)).toBe(1);
  type Key = { key_id: string; live: boolean; signed: boolean; expires_at: string | null };
  const keys = () =>
    (JSON.parse(run(["key", "list", "--customer", id, "--json"]).stdout) as { keys: Key[] }).keys;
  expect(keys()).toMatchObject([{ key_id: old, live: true, signed: false, expires_at: null }]);
  const made = json("key", "rotate", old, "--overlap", "90s", "--signed");
  expect(made).toMatchObject({ customer_id: id, replaces: old });
  expect(made.api_key).toStartWith("sk_");
  expect(made.signing_secret).toStartWith("ss_");
  expect(Math.abs(Date.parse(made.old_expires_at ?? "") - Date.now() - 90_000)).toBeLessThan(20_000);
  expect(keys()).toMatchObject([
    { key_id: old, live: true, expires_at: made.old_expires_at ?? "" },
    { key_id: made.key_id ?? "", live: true, signed: true, expires_at: null },
  ]);
  const third = run(["key", "create", "--customer", id]);
  expect([third.code, third.stdout]).toEqual([1, ""]);
  expect(third.stderr).toContain("already has 2 live keys");
  for (const overlap of ["", "1", "-1s", "1.5h", "91d", "24 h", "forever"])
    expect(run(["key", "rotate", old, "--overlap", overlap])).toMatchObject({ code: 1, stdout: "" });
  const last = json("key", "rotate", old, "--overlap", "0");
  expect(keys().map(({ key_id, live }) => [key_id, live])).toEqual([
    [old, false],
    [made.key_id ?? "", true],
    [last.key_id ?? "", true],
  ]);
  expect(run(["key", "rotate", old]).stderr).toContain("No live key");
});

test("when a key expires is set and changed; a time that has passed, or none, is refused", () => {
  const { customer_id: id = "" } = customer();
  const made = json(
    "key",
    "create",
    "--customer",
    id,
    "--expires-at",
    "2099-12-31T23:59:59Z",
    "--scopes",
    "read",
  );
  const expiresAt = () => {
    const { keys } = JSON.parse(run(["key", "list", "--customer", id, "--json"]).stdout) as {
      keys: { key_id: string; expires_at: string | null }[];
    };
    return keys.find(({ key_id }) => key_id === made.key_id)?.expires_at;
  };
  expect(expiresAt()).toBe("2099-12-31T23:59:59.000Z");
  expect(json("key", "expire", made.key_id ?? "", "never").expires_at).toBeNull();
  expect(expiresAt()).toBeNull();
  expect(json("key", "expire", made.key_id ?? "", "2098-01-01T00:00+03:30").expires_at).toBe(
    "2097-12-31T20:30:00.000Z",
  );
  const noDates = ["2097-02-30T00:00:00Z", "2097-04-31T00:00Z", "2097-01-01T24:00:00Z"];
  for (const bad of ["2020-01-01T00:00:00Z", "tomorrow", "", ...noDates, "9999-12-31T23:59:59-01:00"]) {
    const refused = run(["key", "expire", made.key_id ?? "", bad]);
    expect({ bad, ...refused }).toMatchObject({ bad, code: 1, stdout: "" });
    expect(refused.stderr).toContain("It must be a time");
  }
  expect(expiresAt()).toBe("2097-12-31T20:30:00.000Z");
  expect(run(["key", "expire", "no-such-key", "never"]).stderr).toContain("No live key");
});

test("a customer is suspended and resumed", () => {
  const id = customer().customer_id ?? "";
  const since = () => {
    const { customers } = JSON.parse(run(["customer", "list", "--json"]).stdout) as {
      customers: { customer_id: string; suspended_at: string | null }[];
    };
    return customers.find((row) => row.customer_id === id)?.suspended_at;
  };
  expect(since()).toBeNull();
  expect(run(["customer", "suspend", "--customer", id]).stdout).toBe(`customer_id: ${id}\nsuspended: true\n`);
  expect(since()).toMatch(/Z$/);
  expect(run(["customer", "resume", "--customer", id]).stdout).toBe(`customer_id: ${id}\nsuspended: false\n`);
  expect(since()).toBeNull();
});

test("allow-lists of customers and keys are set, listed and cleared", () => {
  const { customer_id: id = "", key_id: key = "" } = customer();
  const lists = () =>
    (JSON.parse(run(["address", "list", "--customer", id, "--json"]).stdout) as { addresses: unknown[] })
      .addresses;
  expect(lists()).toEqual([]);
  const set = run([
    "address",
    "set",
    "192.0.2.0/24",
    "2001:db8::/32",
    "192.0.2.0/24",
    "--customer",
    id,
    "--json",
  ]);
  expect(JSON.parse(set.stdout)).toEqual({ customer_id: id, addresses: ["192.0.2.0/24", "2001:db8::/32"] });
  expect(run(["address", "set", "203.0.113.9", "--key", key]).code).toBe(0);
  expect(lists()).toEqual([
    { customer_id: id, key_id: null, addresses: ["192.0.2.0/24", "2001:db8::/32"] },
    { customer_id: id, key_id: key, addresses: ["203.0.113.9"] },
  ]);
  for (const args of [
    ["set", "--customer", id],
    ["set", "::1"],
    ["set", "::1", "--customer", id, "--key", key],
    ["set", "::1", "--key", "no-such-key"],
    ["set", "192.0.2.0/24", "example.com", "--customer", id],
    ["clear"],
  ])
    expect({ args, ...run(["address", ...args]) }).toMatchObject({ args, code: 1, stdout: "" });
  expect(run(["address", "set", "a", "::1", "b/8", "--key", key]).stderr).toContain(
    '"a" is neither an address',
  );
  expect(run(["address", "clear", "--customer", id]).code).toBe(0);
  expect(run(["address", "clear", "--key", key]).code).toBe(0);
  expect(lists()).toEqual([]);
});

test("limits of parts and requests are set one by one, shown and removed; bad ones are refused", () => {
  const { customer_id: id = "" } = customer();
  const shown = () => json("limit", "show", "--customer", id);
  expect(shown()).toMatchObject({ customer_id: id, parts: "none", requests: "none" });
  const set = (...of: string[]) => ["limit", "set", "--customer", id, ...of];
  expect(json(...set("--parts", "600"))).toMatchObject({ parts: 600, requests: "none" });
  expect(json(...set("--requests", "60"))).toMatchObject({ parts: 600, requests: 60 });
  expect(json(...set("--parts", "none"))).toMatchObject({ parts: "none", requests: 60 });
  expect(run(set()).stderr).toContain("say which limit");
  for (const bad of ["0", "-1", "1.5", "100000001", "no"])
    expect(run(set("--requests", bad))).toMatchObject({ code: 1, stdout: "" });
  expect(run(["limit", "set", "--customer", "999999999", "--parts", "1"]).stderr).toContain("No customer");
  expect(shown()).toMatchObject({ parts: "none", requests: 60 });
});
