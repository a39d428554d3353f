// Simulated clients: they send messages and top up. Some use an Idempotency-Key, some send a request twice at
// once or with another body; they retry when they get no answer or are told to, and sometimes leave before
// they are answered. Every answer is compared with the model.
// Invariants checked here: an answer tells the truth (answers.ts), the same key gets the same bytes, each
// request has at most one effect, and a request whose client left before it entered a commit has none, and
// ends.

import type { KeyOwner } from "../../src/customers/api-keys.ts";
import { batchOf, createAnswerCheck } from "./answers.ts";
import { callbackUrlOf } from "./customers.ts";
import type { Kernel } from "./kernel.ts";
import { hold } from "./hold.ts";
import { isToOptOuts } from "./inbounds.ts";
import type { Model } from "./model.ts";
import type { Answer, Ingest, OnStoring, Request } from "./roles.ts";

/** One thing that a client wants done, however often it asks. */
type Wish = {
  name: string;
  request: Request;
  triesLeft: number;
  /** Some try may have had an effect. */
  isUncertain: boolean;
  isAnswered: boolean;
  underWay: number;
  whenAnswered: () => void;
};
/** One try of a wish, at one process. */
type Attempt = {
  wish: Wish;
  to: Ingest;
  /** The lowest spendable amount since the request was made, and when that was. */
  least: number;
  askedAtMs: number;
  /** Other requests with its key were under way in this process. */
  rivals: boolean;
  /** The process knows that its client has left. */
  isGone: boolean;
  /** A transaction that stores it began while its client was still there. */
  isStoring: boolean;
  /** The process has finished with it. */
  isEnded: boolean;
};
type KeyState = {
  bodies: Set<string>;
  bytes: string | null;
  body: string | null;
  attempts: Set<Attempt>;
};
/** `leaves`: the share of requests whose client leaves, at most `withinMs` after asking. */
export type ClientFaults = { leaves: number; withinMs: number };
/** A spend cap refused a request, with this problem. */
type OnCapped = (customerId: number, fields: Record<string, unknown>, askedAtMs: number) => void;
export type Stats = Record<string, number>;
/** `isBrief`: valid for a minute. */
type Shape = { express: boolean; parts: number; isBrief: boolean };
export type Clients = {
  send(owner: KeyOwner, options: Shape & { keyed: boolean }): void;
  topUp(owner: KeyOwner, amount: number, keyed: boolean): void;
  /** Asks for something else, and again after each of these times, as if no answer had come. */
  ask(request: Request, name: string, againMs: readonly number[]): void;
  /** Sends messages one after the other until the wallet is empty; true if the last unit could be spent. */
  drain(owner: KeyOwner, isSteady: boolean, done: () => void): void;
  /** Nothing waits for an answer or for a retry. */
  isIdle(): boolean;
  /** No living process still has work for a client, whether or not the client is still there. */
  isServed(): boolean;
  onStoring: OnStoring;
  /** Call it when nothing is running any more. */
  check(): void;
  stats: Stats;
};

// Answers after which certainly nothing was stored.
const REFUSED = new Set(["insufficient_balance", "credit_elsewhere", "unavailable", "overloaded"]);
const PATIENCE_MS = 8_000;
const DRAIN_REFUSALS_MAX = 8;
const STEADY_SENDS = 25;
const STEADY_MS = 50;
const PART_CHARS = 153;
const PHONES = 12;
/** The least `valid_for`. */
const BRIEF_S = 60;
const PLAIN = { express: false, parts: 1, isBrief: false } as const;

export function createClients(
  kernel: Kernel,
  model: Model,
  ingests: () => readonly Ingest[],
  options: { triesMax: number; isCalm: () => boolean; onCapped: OnCapped; faults: ClientFaults },
): Clients {
  const { random } = kernel;
  const pending = new Set<Attempt>();
  const attempts = new Map<string, Attempt>();
  const wishes: Wish[] = [];
  const keys = new Map<string, KeyState>();
  const checkStored = createAnswerCheck(model);
  const stats: Stats = {};
  let waiting = 0;
  let names = 0;
  model.onSpendable = (customerId, amount) => {
    for (const one of pending)
      if (one.wish.request.owner.customerId === customerId) one.least = Math.min(one.least, amount);
  };
  const keyName = ({ owner, route, key }: Request) => `${owner.customerId} ${route} ${key}`;
  const keyOf = (request: Request): KeyState => {
    const name = keyName(request);
    let known = keys.get(name);
    if (known === undefined)
      keys.set(name, (known = { bodies: new Set(), bytes: null, body: null, attempts: new Set() }));
    return known;
  };

  type May = (ingest: Ingest) => boolean;
  const ask = (wish: Wish, then: (answer: Answer | null) => void, may: May = () => true): void => {
    const { request } = wish;
    const living = ingests().filter((i) => i.of.alive && may(i));
    if (living.length === 0) return void kernel.after(50, null, () => then(null));
    const to = random.pick(living);
    const least = model.spendable(request.owner.customerId);
    const one: Attempt = {
      wish,
      to,
      least,
      askedAtMs: kernel.nowMs(),
      rivals: false,
      isGone: false,
      isStoring: false,
      isEnded: false,
    };
    const traceparent = `00-${String(attempts.size).padStart(32, "0")}-${"1".repeat(16)}-00`;
    attempts.set(traceparent, one);
    pending.add(one);
    wish.underWay++;
    if (request.key !== null) {
      const key = keyOf(request);
      key.bodies.add(request.body.toString());
      key.attempts.add(one);
      const rivals = [...key.attempts].filter((other) => other.to === to && !other.isEnded);
      if (rivals.length > 1) for (const other of rivals) other.rivals = true;
    }
    let isOver = false;
    const end = (answer: Answer | null, isCertain = false) => {
      if (isOver) return;
      isOver = true;
      wish.underWay--;
      if (answer !== null) check(wish, answer, one);
      else if (!isCertain) wish.isUncertain = true;
      pending.delete(one);
      then(answer);
    };
    /**
     * The process learns that the connection has ended; anything it hasn't begun to store is never stored.
     */
    const leave = () => {
      one.isGone = true;
      end(null, !one.isStoring);
    };
    kernel.note("ask", `${wish.name} ${to.of.name}`);
    kernel.after(random.between(0.1, 2), to.of, () => {
      const answered = (answer: Answer | null) => {
        one.isEnded = true;
        kernel.after(random.between(0.1, 2), null, () => end(one.isGone ? null : answer));
      };
      to.handle(request, { traceparent, isGone: () => one.isGone }).then(answered, () => answered(null));
      if (random.chance(options.faults.leaves))
        kernel.after(random.between(0, options.faults.withinMs), to.of, () => {
          stats.left = (stats.left ?? 0) + 1;
          leave();
        });
    });
    kernel.after(PATIENCE_MS, null, () => {
      end(null);
      kernel.after(random.between(0.1, 2), to.of, leave);
    });
  };

  const onStoring: OnStoring = (of, what) => {
    const begun =
      "topup" in what
        ? [...attempts.values()].filter((one) => one.to.of === of && one.wish.name === what.topup)
        : what.traceparents.flatMap((name) => attempts.get(name) ?? []); // not those of otps.ts
    const there = begun.filter((one) => !one.isGone);
    for (const one of there) one.isStoring = true;
    const isHeard = "topup" in what ? there.length > 0 : there.length === begun.length;
    const names = begun.map((one) => one.wish.name).join(" ");
    // Thrown outside the process, so that the process can't catch it.
    if (!isHeard)
      kernel.after(0, null, () =>
        hold(
          false,
          "nothing is stored for a client that has left",
          () => `${of.name} began to store ${names}`,
        ),
      );
  };

  const check = (wish: Wish, answer: Answer, { least, rivals, askedAtMs }: Attempt): void => {
    const { request, name } = wish;
    const { status, body } = answer;
    const detail = () => `${name} was answered ${status} ${body}`;
    kernel.note("answer", `${name} ${status} ${body.slice(0, 80)}`);
    const fields = JSON.parse(body) as Record<string, unknown>;
    stats[`${request.route} ${status}`] = (stats[`${request.route} ${status}`] ?? 0) + 1;
    const isReplay = answer.headers["Idempotent-Replayed"] === "true";
    if (isReplay) stats.replays = (stats.replays ?? 0) + 1;
    hold(!isReplay || request.key !== null, "only a key is replayed", detail);
    if (status === 200 || status === 202) {
      if (!wish.isAnswered) wish.whenAnswered();
      wish.isAnswered = true;
      const owner = request.key === null ? name : keyName(request);
      checkStored({ request, owner, fields, detail });
      if (request.key === null) return;
      const state = keyOf(request);
      hold(
        state.bytes === null || state.bytes === body,
        "a replay returns the same bytes",
        () => `${detail()}, before: ${state.bytes}`,
      );
      hold(
        state.body === null || state.body === request.body.toString(),
        "a key is not answered for another body",
        detail,
      );
      state.bytes = body;
      state.body = request.body.toString();
      return;
    }
    const code = String(fields.code);
    hold(!options.isCalm() || status !== 503, "no 503 while nothing fails", detail);
    if (code === "insufficient_balance") {
      const cost = Number(fields.required);
      hold(least < cost, "no 402 while the credit is there", () => `${detail()}, there were always ${least}`);
      hold(Number(fields.balance) < cost, "a 402 says that the credit is not enough", detail);
    } else if (code === "spend_cap_reached") options.onCapped(request.owner.customerId, fields, askedAtMs);
    else if (code === "idempotency_key_reused")
      hold(keyOf(request).bodies.size > 1, "422 only for another body", detail);
    else if (code === "idempotency_in_progress") {
      hold(rivals, "409 only while another request has the key", detail);
      wish.isUncertain = true;
    } else if (code === "outcome_unknown") wish.isUncertain = true;
    else if (code === "validation_failed")
      hold(
        isToOptOuts(request.body) ||
          request.body.includes("send_at") ||
          (request.owner.quietUntil !== undefined && request.body.includes("valid_for")),
        "422 only for a time that is over, or too short, or a phone that opted out",
        detail,
      );
    else hold(REFUSED.has(code), "no other error", detail);
  };

  const later = (ms: number, wish: Wish): void => {
    waiting++;
    kernel.after(ms, null, () => {
      waiting--;
      pursue(wish);
    });
  };
  const pursue = (wish: Wish): void => {
    waiting++;
    wish.triesLeft--;
    ask(wish, (answer) => {
      waiting--;
      const code = answer === null ? "none" : answer.status;
      const isOver = code === 200 || code === 202 || code === 402 || code === 422;
      // Without a key, another try is another message.
      const mayTry = wish.request.key !== null || wish.request.route === "topup";
      if (isOver || !mayTry || wish.triesLeft <= 0) return;
      later(random.between(100, 2_000), wish);
    });
  };
  const wishFor = (request: Request, name: string): Wish => {
    const wish = {
      name,
      request,
      triesLeft: request.key === null && request.route !== "topup" ? 1 : options.triesMax,
      isUncertain: false,
      isAnswered: false,
      underWay: 0,
      whenAnswered: () => undefined,
    };
    wishes.push(wish);
    return wish;
  };
  // Different customers sometimes choose the same keys, which must never affect each other.
  const counters = new Map<number, number>();
  const keyFor = ({ customerId }: KeyOwner): string => {
    if (random.chance(0.5)) return `key '${names}'`;
    const count = (counters.get(customerId) ?? 0) + 1;
    counters.set(customerId, count);
    return `common ${count}`;
  };
  const sendBody = (owner: KeyOwner, reference: string, shape: Shape, variant: string): Buffer =>
    Buffer.from(
      JSON.stringify({
        phone: `+98912${1_000_000 + random.int(PHONES)}`, // few: several messages to each
        text: `it's ${variant}`.padEnd(shape.parts === 1 ? 20 : PART_CHARS * (shape.parts - 1) + 10, "x"),
        type: shape.express ? "express" : "normal",
        reference,
        callback_url: callbackUrlOf(owner, names), // left out if undefined
        ...(shape.isBrief ? { valid_for: BRIEF_S } : {}),
      }),
    );

  const send: Clients["send"] = (owner, { keyed, ...shape }) => {
    const name = `send-${++names}`;
    const body = sendBody(owner, name, shape, "one");
    const key = keyed ? keyFor(owner) : null;
    const wish = wishFor({ route: "send", owner, body, key }, name);
    pursue(wish);
    if (key === null) return;
    for (let copies = random.chance(0.3) ? random.int(3) : 0; copies > 0; copies--)
      later(random.chance(0.5) ? 0 : random.between(0, 300), wish);
    if (random.chance(0.1)) {
      const other = sendBody(owner, name, shape, "two");
      const rival = wishFor({ route: "send", owner, body: other, key }, `${name}-rival`);
      rival.triesLeft = 3;
      later(random.between(0, 2_000), rival);
    }
  };

  return {
    stats,
    send,
    topUp(owner, amount, keyed) {
      const name = `topup-${++names}`;
      const body = Buffer.from(JSON.stringify({ amount, request_id: name }));
      const wish = wishFor({ route: "topup", owner, body, key: keyed ? name : null }, name);
      // A client that is told about the top-up spends the money at once.
      wish.whenAnswered = () => {
        for (let n = random.int(5); n > 0; n--) send(owner, { keyed: false, ...PLAIN });
      };
      pursue(wish);
      if (random.chance(0.3)) later(random.between(0, 200), wish);
    },
    ask(request, name, againMs) {
      const wish = wishFor(request, name);
      pursue(wish);
      for (const ms of againMs) later(ms, wish);
    },
    drain(owner, isSteadyFirst, done) {
      let triesLeft = 1_000;
      let refusals = 0;
      // First one process at a steady rate, so that it takes credit ahead; then the others, which need that
      // credit.
      const [first] = ingests();
      let steady = isSteadyFirst ? STEADY_SENDS : 0;
      const next = () => {
        const left = model.spendable(owner.customerId);
        const parts = steady <= 0 && left > 30 * owner.priceNormal ? 9 : 1;
        const name = `drain-${++names}`;
        const body = sendBody(owner, name, { ...PLAIN, parts }, "drain");
        const wish = wishFor({ route: "send", owner, body, key: null }, name);
        hold(triesLeft-- > 0, "the whole balance can be spent", () => `${left} of ${owner.name} are left`);
        const isSteady = steady-- > 0;
        ask(
          wish,
          (answer) => {
            if (answer?.status === 402 && parts === 1) return done();
            const isElsewhere = answer?.body.includes("credit_elsewhere") === true;
            // Leases were taken back because a clock was set, and their owners don't know it yet.
            if (answer?.status === 503) refusals++;
            hold(refusals < DRAIN_REFUSALS_MAX, "no 503 when all is well", () => String(answer?.body));
            hold(!isElsewhere, "credit is given back when it is recalled", () => String(answer?.body));
            kernel.after(isSteady ? STEADY_MS : answer?.status === 202 ? 1 : 300, null, next);
          },
          (ingest) => (ingest === first) === isSteady || triesLeft % 10 === 0,
        );
      };
      next();
    },
    isIdle: () => waiting === 0,
    isServed: () => [...attempts.values()].every((one) => one.isEnded || !one.to.of.alive),
    onStoring,
    check() {
      const named = [...model.messages.values()].filter(({ values }) => values.reference !== null);
      const effects = Map.groupBy(named, (m) => m.reference);
      for (const [reference, of] of effects)
        hold(
          of.length === 1,
          "each request has at most one message",
          () => `${reference}: ${of.map((m) => m.id).join(", ")}`,
        );
      const batches = new Set([...effects.keys()].map(batchOf));
      for (const wish of wishes) {
        const { request, name } = wish;
        const rival = request.key === null ? null : keyOf(request);
        if (wish.isUncertain || wish.isAnswered || wish.underWay > 0) continue;
        if (rival !== null && rival.bodies.size > 1) continue;
        const { customerId } = request.owner;
        const isStored =
          request.route === "topup"
            ? model.topups.has(`${customerId} ${name}`)
            : effects.has(name) || batches.has(name);
        hold(!isStored, "what is refused, or left in time, is not stored", () => name);
      }
    },
  };
}
