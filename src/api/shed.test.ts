// What is refused by its head alone, and that it is answered like any other refusal.

import { expect, test } from "bun:test";
import type { KeyOwner } from "../customers/api-keys.ts";
import { createShed } from "./shed.ts";

const owner = (customerId: number) => ({ customerId, keyId: "k" }) as KeyOwner;
const guard = { isSuspended: true, allows: null, signingSecret: null };
const OWNERS: Record<string, KeyOwner | null> = {
  flooding: owner(1),
  other: owner(2),
  guarded: { ...owner(1), guard },
  revoked: null,
};
const keys = {
  get: (key: string) => OWNERS[key],
  load: () => Promise.reject(new Error("not used")),
  nowMs: () => 0,
};
let isTight = true;
const room = { isTight: () => isTight, refuses: (customerId: number) => customerId === 1 };
let turn: Promise<void> | null = null;
const served = new Response("served");
const shed = createShed({ keys, room, pace: () => turn }, () => served);
const ask = (headers: Record<string, string>) => shed({ headers: new Headers(headers) });

test("only a known key of a customer without room is refused; all else is left to the checks", () => {
  for (const key of ["other", "guarded", "revoked", "unknown"])
    expect(ask({ "x-api-key": key })).toBe(served);
  expect(ask({})).toBe(served);
  expect(ask({ "x-api-key": "flooding" })).not.toBe(served);
});

test("while there is room for all, nothing is looked at", () => {
  isTight = false;
  try {
    expect(ask({ "x-api-key": "flooding" })).toBe(served);
  } finally {
    isTight = true;
  }
});

test("the answer is the problem that a full queue has everywhere, in the caller's language", async () => {
  const answer = ask({ "x-api-key": "flooding", "accept-language": "fa" }) as Response;
  const body = (await answer.json()) as { code: string; request_id: string };
  expect([answer.status, body.code]).toEqual([503, "overloaded"]);
  expect(answer.headers.get("retry-after")).toBe("1");
  expect(answer.headers.get("content-language")).toBe("fa");
  expect(answer.headers.get("x-request-id")).toBe(body.request_id);
  const next = ask({ "x-api-key": "flooding" }) as Response;
  expect(next.headers.get("x-request-id")).not.toBe(body.request_id);
});

test("a refusal waits for its turn, and is none if there is room by then", async () => {
  for (const isTightThen of [true, false]) {
    const { promise, resolve } = Promise.withResolvers<void>();
    turn = promise;
    const answer = ask({ "x-api-key": "flooding" });
    expect(answer).toBeInstanceOf(Promise);
    isTight = isTightThen;
    resolve();
    expect((await answer).status).toBe(isTightThen ? 503 : 200);
  }
  [isTight, turn] = [true, null];
});
