// An operator's binds over changes of its terms. When the routes file changes, the new connector begins
// before the old one has ended; an operator that allows one bind would refuse the second, for as long as the
// first lives. So connectors whose connection settings are the same share the binds, and the last one closes
// them.

import { type Binds, type BindsHooks, type BindsOptions, createBinds } from "../../platform/smpp/binds.ts";

type Shared = { binds: Binds; users: number };
// In each worker.
const shares = new Map<string, Shared>();

/** `hooks` are the same for all connectors of an operator; those of the first are used. */
export function shareBinds(operator: string, options: BindsOptions, hooks: BindsHooks): Binds {
  const key = JSON.stringify([operator, options]);
  const shared = shares.get(key) ?? { binds: createBinds(options, hooks), users: 0 };
  shares.set(key, shared);
  shared.users++;
  let closed: Promise<void> | null = null;
  const leave = (): Promise<void> => {
    if (--shared.users > 0) return Promise.resolve();
    shares.delete(key);
    return shared.binds.close();
  };
  return { submit: shared.binds.submit, close: () => (closed ??= leave()) };
}
