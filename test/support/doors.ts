// A door in front of an acceptance that only remembers what it was asked: for tests of the translation from
// both sides. Routes, headers of refusals and the reading of bodies are those of the API.

import { neverGone } from "../../src/core/caller.ts";
import type { SluiceError } from "../../src/core/errors.ts";
import { toSluiceError } from "../../src/core/errors.ts";
import type { Draft } from "../../src/core/draft.ts";
import { cost as costOf } from "../../src/core/money.ts";
import type { KeyOwner, Scope } from "../../src/customers/api-keys.ts";
import type { DoorDeps } from "../../src/api/doors/doors.ts";
import type { DoorRoute } from "../../src/api/doors/door.ts";
import { respond, respondRefusal } from "../../src/api/http.ts";
import type { Written } from "../../src/api/route.ts";
import type { Pool } from "../../src/platform/mysql.ts";
import type { Outcome } from "../../src/reports/outcomes.ts";
import type { StoredAnswer } from "../../src/ledger/idempotency.ts";

export const KEY = "sk_of-the-customer";
export const CUSTOMER = 10;
export const KEY_ID = "01K3ZQ5V8W9X0Y1Z2A3B4C5D6F";
/** When everything is asked, until time passes. */
export const NOW_MS = Date.UTC(2026, 10, 26, 10, 30);
/** Of every code, and the code itself. */
export const OTP_ID = "01K3ZQ5V8W9X0Y1Z2A3B4C5D6G";
export const OTP_CODE = "123456";
/** Of every message; its 128 bits are ID_HEX, and its time is ID_DATE. */
const ID = "01K3ZQ5V8W9X0Y1Z2A3B4C5D6E";
export const ID_HEX = "0198ff72ed1c4f41e0fc4a1ac8c2b4ce";
export const ID_UUID = "0198ff72-ed1c-4f41-e0fc-4a1ac8c2b4ce";
export const ID_DATE = "Sun, 31 Aug 2025 09:26:18 +0000";

type Taken = { id: string; parts: number; encoding: Draft["encoding"]; cost: number };
export type Seen = { status: number; headers: Headers; text: string };
export type TestDoor = {
  /** Of all messages accepted so far. */
  drafts: Draft[];
  topUps: Parameters<DoorDeps["topUps"]>[0][];
  /** What each addition is refused with. */
  failTopUps: SluiceError | null;
  /** Key ids and keys that are to sign callbacks. */
  signers: [keyId: string, apiKey: string][];
  /** What repeats of the requests that had an Idempotency-Key must ask for as well. */
  asked: string[];
  /** What becomes of every code's message, and what was promised for it at most. */
  outcome: Outcome | null;
  promises: (number | undefined)[];
  /** What the next acceptance is refused with. */
  refuse(error: SluiceError): void;
  pass(ms: number): void;
  /** This phone, in E.164, wants no more messages. */
  optOut(phone: string): void;
  /** What the next caller's key may do. */
  allow(...scopes: Scope[]): void;
  ask(target: string, init?: RequestInit): Promise<Seen>;
};

/** Of the customer. */
type CustomerRules = Pick<KeyOwner, "quietUntil" | "senders" | "plan" | "showsOtp">;

export function testDoor(
  create: (deps: DoorDeps) => DoorRoute[],
  { priorityIsExpress = false, rules = {} }: { priorityIsExpress?: boolean; rules?: CustomerRules } = {},
): TestDoor {
  const drafts: Draft[] = [];
  const topUps: TestDoor["topUps"] = [];
  const signers: TestDoor["signers"] = [];
  const asked: string[] = [];
  const stored = new Map<string, StoredAnswer>();
  const sealed = new Map<string, string>();
  const promises: TestDoor["promises"] = [];
  const optedOut = new Set<string>();
  let nowMs = NOW_MS;
  let error: SluiceError | null = null;
  let scopes: readonly Scope[] = ["send", "read"];
  const take = (accepted: readonly Draft[]): Taken[] => {
    const failing = error;
    error = null;
    if (failing !== null) throw failing;
    drafts.push(...accepted);
    return accepted.map(({ parts, encoding }) => ({ id: ID, parts, encoding, cost: costOf(parts, 500) }));
  };
  const owner = (): KeyOwner => ({
    customerId: CUSTOMER,
    keyId: KEY_ID,
    name: "test",
    priceNormal: 500,
    priceExpress: 700,
    currency: "IRR",
    region: "IR",
    rateLimit: null,
    resendsUnknown: false,
    scopes: new Set(scopes),
    ...rules,
  });
  const deps: DoorDeps = {
    callers: {
      keys: { get: (key) => (key === KEY ? owner() : null), load: async () => null, nowMs: Date.now },
      noteUse: () => undefined,
      takeRequest: () => undefined,
      takeNonce: async () => true,
    },
    accept: async ({ draft }) => {
      const [one] = take([draft]);
      const money = { currency: "IRR", balanceAfter: 0, status: "queued", guaranteedByMs: null } as const;
      return {
        accepted: { ...(one as Taken), ...money, customerId: CUSTOMER, lane: draft.lane },
        rate: null,
      };
    },
    acceptBatch: async ({ drafts: all }) => {
      const messages = take(all);
      const accepted = { id: ID, lane: "normal", messages, cost: 0, balanceAfter: 0 } as const;
      const unpaid = "insufficient_balance";
      return { accepted: { ...accepted, unpaid, guaranteedByMs: null }, rate: null };
    },
    keys: {
      once: async (request, run) => {
        asked.push(Buffer.from(request.body).toString());
        const before = stored.get(request.key);
        if (before !== undefined) return { kind: "replayed", stored: before };
        const hash = Buffer.alloc(0);
        const result = await run({ ...request, hash });
        const { status, body } = result as Written;
        stored.set(request.key, { hash, status, answer: sealed.get(request.key) ?? body ?? "" });
        return { kind: "ran", result };
      },
      find: async () => null,
    },
    optOuts: {
      hasNone: () => optedOut.size === 0,
      refused: async (_, messages) =>
        new Set(messages.flatMap(({ phone }, at) => (optedOut.has(phone) ? [at] : []))),
    },
    callbacks: { allowPrivate: false },
    now: () => nowMs,
    topUps: async (one) => {
      if (seen.failTopUps !== null) throw seen.failTopUps;
      topUps.push(one);
      return { idempotent: false, balance: 0 };
    },
    reads: () => ({ pool: {} as Pool }), // no test here reads
    schedule: () => ({ pool: {} as Pool, now: () => nowMs }), // nor cancels
    signers: {
      keep: async ({ keyId }, apiKey) => void signers.push([keyId, apiKey]),
    },
    priorityIsExpress,
    otps: {
      async send({ draft, payer, promiseMaxMs, answerOf, key }) {
        promises.push(promiseMaxMs);
        const { accepted } = await deps.accept({ payer, draft, fallback: null, kept: null, ...NOBODY });
        const code = payer.showsOtp === true ? OTP_CODE : null;
        const sent = { id: OTP_ID, expiresAtMs: 0, accepted, code };
        if (key !== null) sealed.set(key.key, answerOf({ ...sent, code: code === null ? null : "sealed" }));
        return { sent, rate: null };
      },
      openAnswer: ({ otpId }, text) => (otpId === OTP_ID && text === "sealed" ? OTP_CODE : null),
    },
    outcomes: { waitIn: (_, run) => run(async () => seen.outcome) },
  };
  const doors = create(deps).map((door) => ({ door, pattern: patternOf(door.path) }));
  const seen: TestDoor = {
    outcome: null,
    asked,
    promises,
    drafts,
    topUps,
    failTopUps: null,
    signers,
    refuse: (given) => (error = given),
    pass: (ms) => (nowMs += ms),
    optOut: (phone) => void optedOut.add(phone),
    allow: (...given) => (scopes = given),
    async ask(target, init = {}) {
      const request = new Request(`http://127.0.0.1${target}`, init);
      const found = doors.find(
        ({ door, pattern }) => door.method === request.method && pattern.test(new URL(request.url).pathname),
      );
      if (found === undefined) throw new Error(`no route ${request.method} ${target}`);
      const { door, pattern } = found;
      const params = pattern.exec(new URL(request.url).pathname)?.groups ?? {};
      const response = await door
        .run({
          request,
          requestId: "r",
          traceparent: "",
          params,
          isGone: () => false,
          isStopping: () => false,
          explain: toSluiceError,
          clientAddress: () => "127.0.0.1",
        })
        .then(
          (reply) => respond(reply, "r"),
          (thrown: unknown) => {
            const refused = toSluiceError(thrown);
            if (refused.code === "internal") throw thrown;
            return respondRefusal(refused, door.refusal(refused, request), "r");
          },
        );
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
  };
  return seen;
}

/** For a request of nobody in particular. */
const NOBODY = { traceparent: "", isGone: neverGone };

const patternOf = (path: string): RegExp =>
  new RegExp(`^${path.replaceAll(".", "\\.").replace(/:(\w+)/g, "(?<$1>[^/]+)")}$`);
