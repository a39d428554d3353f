// An operator's binds over changes of its terms. When the routes file changes, the new connector begins
// before the old one has ended, and an operator that allows one bind would refuse the second for as long as
// the first lives. So connectors whose connection settings are the same share the binds, and the last one
// closes them. If the settings differ but the account is the same (address and system_id), the old binds end
// first: once their submits have a result, HANDOVER_MAX_MS at most; submits to the new ones wait meanwhile.
// Invariant: binds that a connector may still get messages for are never taken from it, so two entries may
// use one account at once. What is given up: late answers to the old binds' submits that were already lost.

import { CLAIM_TTL_MS } from "../../core/limits.ts";
import { sleep, within } from "../../platform/retry.ts";
import {
  type Binds,
  type BindsHooks,
  type BindsOptions,
  createBinds,
  type Job,
} from "../../platform/smpp/binds.ts";

export type SharedBinds = Binds & {
  /** No more messages come: if another connector needs the account, it may have it. */
  retire(): void;
};

type Shared = {
  key: string;
  account: string;
  binds: Binds;
  users: number;
  retired: number;
  /** Submits without a result. */
  underWay: number;
  /** Resolved when there are none; asked for while it ends. */
  idle: PromiseWithResolvers<void> | null;
};
// In each worker.
const shares = new Map<string, Shared>();
/** By account: resolves when all binds of it that had to make room are closed. */
const endings = new Map<string, Promise<void>>();

/** The parts of a message may take as long as its claim. */
const HANDOVER_MAX_MS = CLAIM_TTL_MS;
/** After the unbind, an operator needs a moment to see that the bind is free. */
const FREED_MS = 500;

/** `hooks` are the same for all connectors of an operator; those of the first are used. */
export function shareBinds(operator: string, options: BindsOptions, hooks: BindsHooks): SharedBinds {
  const key = JSON.stringify([operator, options]);
  const shared = shares.get(key) ?? createShared(key, options, hooks);
  shared.users++;
  let isRetired = false;
  let closed: Promise<void> | null = null;
  const retire = () => {
    if (!isRetired) shared.retired++;
    isRetired = true;
  };
  const leave = (): Promise<void> => {
    retire();
    shared.users--;
    shared.retired--;
    if (shared.users > 0) return Promise.resolve();
    forget(shared);
    return shared.binds.close();
  };
  return {
    submit: (jobs, isUrgent) => shared.binds.submit(counted(shared, jobs), isUrgent),
    retire,
    close: () => (closed ??= leave()),
  };
}

function createShared(key: string, options: BindsOptions, hooks: BindsHooks): Shared {
  const { host, port, login } = options.session;
  const account = JSON.stringify([host, port, login.systemId]);
  for (const other of shares.values())
    if (other.account === account && other.retired === other.users) makeRoom(other);
  const binds = createBinds(options, hooks, endings.get(account) ?? null);
  const shared: Shared = { key, account, binds, users: 0, retired: 0, underWay: 0, idle: null };
  shares.set(key, shared);
  return shared;
}

/** The parts of a message follow each other without a moment in which none is under way. */
function counted(shared: Shared, jobs: readonly Job[]): Job[] {
  shared.underWay += jobs.length;
  return jobs.map(
    (job): Job => ({
      ...job,
      done(result) {
        job.done(result);
        if (--shared.underWay === 0) shared.idle?.resolve();
      },
    }),
  );
}

/** Ends binds that get no more messages, before their connectors do. */
function makeRoom(shared: Shared): void {
  forget(shared);
  shared.idle = Promise.withResolvers<void>();
  if (shared.underWay === 0) shared.idle.resolve();
  const before = endings.get(shared.account) ?? Promise.resolve();
  const own = within(HANDOVER_MAX_MS, shared.idle.promise)
    .then(() => shared.binds.close())
    .then(() => sleep(FREED_MS));
  const all: Promise<void> = Promise.all([before, own]).then(() => {
    if (endings.get(shared.account) === all) endings.delete(shared.account);
  });
  endings.set(shared.account, all);
}

function forget(shared: Shared): void {
  if (shares.get(shared.key) === shared) shares.delete(shared.key);
}
