// Batches in a simulated run: customers that send several messages in one request, some of them with a
// key and repeated, some `partial`, some with a message that can't be sent. What they do is drawn from a
// generator of its own, and only in one seed of five, so that the other seeds run as they would without
// batches.
// Invariants checked here: the messages of a batch are stored by one commit; without `partial` all that can
// be sent, otherwise the first ones.

import { COMMIT_ROWS_MAX } from "../../src/core/limits.ts";
import type { KeyOwner } from "../../src/customers/api-keys.ts";
import type { RowChange } from "../simulated-mysql/server.ts";
import { batchOf, referenceIn } from "./answers.ts";
import type { Clients } from "./clients.ts";
import { callbackUrlOf } from "./customers.ts";
import { hold } from "./hold.ts";
import type { Kernel } from "./kernel.ts";
import { createRandom } from "./random.ts";

/** `sound`: the places of the messages that can be sent. */
type Batch = { sound: number[]; partial: boolean };
export type Batches = {
  /** Sends some for so long, if this seed has batches. */
  start(clients: Clients, owners: readonly KeyOwner[], forMs: number): void;
  onCommit(changes: readonly RowChange[]): void;
  counts: Record<string, number>;
};

const SEEDS = 5;
const WITH_BATCHES = 4;
const PHONES = 12;
const SMALL_MAX = 8;
/** From so many messages on, batches share commits with each other only. */
const APART_MIN = COMMIT_ROWS_MAX / 4 + 1;
const BAD_PHONE = "1";

export function createBatches(kernel: Kernel, seed: number): Batches {
  const random = createRandom(seed + 0xba7c);
  const batches = new Map<string, Batch>();
  const stored = new Set<string>();
  const counts = { batches: 0, "batches stored": 0, "batches stored in part": 0 };

  const send = (clients: Clients, owner: KeyOwner): void => {
    const name = `batch-${++counts.batches}`;
    const size = random.chance(0.04)
      ? COMMIT_ROWS_MAX + 1
      : random.chance(0.1)
        ? APART_MIN + random.int(20)
        : 1 + random.int(SMALL_MAX);
    const bad = random.chance(0.2) ? 1 + random.int(SMALL_MAX) : -1;
    const partial = random.chance(0.5);
    const messages = Array.from({ length: size }, (_, index) => ({
      phone: index === bad ? BAD_PHONE : `+98912${1_000_000 + random.int(PHONES)}`,
      text: `it's ${index}`.padEnd(random.chance(0.2) ? 200 : 20, "x"),
      reference: referenceIn(name, index),
    }));
    batches.set(name, { sound: messages.flatMap((_, index) => (index === bad ? [] : [index])), partial });
    const body = {
      messages,
      type: random.chance(0.2) ? "express" : "normal",
      callback_url: callbackUrlOf(owner, counts.batches), // left out if undefined
      ...(random.chance(0.2) ? { valid_for: 60 } : {}),
      ...(partial ? { partial } : {}),
    };
    const key = random.chance(0.6) ? name : null;
    const againMs = key === null ? [] : Array.from({ length: random.int(3) }, () => random.between(0, 400));
    const request = { route: "batch", owner, body: Buffer.from(JSON.stringify(body)), key } as const;
    clients.ask(request, name, againMs);
  };

  return {
    counts,
    start(clients, owners, forMs) {
      if (seed % SEEDS !== WITH_BATCHES) return;
      for (const owner of owners) {
        const everyMs = random.pick([100, 300, 800]);
        const next = () => {
          if (kernel.nowMs() > forMs) return;
          send(clients, owner);
          kernel.after(random.between(0, 2 * everyMs), null, next);
        };
        kernel.after(random.between(100, 700), null, next);
      }
    },
    onCommit(changes) {
      const places = new Map<string, number[]>();
      for (const { table, before, after } of changes) {
        if (table !== "messages" || before !== null || after === null) continue;
        const reference = String(after.reference);
        const name = batchOf(reference);
        if (name === null) continue;
        const known = places.get(name) ?? [];
        places.set(name, [...known, Number(reference.slice(name.length + 1))]);
      }
      for (const [name, indexes] of places) {
        const batch = batches.get(name);
        if (batch === undefined) continue; // of schedules.ts
        const { sound, partial } = batch;
        const detail = () => `${name}: ${indexes} of ${sound}${partial ? ", partial" : ""}`;
        hold(!stored.has(name), "a batch is stored by one commit, once", detail);
        stored.add(name);
        const first = sound.slice(0, partial ? indexes.length : sound.length);
        const isWhole = first.join() === indexes.sort((a, b) => a - b).join();
        hold(isWhole, "a batch is stored whole, or, if it may be, its first messages", detail);
        counts[indexes.length < sound.length ? "batches stored in part" : "batches stored"]++;
      }
    },
  };
}
