// Uploads against a store that keeps what a commit keeps: messages and their keys, together or not at all.
// What can happen to an upload is drawn: where its connection ends, whether the answer of a commit is lost,
// another request with the same key in between. Whatever happens, the last repeat is answered in full, and no
// line is accepted twice.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { allowSlowRuns, holdsAsync } from "../../test/support/seed.ts";
import {
  codeOf,
  id,
  indexes,
  linesOf,
  newWorld,
  PAYER,
  PRICE,
  read,
  type Run,
  run,
  texts,
  upTo,
  type World,
} from "../../test/support/upload-world.ts";
import { BATCH_BODY_BYTES_MAX, BATCH_MESSAGES_MAX } from "../core/batch-limits.ts";
import { CallerGoneError } from "../core/caller.ts";
import type { Draft } from "../core/draft.ts";
import { insufficientBalance, SluiceError } from "../core/errors.ts";
import { createAcceptBatch } from "./accept-batch.ts";
import type { Payer } from "./accept-message.ts";
import { createRateLimits } from "./rate-limits.ts";
import type { Read } from "./upload.ts";

allowSlowRuns();

describe("an upload", () => {
  test("is accepted in chunks of a batch's size, with a result for each line, in order", async () => {
    const world = newWorld();
    const all = texts(2_500).map((text, n) => (n % 10 === 3 ? `bad ${n}` : text));
    const done = await run(world, linesOf(all));
    expect([done.error, indexes(done)]).toEqual([null, upTo(2_500)]);
    expect(world.batches).toEqual([900, 900, 450]);
    expect(done.results.filter((line) => line.endsWith("malformed_json"))).toHaveLength(250);
  });

  test("refuses lines to phones that opted out, in their places, and takes the others", async () => {
    const world = newWorld();
    world.out = new Set(["t1", "t1001"]);
    const done = await run(world, linesOf(texts(1_200)));
    expect([done.error, indexes(done)]).toEqual([null, upTo(1_200)]);
    const refused = done.results.filter((line) => line.endsWith(" opted_out"));
    expect(refused).toEqual(["1 opted_out", "1001 opted_out"]);
    expect([world.accepted.has("t1"), world.accepted.size]).toEqual([false, 1_198]);
    // What was taken stays taken, whoever opts out or in afterwards.
    world.out = new Set(["t7"]);
    expect((await run(world, linesOf(texts(1_200)))).results).toEqual(done.results);
  });

  test("divides long lines by their size", async () => {
    const world = newWorld();
    const long = texts(300).map((text) => text.padEnd(10_000, "x"));
    expect((await run(world, linesOf(long))).results).toHaveLength(300);
    for (const size of world.batches) expect(size * 10_000).toBeLessThanOrEqual(BATCH_BODY_BYTES_MAX);
    expect(world.batches.length).toBe(3);
  });

  test("reads nothing further until its results are taken", async () => {
    let taken = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for (;;) yield await Promise.resolve(Buffer.from(`t${taken++}`));
    }
    await run(newWorld(), counted(), { mostPieces: 2 });
    expect(taken).toBeLessThanOrEqual(2 * BATCH_MESSAGES_MAX + 2);
  });

  test("of no line is refused", async () => {
    expect(codeOf(await run(newWorld(), linesOf([])))).toBe("validation_failed");
  });

  test("takes what comes before a line that can't be read, and then says so", async () => {
    const world = newWorld();
    const ended = await run(world, linesOf(texts(5), new SluiceError("payload_too_large")));
    expect([codeOf(ended), ended.results.length, world.batches]).toEqual(["payload_too_large", 5, [5]]);
  });

  test("whose connection ends takes nothing of its last lines", async () => {
    const world = newWorld();
    const ended = await run(world, linesOf(texts(1_200), new CallerGoneError()));
    expect([ended.results.length, world.batches]).toEqual([1_000, [1_000]]);
  });

  test("spends a wallet to the last unit, and then says what is missing", async () => {
    const world = newWorld(1_337);
    const ended = await run(world, linesOf(texts(2_000)));
    expect([codeOf(ended), indexes(ended)]).toEqual(["insufficient_balance", upTo(1_337)]);
    world.balance = 1_000;
    const again = await run(world, linesOf(texts(2_000)));
    expect([again.error, indexes(again), world.accepted.size]).toEqual([null, upTo(2_000), 2_000]);
  });

  test("reads lines again that wait for longer than a second: by the time of day, they may be others by then", async () => {
    const world = newWorld();
    const done: Run[] = [];
    for (const passMs of [1_000, 1_001]) {
      // Refused from a moment that comes while they wait, as by a price, or put off by quiet hours.
      const fromMs = world.nowMs + 1_000;
      let waits = true;
      world.before = () => {
        if (!waits) return;
        waits = false;
        world.nowMs += passMs;
        throw new SluiceError("overloaded", { retryAfterS: 0 });
      };
      const refused = { kind: "refused", code: "validation_failed", detail: "x", errors: [] } as const;
      const late = (line: Uint8Array): Read => (world.nowMs > fromMs ? refused : read(line));
      done.push(await run(world, linesOf([`p${passMs}`]), { read: late, key: null }));
    }
    expect(done.map(({ error }) => error)).toEqual([null, null]);
    expect([world.accepted.get("p1000"), world.accepted.get("p1001")]).toEqual([1, undefined]);
    expect(done[1]?.results).toEqual(["0 validation_failed"]);
  });

  test("reads lines again of which one is refused in the very moment, once", async () => {
    const world = newWorld();
    let refusals = 1;
    world.before = () => {
      if (refusals-- > 0) throw new SluiceError("validation_failed", { errors: [] });
    };
    const refused = { kind: "refused", code: "validation_failed", detail: "x", errors: [] } as const;
    const by = (line: Uint8Array): Read =>
      refusals < 1 && Buffer.from(line).toString() === "t1" ? refused : read(line);
    const done = await run(world, linesOf(texts(3)), { read: by });
    expect([done.error, done.results[1], world.accepted.size]).toEqual([null, "1 validation_failed", 2]);
    refusals = 2;
    expect(codeOf(await run(world, linesOf(texts(3, 10)), { key: "other" }))).toBe("validation_failed");
  });

  test("waits for what passes by itself, but not for ever", async () => {
    const world = newWorld();
    let refusals = 3;
    world.before = () => {
      if (refusals-- > 0) throw new SluiceError("rate_limited", { retryAfterS: 9 });
    };
    expect((await run(world, linesOf(texts(3)))).results).toHaveLength(3);
    refusals = 4;
    expect(codeOf(await run(world, linesOf(texts(3)), { key: "other" }))).toBe("rate_limited");
  });

  test("is not held up by the limit for what was refused", async () => {
    const world = newWorld(300);
    const limits = createRateLimits();
    const payer = { customerId: 1, priceNormal: PRICE, currency: "IRR", rateLimit: 1_000 } as Payer;
    const reserve = (_: number, cost: number) => {
      world.before();
      if (cost > world.balance) throw insufficientBalance(cost, world.balance);
      world.balance -= cost;
      return { balanceAfter: world.balance };
    };
    const nothing = () => undefined;
    const commits = { admit: nothing, leave: nothing, store: () => Promise.resolve() };
    const deps = { id, limits, book: { reserve }, commits, optOuts: { hasNone: () => true } };
    const acceptBatch = createAcceptBatch(deps as never, { usualMs: 5_000, largestMs: 30_000 });
    const drafts = { lane: "normal", parts: 1, validForMs: null } as Draft;
    const readOne = (line: Uint8Array): Read => {
      const text = Buffer.from(line).toString();
      return { kind: "draft", draft: { ...drafts, phone: text, text } };
    };
    const payerNow = () => Promise.resolve(payer);
    const given = { acceptBatch, payer, payerNow, read: readOne, key: null };
    const once = (lines: string[]) => run(world, linesOf(lines), given);
    const poor = await once(texts(1_000));
    expect([codeOf(poor), poor.results.length]).toEqual(["insufficient_balance", 300]);
    world.balance = 1e9;
    let refusals = 20;
    world.before = () => {
      if (refusals-- > 0) throw new SluiceError("overloaded", { retryAfterS: 1 });
    };
    expect((await once(texts(700))).error).toBeNull();
    expect(codeOf(await once(texts(1_000)))).toBe("rate_limited"); // what was accepted counts
  });

  describe("whose payer changes while it comes", () => {
    const revoked = new SluiceError("api_key_invalid");
    test("ends once that may send no more, and takes nothing of its last lines", async () => {
      const world = newWorld();
      const payerNow = () => (world.batches.length < 2 ? Promise.resolve(PAYER) : Promise.reject(revoked));
      const ended = await run(world, linesOf(texts(2_500)), { payerNow });
      expect([codeOf(ended), ended.results.length, world.batches]).toEqual([
        "api_key_invalid",
        2_000,
        [1_000, 1_000],
      ]);
      const repeat = await run(world, linesOf(texts(2_500)), { payerNow });
      expect([codeOf(repeat), repeat.results]).toEqual(["api_key_invalid", []]);
    });

    test("ends so after a wait, too", async () => {
      const world = newWorld();
      let waits = 0;
      world.before = () => {
        if (waits++ === 0) throw new SluiceError("rate_limited", { retryAfterS: 9 });
      };
      const payerNow = () => (waits === 0 ? Promise.resolve(PAYER) : Promise.reject(revoked));
      const ended = await run(world, linesOf(texts(3)), { payerNow });
      expect([codeOf(ended), ended.results, world.batches]).toEqual(["api_key_invalid", [], []]);
    });

    test("is paid, and its lines are read, by what holds when their chunk is taken", async () => {
      const world = newWorld();
      const later = { ...PAYER, isAsync: true } as Payer;
      const readFor = (line: Uint8Array, { isAsync }: Payer): Read =>
        isAsync === true && String(Buffer.from(line)) === "t1001"
          ? { kind: "refused", code: "validation_failed", detail: "x", errors: [] }
          : read(line);
      const payerNow = () => Promise.resolve(world.batches.length === 0 ? PAYER : later);
      const done = await run(world, linesOf(texts(1_003)), { payerNow, read: readFor });
      expect([done.error, indexes(done)]).toEqual([null, upTo(1_003)]);
      expect(done.results[1_001]).toBe("1001 validation_failed");
      expect([world.batches, world.payers]).toEqual([
        [1_000, 2],
        [PAYER, later],
      ]);
    });
  });

  test("of a process that stops ends before its next chunk", async () => {
    const world = newWorld();
    const isStopping = () => world.batches.length > 0;
    const ended = await run(world, linesOf(texts(1_500)), { isStopping });
    expect([codeOf(ended), ended.results.length]).toEqual(["unavailable", 1_000]);
  });
});

describe("a repeat with the same key", () => {
  test("gets the same results, and goes on where a shorter one ended", async () => {
    const world = newWorld();
    const first = await run(world, linesOf(texts(1_300)));
    const longer = await run(world, linesOf(texts(3_000)));
    expect(longer.results.slice(0, 1_300)).toEqual(first.results);
    expect([longer.error, indexes(longer)]).toEqual([null, upTo(3_000)]);
    expect(world.batches).toEqual([1_000, 300, 700, 1_000]);
    expect((await run(world, linesOf(texts(3_000)))).results).toEqual(longer.results);
    expect(world.batches).toHaveLength(4);
  });

  test("with another line that was taken is refused from its chunk on", async () => {
    const world = newWorld();
    await run(world, linesOf(texts(1_500)));
    const changed = texts(1_500).with(1_200, "other");
    const again = await run(world, linesOf(changed));
    expect([codeOf(again), again.results.length]).toEqual(["idempotency_key_reused", 1_000]);
    const shorter = await run(world, linesOf(texts(700)));
    expect([codeOf(shorter), shorter.results.length]).toEqual(["idempotency_key_reused", 0]);
    expect(world.accepted.size).toBe(1_500);
  });

  test("may mend the lines after the last one that was taken", async () => {
    const world = newWorld();
    await run(world, linesOf([...texts(5), "bad", "bad t"]));
    const mended = await run(world, linesOf(texts(9)));
    expect([mended.error, indexes(mended), world.batches]).toEqual([null, upTo(9), [5, 4]]);
  });

  test("another key, or none, is another upload", async () => {
    const world = newWorld();
    for (const key of ["a", "b", null, null]) await run(world, linesOf(texts(3)), { key });
    expect(world.accepted.get("t0")).toBe(4);
  });
});

// One attempt: how many lines come before its connection ends (null: all), how many results it takes, which
// of its commits is refused, and which one's answer is lost.
const attempt = fc.record({
  lines: fc.option(fc.nat(3_300)),
  clean: fc.boolean(),
  pieces: fc.integer({ min: 1, max: 5 }),
  refusedAt: fc.nat(4),
  lostAt: fc.nat(4),
});

type Attempt = typeof attempt extends fc.Arbitrary<infer A> ? A : never;
function fail(world: World, all: readonly string[], one: Attempt): Promise<Run> {
  const { lines, clean, pieces, refusedAt, lostAt } = one;
  let commits = 0;
  world.before = () => {
    if (commits === refusedAt) throw new SluiceError("unavailable");
  };
  world.after = () => {
    if (commits++ === lostAt) throw new SluiceError("outcome_unknown");
  };
  const ending = clean || lines === null ? undefined : new CallerGoneError();
  return run(world, linesOf(lines === null ? all : all.slice(0, lines), ending), { mostPieces: pieces });
}

test("whatever happens to the attempts before, the last one has a result for every line, and each is taken once", async () => {
  const kind = fc.constantFrom("good", "good", "good", "bad", "bad run");
  const runs = fc.array(fc.tuple(kind, fc.integer({ min: 1, max: 700 })), { minLength: 1, maxLength: 9 });
  const drawn = fc.tuple(runs, fc.array(attempt, { maxLength: 5 }), fc.boolean());
  await holdsAsync(
    "attempts",
    drawn,
    async ([parts, attempts, isPoor]) => {
      const all = parts
        .flatMap(([what, size]) => Array<string>(what === "bad run" ? size + 700 : size).fill(what))
        .map((what, n) => `${what} ${n}`);
      const world = newWorld(isPoor ? 1_234 : 1e9);
      const told = new Map<string, string>();
      const note = ({ results }: Run) => {
        for (const line of results) {
          const [index = "", result = ""] = line.split(" ");
          if (result === "malformed_json") continue;
          expect(told.get(index) ?? result).toBe(result);
          told.set(index, result);
        }
      };
      for (const one of attempts) await fail(world, all, one).then(note);
      world.before = world.after = () => undefined;
      world.balance = 1e9;
      const last = await run(world, linesOf(all));
      expect([last.error, indexes(last)]).toEqual([null, upTo(all.length)]);
      note(last);
      for (const text of all) expect(world.accepted.get(text) ?? 0).toBe(text.startsWith("bad") ? 0 : 1);
      expect(told.size).toBe(world.accepted.size);
    },
    60,
  );
});

test("two requests with the same key at once share the lines: each is taken once, with one result", async () => {
  const drawn = fc.tuple(fc.integer({ min: 1, max: 2_600 }), fc.nat(700));
  await holdsAsync(
    "two at once",
    drawn,
    async ([count, more]) => {
      const world = newWorld();
      const both = [texts(count), texts(count + more)].map((lines) => run(world, linesOf(lines)));
      const [one, other] = (await Promise.all(both)) as [Run, Run];
      for (const times of world.accepted.values()) expect(times).toBe(1);
      if (one.error !== null) expect(codeOf(one)).toBe("idempotency_key_reused"); // the longer one was first
      expect(other.error).toBeNull();
      expect(other.results.slice(0, one.results.length)).toEqual(one.results);
      expect(other.results).toHaveLength(count + more);
    },
    40,
  );
});
