// Mode `async` in a simulated run: in two seeds of thirteen, some customers' messages are accepted without
// credit, and modes change while they send, of which each process learns at a time of its own. Drawn from a
// generator of its own, so that the other seeds run as they would without. Invariants checked here: a message
// is unreserved from its acceptance to its claim, or for ever, and has no entry and leads to no operator
// until then; exactly the unreserved ones have a row that leads to them; what is rejected can't be paid, not
// even with what leases hold; and, in all seeds, messages are locked before wallets. Leaves spend caps to
// caps.ts.

import type { KeyOwner } from "../../src/customers/api-keys.ts";
import { CUSTOMER_MODES, type CustomerMode } from "../../src/core/customer-mode.ts";
import { setMode } from "../../src/ledger/lease-admin.ts";
import type { Network } from "../simulated-mysql/client.ts";
import type { RowChange, Server } from "../simulated-mysql/server.ts";
import type { Row, Values } from "../simulated-mysql/tables.ts";
import type { Caps } from "./caps.ts";
import { hold } from "./hold.ts";
import type { Kernel, Process } from "./kernel.ts";
import type { Model } from "./model.ts";
import { createRandom } from "./random.ts";
import type { Ingest } from "./roles.ts";

export type Asyncs = {
  /** Makes some customers async. Call it before any of them sends. */
  arrange(server: Server, owners: readonly KeyOwner[]): void;
  /** Changes modes for so long. */
  start(owners: readonly KeyOwner[], forMs: number): void;
  /** All are of mode `lease` again, and every process knows after KNOWN_MS; false: none was async. */
  end(server: Server, owners: readonly KeyOwner[]): boolean;
  /** The customer as this process knows it. */
  payerOf(owner: KeyOwner, of: Process): KeyOwner;
  /** A transaction that holds these rows locks another one. */
  onLock(row: Row, held: ReadonlySet<Row>): void;
  /** Call it after the model's. */
  onCommit(changes: readonly RowChange[]): void;
  counts: Record<string, number>;
};
type Deps = {
  model: Model;
  network: () => Network;
  ingests: () => readonly Ingest[];
  caps: Caps;
};

/** Within this time every process knows what a customer's mode is. */
export const KNOWN_MS = 2_000;
const SEEDS = 13;
const WITH_ASYNCS = [3, 6];
const UNRESERVED = new Set(["scheduled", "queued", "failed", "rejected", "expired", "canceled"]);

export function createAsyncs(kernel: Kernel, seed: number, { model, network, ingests, caps }: Deps): Asyncs {
  const random = createRandom(seed + 0xa51c);
  const has = WITH_ASYNCS.includes(seed % SEEDS);
  const counts = { unreserved: 0, "async rejected": 0, "async put off": 0, "modes changed": 0 };
  /** The modes of each customer, the latest last; none if it was never async. */
  const modes = new Map<number, { atMs: number; mode: CustomerMode }[]>();
  const delays = new Map<Process, number>();
  const rows = new Set<string>();

  const delayOf = (of: Process): number => {
    const known = delays.get(of) ?? random.between(0, KNOWN_MS);
    delays.set(of, known);
    return known;
  };
  const run = (server: Server, sql: string): void =>
    server.connect(null)?.query(sql, [], (error) => {
      if (error !== null) throw error;
    });

  /** As `./sluice customer mode` does, which may fail. */
  const change = ({ customerId }: KeyOwner): void => {
    const living = ingests().filter(({ of }) => of.alive);
    if (living.length === 0) return;
    const { of } = random.pick(living);
    const mode = random.pick(CUSTOMER_MODES);
    kernel.inside(of, () => {
      setMode(network().pool(of, 1), customerId, mode).then(
        () => {
          counts["modes changed"]++;
          const known = modes.get(customerId) ?? [];
          modes.set(customerId, [...known, { atMs: kernel.nowMs(), mode }]);
        },
        (err: unknown) => kernel.note("log", `mode: ${String(err)}`),
      );
    });
  };

  const checkMove = (before: Values | null, after: Values): void => {
    const [was, is] = [Number(before?.unreserved), Number(after.unreserved)];
    const move = `${String(before?.status)} ${String(after.status)}`;
    const detail = () => `${String(after.id)} ${move}, unreserved ${was} ${is}, ${String(after.last_error)}`;
    const customerId = Number(after.customer_id);
    if (before === null) {
      counts.unreserved += is;
      hold(is === 0 || modes.has(customerId), "only mode async accepts without credit", detail);
      const first = modes.get(customerId)?.[0];
      const isAlways = first?.atMs === 0 && modes.get(customerId)?.length === 1;
      hold(is === 1 || !isAlways, "mode async accepts without credit", detail);
      return;
    }
    hold(is <= was, "what is reserved stays so", detail);
    hold(was === is || move === "queued sending", "a message is reserved by its claim", detail);
    if (after.status === "queued" && after.last_error === "credit_elsewhere") counts["async put off"]++;
    if (after.status !== "rejected" || before.status === "rejected") return;
    counts["async rejected"]++;
    const reason = String(after.last_error);
    hold(
      is === 1 && /^(insufficient_balance|spend_cap_reached)$/.test(reason),
      "only credit rejects",
      detail,
    );
    const [left, cost] = [model.spendable(customerId), Number(after.cost)];
    if (reason === "spend_cap_reached") caps.onRejected(customerId, cost, detail);
    hold(
      reason !== "insufficient_balance" || left < cost,
      "nothing is rejected while the credit is there",
      () => `${detail()}: it costs ${cost}, ${left} are left`,
    );
  };

  const checkRow = (id: string): void => {
    const message = model.messages.get(id);
    const isUnreserved = message?.values.unreserved === 1;
    const detail = () => `${id} ${message?.status}, reserve ${message?.reserve}, unreserved ${isUnreserved}`;
    hold(rows.has(id) === isUnreserved, "exactly unreserved messages have a row", detail);
    if (!isUnreserved) return;
    hold(UNRESERVED.has(message.status), "what is sent is reserved", detail);
    hold(message.reserve === null && message.close === null, "what is unreserved has no entry", detail);
  };

  return {
    counts,
    arrange(server, owners) {
      if (!has) return;
      for (const { customerId } of owners) {
        if (random.chance(0.4)) continue;
        modes.set(customerId, [{ atMs: 0, mode: "async" }]);
        run(server, `UPDATE customers SET mode='async' WHERE customer_id=${customerId}`);
      }
    },
    start(owners, forMs) {
      if (!has) return;
      for (const owner of owners) {
        const times = random.pick([0, 0, 1, 2, 4]);
        for (let n = 0; n < times; n++) kernel.after(random.between(0, forMs), null, () => change(owner));
      }
    },
    end(server, owners) {
      for (const { customerId } of owners) {
        const known = modes.get(customerId);
        if (known === undefined) continue;
        run(server, `UPDATE customers SET mode='lease' WHERE customer_id=${customerId}`);
        known.push({ atMs: kernel.nowMs(), mode: "lease" });
      }
      return modes.size > 0;
    },
    payerOf(owner, of) {
      const known = modes.get(owner.customerId);
      if (known === undefined) return owner;
      const atMs = kernel.nowMs() - delayOf(of);
      const present = known.findLast((one) => one.atMs === 0 || one.atMs <= atMs)?.mode;
      return present === "async" ? { ...owner, isAsync: true } : owner;
    },
    onLock({ table }, held) {
      if (table.spec.name !== "messages") return;
      const isLate = [...held].some((row) => row.table.spec.name === "wallet_accounts");
      hold(!isLate, "messages are locked before wallets", () => `a message is locked after a wallet`);
    },
    onCommit(changes) {
      const touched = new Set<string>();
      for (const { table, before, after } of changes) {
        if (table === "messages" && after !== null) {
          checkMove(before, after);
          touched.add(String(after.id));
        } else if (table === "wallet_ledger" && after?.op !== "grant") touched.add(String(after?.entry_id));
        else if (table === "unreserved_messages") {
          const id = String((after ?? before)?.message_id);
          if (after === null) rows.delete(id);
          else rows.add(id);
          touched.add(id);
        }
      }
      for (const id of touched) if (model.messages.has(id)) checkRow(id);
    },
  };
}
