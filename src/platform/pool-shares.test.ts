import { expect, test } from "bun:test";
import type { Pool } from "./mysql.ts";
import { sharePool } from "./pool-shares.ts";

const BOUNDS = { runningMax: 2, waitingMax: 3, turnsMax: 4 };

/** A pool whose queries end when they are told to, by their text. */
function heldPool() {
  const running = new Map<string, PromiseWithResolvers<string>>();
  const query = (sql: string) => {
    const held = Promise.withResolvers<string>();
    running.set(sql, held);
    return held.promise.finally(() => running.delete(sql));
  };
  const pool = { query, transaction: (body: (name: string) => Promise<unknown>) => body("") };
  return {
    of: sharePool(pool as unknown as Pool, BOUNDS),
    running: () => [...running.keys()],
    end: (sql: string) => running.get(sql)?.resolve(sql),
    fail: (sql: string) => running.get(sql)?.reject(new Error(sql)),
  };
}
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));
const names = (count: number) => Array.from({ length: count }, (_, n) => `q${n}`);

test("of a customer two run at once, three wait in order, and the sixth is refused; another's runs", async () => {
  const { of, running, end } = heldPool();
  const answers = names(5).map((name) => of(1).query(name));
  expect(of(1).query("q5")).rejects.toMatchObject({ code: "overloaded", retryAfterS: 1 });
  const other = of(2).query("other");
  await settled();
  expect(running()).toEqual(["q0", "q1", "other"]);
  end("other");
  expect<unknown>(await other).toBe("other");
  for (const [ended, left] of [
    ["q1", ["q0", "q2"]],
    ["q0", ["q2", "q3"]],
    ["q2", ["q3", "q4"]],
  ] as const) {
    end(ended);
    await settled();
    expect(running()).toEqual([...left]);
  }
  end("q3");
  end("q4");
  expect<unknown>(await Promise.all(answers)).toEqual(names(5));
});

test("what fails hands its turn on, and gives it back", async () => {
  const { of, running, fail, end } = heldPool();
  for (let round = 0; round < 3; round++) {
    const answers = names(4).map((name) => of(1).query(name));
    const failed = Promise.allSettled(answers);
    await settled();
    for (const name of names(3)) {
      fail(name);
      await settled();
    }
    expect(running()).toEqual(["q3"]);
    end("q3");
    expect((await failed).map(({ status }) => status)).toEqual([
      "rejected",
      "rejected",
      "rejected",
      "fulfilled",
    ]);
  }
});

test("a transaction has its turn until it ends", async () => {
  const { of, running, end } = heldPool();
  const held = Promise.withResolvers<void>();
  const both = [1, 2].map(() => of(1).transaction(() => held.promise));
  const waits = of(1).query("after");
  await settled();
  expect(running()).toEqual([]);
  held.resolve();
  await Promise.all(both);
  await settled();
  end("after");
  expect<unknown>(await waits).toBe("after");
});

test("a request that has run something waits for what it runs next, however many wait before it", async () => {
  const { of, running, end } = heldPool();
  const request = of(1);
  const first = request.query("first");
  await settled();
  end("first");
  expect<unknown>(await first).toBe("first");
  const others = names(5).map((name) => of(1).query(name));
  const second = request.query("second");
  expect(of(1).query("refused")).rejects.toMatchObject({ code: "overloaded" });
  for (const name of names(5)) {
    await settled();
    end(name);
  }
  await settled();
  expect(running()).toEqual(["second"]);
  end("second");
  expect<unknown>(await Promise.all([...others, second])).toEqual([...names(5), "second"]);
});

test("while all customers together have as many turns as there are, a request waits in its customer's line or is refused, unless it has begun", async () => {
  const { of, running, end } = heldPool();
  const begun = of(5);
  const first = begun.query("first");
  end("first");
  await first;
  const turns = names(4).map((name, n) => of(n < 2 ? 1 : 2).query(name));
  expect(of(3).query("refused")).rejects.toMatchObject({ code: "overloaded", retryAfterS: 1 });
  const second = begun.query("second");
  const waits = of(1).query("waits");
  await settled();
  expect(running()).toEqual([...names(4), "second"]);
  for (const name of ["second", ...names(4)]) end(name);
  await settled();
  expect(running()).toEqual(["waits"]);
  const free = of(3).query("free");
  for (const name of ["waits", "free"]) end(name);
  expect<unknown>(await Promise.all([...turns, second, waits, free])).toEqual([
    ...names(4),
    "second",
    "waits",
    "free",
  ]);
});
