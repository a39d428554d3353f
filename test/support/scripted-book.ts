// A lease book whose store is answered by the test, on a fake clock.

import { type IsGone, neverGone } from "../../src/core/caller.ts";
import type { LaneRecord } from "../../src/core/lane-record.ts";
import type { KeyClaim } from "../../src/ledger/idempotency.ts";
import type { Grant, Want } from "../../src/ledger/grant.ts";
import type { GrantOptions, LeaseStore, Return, Riding } from "../../src/ledger/lease.ts";
import type { LeaseKey } from "../../src/ledger/lease-rows.ts";
import { createLeaseBook } from "../../src/ingest/lease-book.ts";
import type { Paid, Reservation, Rider } from "../../src/ingest/lease-table.ts";
import { createLog } from "../../src/platform/log.ts";
import { createFakeClock, settle } from "./fake-clock.ts";

export const TTL_MS = 20_000;
export const lost = () => Object.assign(new Error("lost"), { code: "PROTOCOL_CONNECTION_LOST", fatal: true });

export function createScriptedBook(options: { leasesMax?: number } = {}) {
  const clock = createFakeClock();
  type Asked = {
    wants: Want[];
    skipLocked: boolean;
    ride: GrantOptions["ride"];
    answer: (grants: Grant[] | Error) => void;
  };
  const asked: Asked[] = [];
  /** What rode with each grant. */
  const rode: Riding[] = [];
  /** What is found of messages in doubt. */
  const found: (boolean | Error)[] = [];
  const returned: Return[][] = [];
  const ended: string[][] = [];
  /** The operations on the node, with their times. */
  const node: string[] = [];
  const world = {
    recalled: [] as LeaseKey[],
    isRegistered: false,
    giveBackFails: false,
    endFails: false,
    renewFails: false,
    retireFails: false,
    /** Neither looks for recalls nor retirement get an answer. */
    hangs: false,
    reaps: 0,
    /** Given to the retirement. */
    retiring: undefined as AbortSignal | undefined,
  };
  const did = (what: string, fails: boolean) => {
    node.push(`${clock.timers.monotonicMs()} ${what}${fails ? " failed" : ""}`);
    return fails ? Promise.reject(lost()) : Promise.resolve();
  };
  const store: LeaseStore = {
    grant: (wants, { skipLocked, ride }) =>
      new Promise((resolve, reject) =>
        asked.push({
          wants,
          skipLocked,
          ride,
          answer: (grants) => (grants instanceof Error ? reject(grants) : resolve(grants)),
        }),
      ),
    isStored() {
      const is = found.shift() ?? false;
      return is instanceof Error ? Promise.reject(is) : Promise.resolve(is);
    },
    giveBack(returns) {
      returned.push(returns);
      return world.giveBackFails ? Promise.reject(lost()) : Promise.resolve();
    },
    end(keys) {
      if (world.endFails) return Promise.reject(lost());
      ended.push(keys.map(({ customerId, epoch }) => `${customerId}:${epoch}`));
      return Promise.resolve();
    },
    recalled: () => (world.hangs ? new Promise(() => undefined) : Promise.resolve(world.recalled)),
    renew: () => did("renew", world.renewFails).then(() => world.isRegistered),
    async register() {
      await did("register", false);
      world.isRegistered = true;
    },
    reap: () => Promise.resolve(void world.reaps++),
    async retire(signal) {
      world.retiring = signal;
      await did("retire", world.retireFails);
      if (world.hangs) await new Promise(() => undefined);
    },
  };
  const book = createLeaseBook(
    { store, timers: clock.timers, log: createLog("test", "silent") },
    { leaseTtlMs: TTL_MS, ...options },
  );
  const told: string[] = [];
  const got: Reservation[] = [];
  const send = (name: string, cost: number, customerId = 7, isGone: IsGone = neverGone) =>
    tell(name, Promise.resolve(book.reserve(customerId, cost, isGone)));
  /** Sends a message that may ride. */
  const sendRiding = (name: string, cost: number, customerId = 7, isGone: IsGone = neverGone) => {
    const rider: Rider = {
      record: { id: name, customerId, cost } as LaneRecord,
      keyOf: (balanceAfter) =>
        name.startsWith("no key") ? null : ({ owner: name, answer: `${balanceAfter}` } as KeyClaim),
      otp: undefined,
    };
    tell(name, Promise.resolve(book.reserveOrStore(customerId, cost, isGone, rider)));
  };
  const tell = (name: string, paying: Promise<Paid>) => {
    void paying.then(
      (paid) => {
        told.push(`${name} ${paid.balanceAfter}${"isStored" in paid ? " stored" : ""}`);
        if (!("isStored" in paid)) got.push(paid);
      },
      (error: { code?: string; name: string; extra?: unknown }) => {
        const code = error.code ?? error.name;
        told.push(`${name} ${code}${code.startsWith("insuf") ? JSON.stringify(error.extra) : ""}`);
      },
    );
  };
  const grantsOf = ({ wants: all }: Asked, fields: Partial<Grant>): Grant[] =>
    all.map(({ customerId }) => ({
      customerId,
      granted: 0,
      own: 0,
      balance: 0,
      elsewhere: 0,
      total: 0,
      mode: "lease",
      fenced: false,
      recall: false,
      ...fields,
    }));
  /**
   * Answers the oldest request; fields that are not given are those of a `lease` customer with an empty
   * wallet. `fails`: once it has decided that, and those who ride were asked.
   */
  const answer = async (fields: Partial<Grant> | Error, fails: Error | null = null) => {
    const question = asked.shift();
    if (question === undefined) throw new Error("nothing was asked");
    if (fields instanceof Error) question.answer(fields);
    else {
      const grants = grantsOf(question, fields);
      const riding = question.ride?.(grants) ?? null;
      if (riding !== null) rode.push(riding);
      question.answer(fails ?? grants);
    }
    await settle();
  };
  const wants = () => asked.map(({ wants: all }) => all);
  return {
    ...clock,
    asked,
    wants,
    rode,
    found,
    returned,
    ended,
    node,
    world,
    book,
    told,
    got,
    send,
    sendRiding,
    grantsOf,
    answer,
  };
}

/**
 * A book in which customer 7 holds `granted`, all available except `cost`, which one message has reserved.
 */
export async function holding(granted: number, cost: number, elsewhere = 0) {
  const all = createScriptedBook();
  all.send("first", cost);
  await settle();
  await all.answer({ granted, balance: elsewhere, total: granted + elsewhere });
  all.told.length = 0;
  return all;
}
