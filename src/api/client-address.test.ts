// Client addresses: only the edge is believed.

import { expect, test } from "bun:test";
import { createClientAddress } from "./client-address.ts";

const said = (headers: Record<string, string>): Headers => new Headers(headers);
const peer = () => "127.0.0.1";

test("the edge's header counts together with its secret", () => {
  const address = createClientAddress("abc123");
  expect(address(said({ "x-real-ip": "203.0.113.9", "x-sluice-edge": "abc123" }), peer)).toBe("203.0.113.9");
});

test("without the secret, or with a wrong one, the connection's own address counts", () => {
  const address = createClientAddress("abc123");
  for (const secret of ["", "abc12", "abc124", "abc1234", "abc123, abc123"])
    expect(address(said({ "x-real-ip": "203.0.113.9", "x-sluice-edge": secret }), peer)).toBe("127.0.0.1");
  expect(address(said({ "x-real-ip": "203.0.113.9", "x-forwarded-for": "203.0.113.9" }), peer)).toBe(
    "127.0.0.1",
  );
});

test("while a secret is replaced, the old one and the new one count, and nothing else", () => {
  const address = createClientAddress("new,old");
  for (const [secret, seen] of [
    ["new", "203.0.113.9"],
    ["old", "203.0.113.9"],
    ["new,old", "127.0.0.1"],
    ["", "127.0.0.1"],
  ] as const)
    expect(address(said({ "x-real-ip": "203.0.113.9", "x-sluice-edge": secret }), peer)).toBe(seen);
  expect(createClientAddress(",")(said({ "x-real-ip": "203.0.113.9", "x-sluice-edge": "" }), peer)).toBe(
    "127.0.0.1",
  );
});

test("where no edge is configured, an empty secret is not accepted", () => {
  const address = createClientAddress("");
  expect(address(said({ "x-real-ip": "203.0.113.9", "x-sluice-edge": "" }), peer)).toBe("127.0.0.1");
  expect(address(said({}), () => undefined)).toBe("unknown");
});
