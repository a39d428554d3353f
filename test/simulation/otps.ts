// One-time codes in a simulated run: customers that ask for codes, some of them again with the same key, and
// verify them with right and wrong codes, several at once and at different processes. What they do is drawn
// from a generator of its own, and only in one seed of seven, so that the other seeds run as they would
// without.
// Invariants checked here: of a code at most OTP_TRIES_MAX tries are answered, at most one of them with a
// success, and none once a newer code has taken its place or its time is over; the right code is never called
// wrong, nor another one right; no more codes are stored for a phone than is allowed; operators get the text
// with the code; the database never has it in the clear, and not even sealed once its message can't be
// submitted any more; the same key gets the same bytes.

import { CODE } from "../../src/core/otp-code.ts";
import type { OtpRules } from "../../src/core/otp-guard.ts";
import { OTP_TRIES_MAX, OTP_TTL_MIN_MS } from "../../src/core/otp-limits.ts";
import { createOtpSecret } from "../../src/core/otp-secret.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import type { KeyOwner } from "../../src/customers/api-keys.ts";
import type { RowChange } from "../simulated-mysql/server.ts";
import { hold } from "./hold.ts";
import type { Kernel } from "./kernel.ts";
import type { Model } from "./model.ts";
import { createRandom } from "./random.ts";
import type { Answer, Ingest, Request } from "./roles.ts";

export const OTP_SECRET = createOtpSecret("a secret of the simulator, long enough");
export const OTP_RULES: OtpRules = {
  resendMs: 0,
  phoneMax: 6,
  customerMax: 0,
  rangeMax: 0,
  verifiedPercent: 0,
  sample: 1,
};

export type Otps = {
  /** Asks for some for so long. */
  start(owners: readonly KeyOwner[], forMs: number): void;
  /** Call it after the model's. */
  onCommit(changes: readonly RowChange[]): void;
  onSubmit(message: LaneRecord): void;
  /** Sees each time that the database reads its clock, and returns it. */
  onNow(nowMs: number): number;
  /** Nothing waits for an answer or for a retry. */
  isIdle(): boolean;
  /** Call it when nothing is running any more. */
  check(): void;
  counts: Record<string, number>;
};
type Deps = { model: Model; ingests: () => readonly Ingest[]; isCalm: () => boolean };
/** A code that was answered. */
type Sent = { id: string; owner: KeyOwner; messageId: string; code: string; tries: number; wins: number };
/** A code as it is stored. `isReplaced`: its row belongs to a newer one. */
type Stored = { tries: number; isVerified: boolean; isReplaced: boolean; expiresAtMs: number };
/** A verification, and the times between which the database's clock was while it was under way. */
type Try = { one: Sent; given: string; wasReplaced: boolean; earliestMs: number; latestMs: number };

const SEEDS = 7;
const WITH_OTPS = 5;
const PHONES = 3;
const LENGTH = 10;
const TTL_MIN_S = OTP_TTL_MIN_MS / 1_000;
const TEXT = "your code: ";
const TRIES_MAX = 5;
const AT_ONCE_MAX = 4;
const PATIENCE_MS = 8_000;
/** Refusals after which nothing was stored. */
const REFUSED = new Set([
  "insufficient_balance",
  "spend_cap_reached",
  "otp_phone_limited",
  "credit_elsewhere",
  "unavailable",
  "overloaded",
  "idempotency_in_progress",
  "outcome_unknown",
]);
/** Of tables that could have a code. */
const SEARCHED = new Set(["messages", "outbox", "outbox_held", "idempotency_keys", "otps", "webhook_events"]);

const nameOf = (customerId: unknown, phone: unknown): string => `${String(customerId)} ${String(phone)}`;

export function createOtps(kernel: Kernel, seed: number, { model, ingests, isCalm }: Deps): Otps {
  const random = createRandom(seed + 0x07b5);
  const has = seed % SEEDS === WITH_OTPS;
  const counts = {
    "codes asked": 0,
    "codes sent": 0,
    "codes verified": 0,
    "codes wrong": 0,
    "codes over": 0,
  };
  const sent = new Map<string, Sent>();
  const stored = new Map<string, Stored>();
  const storedFor = new Map<string, number>();
  const underWay = new Set<Try>();
  /** Messages whose code was replaced by one of the same commit, so that it was never seen stored. */
  const overtaken = new Set<string>();
  /** By its key: the bytes of a 202. */
  const bytes = new Map<string, string>();
  /** By message: the code that an operator got. */
  const submitted = new Map<string, string>();
  const written: string[] = [];
  let waiting = 0;

  /** One try at a process; null: no answer. */
  const ask = (request: Request, then: (answer: Answer | null) => void): void => {
    const living = ingests().filter(({ of }) => of.alive);
    waiting++;
    let isOver = false;
    const end = (answer: Answer | null) => {
      if (isOver) return;
      isOver = true;
      waiting--;
      then(answer);
    };
    if (living.length === 0) return void kernel.after(50, null, () => end(null));
    const to = random.pick(living);
    let isGone = false;
    kernel.after(random.between(0.1, 2), to.of, () => {
      const answered = (answer: Answer | null) =>
        void kernel.after(random.between(0.1, 2), null, () => end(isGone ? null : answer));
      to.handle(request, { traceparent: "", isGone: () => isGone }).then(answered, () => answered(null));
    });
    kernel.after(PATIENCE_MS, null, () => {
      isGone = true;
      end(null);
    });
  };

  const send = (owner: KeyOwner, phone: string, key: string | null, left: number): void => {
    // Some are over after a leap of the clocks or two.
    const ttl = Number(phone.at(-1)) % 2 === 0 ? TTL_MIN_S : undefined;
    const body = Buffer.from(JSON.stringify({ phone, template: `${TEXT}${CODE}`, length: LENGTH, ttl }));
    ask({ route: "otp", owner, body, key }, (answer) => {
      const isFinal = answer !== null && checkSent(owner, key, answer);
      if (key !== null && left > 0 && (!isFinal || random.chance(0.3)))
        later(random.between(50, 800), () => send(owner, phone, key, left - 1));
    });
  };

  const later = (ms: number, run: () => void): void => {
    waiting++;
    kernel.after(ms, null, () => {
      waiting--;
      run();
    });
  };

  /** Whether the answer is one that a repeat gets too. */
  const checkSent = (owner: KeyOwner, key: string | null, { status, body }: Answer): boolean => {
    const fields = JSON.parse(body) as Record<string, unknown>;
    const detail = () => `a code was answered ${status} ${body}`;
    kernel.note("answer", `otp ${status}`);
    if (status !== 202) {
      hold(REFUSED.has(String(fields.code)), "a code is refused for a reason", detail);
      hold(status !== 503 || !isCalm(), "no 503 while nothing fails", detail);
      return status === 402;
    }
    const [id, code, messageId] = [String(fields.id), String(fields.otp_code), String(fields.message_id)];
    const known = key === null ? undefined : bytes.get(`${owner.customerId} ${key}`);
    hold(known === undefined || known === body, "a replay returns the same bytes", detail);
    if (known !== undefined) return true;
    if (key !== null) bytes.set(`${owner.customerId} ${key}`, body);
    const message = model.messages.get(messageId);
    hold(message?.customerId === owner.customerId, "every 202 is stored", detail);
    const isExpress = fields.cost === message.cost && message.values.lane === "express";
    hold(isExpress, "a code is an express message", detail);
    if (!stored.has(id)) {
      hold(overtaken.has(messageId), "every 202 is stored", detail);
      stored.set(id, { tries: 0, isVerified: false, isReplaced: true, expiresAtMs: Infinity });
    }
    counts["codes sent"]++;
    const one: Sent = { id, owner, messageId, code, tries: 0, wins: 0 };
    sent.set(id, one);
    for (let n = random.int(3); n > 0; n--)
      later(random.between(1, 900), () => {
        for (let at = 1 + random.int(AT_ONCE_MAX); at > 0; at--) verify(one, random.chance(0.3));
      });
    return true;
  };

  const verify = (one: Sent, isRight: boolean): void => {
    const { id, owner, code } = one;
    const given = isRight ? code : String(random.int(10_000)).padStart(LENGTH, "0");
    const wasReplaced = stored.get(id)?.isReplaced === true;
    const tried: Try = { one, given, wasReplaced, earliestMs: Infinity, latestMs: -Infinity };
    underWay.add(tried);
    const request = {
      route: "verify",
      owner,
      body: Buffer.from(JSON.stringify({ code: given })),
      key: null,
      id,
    };
    ask(request as Request, (answer) => {
      underWay.delete(tried);
      if (answer !== null) checkVerified(tried, answer);
    });
  };

  const checkVerified = (tried: Try, { status, body }: Answer): void => {
    const { one, given, wasReplaced, earliestMs, latestMs } = tried;
    const row = stored.get(one.id) as Stored;
    const { code, otp_status } = JSON.parse(body) as Record<string, unknown>;
    const detail = () => `${one.id} with ${given} for ${one.code}: ${status} ${body}; ${JSON.stringify(row)}`;
    kernel.note("answer", `verify ${one.id} ${status}`);
    const isSuccess = status === 200;
    if (isSuccess || code === "otp_wrong") {
      hold(isSuccess === (given === one.code), "only the right code is right", detail);
      hold(!wasReplaced, "a code that was replaced is over", detail);
      hold(row.expiresAtMs > earliestMs, "a code that has expired is over", detail);
      hold(++one.tries <= OTP_TRIES_MAX, "a code has five tries", detail);
      if (isSuccess)
        hold(++one.wins === 1 && row.isVerified, "a code is verified once, and stored so", detail);
      counts[isSuccess ? "codes verified" : "codes wrong"]++;
    } else if (code === "otp_over") {
      counts["codes over"]++;
      const ends = new Map<unknown, boolean>([
        ["locked", row.tries === TRIES_MAX],
        ["verified", row.isVerified],
        ["expired", row.expiresAtMs <= latestMs],
      ]);
      const isSo = ends.get(otp_status) === true;
      hold(isSo, "a code is over by its tries, by its time, or because it was verified", detail);
    } else if (code === "not_found") hold(row.isReplaced, "404 only for a code that was replaced", detail);
    else hold(status === 503 && !isCalm(), "no other answer to a verification", detail);
  };

  const onOtp = ({ before, after }: RowChange): void => {
    if (after === null) return;
    const id = String(after.otp_id);
    const isNew = before === null || before.otp_id !== after.otp_id;
    if (before !== null && isNew) {
      const old = stored.get(String(before.otp_id));
      if (old !== undefined) old.isReplaced = true;
    }
    const detail = () => JSON.stringify(after);
    const row = stored.get(id) ?? { tries: 0, isVerified: false, isReplaced: false, expiresAtMs: 0 };
    hold(
      Number(after.tries) >= row.tries && Number(after.tries) <= TRIES_MAX,
      "tries only grow, to five",
      detail,
    );
    row.tries = Number(after.tries);
    row.isVerified = after.verified_at !== null;
    row.expiresAtMs = Number(after.expires_at);
    stored.set(id, row);
    if (!isNew) return;
    hold(row.tries === 0 && !row.isVerified, "a new code has all its tries", detail);
    const message = model.messages.get(String(after.message_id));
    hold(message?.values.phone === after.phone, "a code is stored together with its message", detail);
    const name = nameOf(after.customer_id, after.phone);
    const codes = (storedFor.get(name) ?? 0) + 1;
    storedFor.set(name, codes);
    hold(codes <= OTP_RULES.phoneMax, "no more codes go to a phone than is allowed", detail);
  };

  /** Of several codes for a phone in one commit the last one counts, whichever was asked for first. */
  const noteOvertaken = (changes: readonly RowChange[]): void => {
    const added = (of: string) =>
      changes.flatMap(({ table, before, after }) =>
        table === of && after !== null ? [{ before, after }] : [],
      );
    const codes = new Map(
      added("otps")
        .filter(({ before, after }) => before?.otp_id !== after.otp_id)
        .map(({ after }) => [nameOf(after.customer_id, after.phone), after.message_id]),
    );
    if (codes.size === 0) return;
    for (const { before, after } of added("messages")) {
      if (before !== null) continue;
      const last = codes.get(nameOf(after.customer_id, after.phone));
      if (last !== undefined && last !== after.id) overtaken.add(String(after.id));
    }
  };

  const onMessage = (after: NonNullable<RowChange["after"]>): void => {
    if (!String(after.text).includes(CODE)) return;
    const mayBeSubmitted = after.status === "queued" || after.status === "sending";
    hold(
      (after.sealed_code !== null) === mayBeSubmitted,
      "a code is kept, sealed, while its message may be submitted",
      () => `${String(after.id)} ${String(after.status)} ${String(after.sealed_code)}`,
    );
  };

  return {
    counts,
    isIdle: () => waiting === 0,
    start(owners, forMs) {
      if (!has) return;
      for (const owner of owners) {
        const everyMs = random.pick([60, 150, 400]);
        const next = () => {
          if (kernel.nowMs() > forMs) return;
          const name = `otp-${++counts["codes asked"]}`;
          send(owner, `+98912${2_000_000 + random.int(PHONES)}`, random.chance(0.5) ? name : null, 3);
          kernel.after(random.between(0, 2 * everyMs), null, next);
        };
        kernel.after(random.between(20, 500), null, next);
      }
    },
    onSubmit(message) {
      if (message.sealedCode === undefined) return;
      const code = message.text.slice(TEXT.length);
      const known = submitted.get(message.id);
      const isWhole = new RegExp(`^\\d{${LENGTH}}$`).test(code) && (known === undefined || known === code);
      // Thrown outside the process, so that the process can't catch it.
      if (!isWhole)
        kernel.after(0, null, () =>
          hold(false, "an operator gets the text with its code", () => `${message.id}: ${message.text}`),
        );
      submitted.set(message.id, code);
    },
    onNow(nowMs) {
      for (const tried of underWay) {
        tried.earliestMs = Math.min(tried.earliestMs, nowMs);
        tried.latestMs = Math.max(tried.latestMs, nowMs);
      }
      return nowMs;
    },
    onCommit(changes) {
      if (!has) return;
      noteOvertaken(changes);
      for (const change of changes) {
        const { table, after } = change;
        if (table === "otps") onOtp(change);
        if (table === "messages" && after !== null) onMessage(after);
        if (!SEARCHED.has(table) || after === null) continue;
        for (const value of Object.values(after))
          if (Buffer.isBuffer(value)) written.push(value.toString("latin1"));
          else if (typeof value === "string") written.push(value);
      }
    },
    check() {
      const all = written.join("\n");
      const codes = new Set([...submitted.values(), ...[...sent.values()].map(({ code }) => code)]);
      for (const code of codes)
        hold(!all.includes(code), "the database never has a code in the clear", () => code);
      for (const { id, messageId, code } of sent.values()) {
        const got = submitted.get(messageId);
        hold(got === undefined || got === code, "an operator gets the code that was answered", () => id);
      }
    },
  };
}
