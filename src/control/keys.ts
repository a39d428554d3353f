// What whoever runs Sluice changes about API keys: makes, rotates, limits and revokes them. The log names
// keys by their ids; a key itself, and the secret that signs its requests, are shown once and never written
// down.

import { setAddresses } from "../customers/addresses.ts";
import { createKey, type KeyOptions, type NewKey, revokeKey, type Scope } from "../customers/api-keys.ts";
import {
  type KeyRow,
  noLiveKey,
  readKey,
  type RotateOptions,
  type Rotated,
  rotateKey,
  setKeyExpiry,
} from "../customers/key-admin.ts";
import { audited, type By, difference } from "./audit.ts";

type ById = By & { id: () => string };

/** @throws SluiceError not_found, validation_failed (two keys are live already) */
export const makeKey = (
  by: ById,
  customerId: number,
  scopes: readonly Scope[],
  options: KeyOptions = {},
): Promise<NewKey> =>
  audited(by, async (tx) => {
    const made = await createKey({ pool: tx, id: by.id }, customerId, scopes, options);
    const { key } = await readKey(tx, made.keyId);
    return {
      result: made,
      change: { action: "key.create", customerId, subject: made.keyId, new: shown(key) },
    };
  });

/**
 * As rotateKey. `show` gets the new key before it is stored; if it throws, nothing changes. @throws
 * SluiceError
 */
export const replaceKey = (
  by: ById,
  oldId: string,
  options: RotateOptions,
  show: (rotated: Rotated) => void,
): Promise<void> =>
  audited(by, async (tx) => {
    const { key: before } = await readKey(tx, oldId);
    let newId = "";
    await rotateKey({ pool: tx, id: by.id }, oldId, options, (rotated) => {
      newId = rotated.keyId;
      show(rotated);
    });
    const { customerId, key: after } = await readKey(tx, oldId);
    const changed = difference(shown(before), shown(after));
    return {
      result: undefined,
      change: {
        action: "key.rotate",
        customerId,
        subject: oldId,
        ...(changed === null ? {} : { old: changed.old }),
        new: { ...changed?.new, replaced_by: newId },
      },
    };
  });

export type KeyChange = {
  /** null: it never expires. */
  expiresAtMs?: number | null;
  /** From where it may be used; null: from anywhere that its customer may call from. */
  addresses?: readonly string[] | null;
};

/**
 * Changes a live key; every process knows within 2 s. @throws SluiceError not_found (it was revoked or has
 * expired, too), validation_failed
 */
export const changeKey = (by: By, keyId: string, change: KeyChange): Promise<KeyRow> =>
  audited(by, async (tx) => {
    const { customerId, key: before } = await readKey(tx, keyId, " FOR UPDATE");
    if (!before.live) throw noLiveKey(keyId);
    if (change.expiresAtMs !== undefined) await setKeyExpiry(tx, keyId, change.expiresAtMs);
    if (change.addresses !== undefined) await setAddresses(tx, { keyId }, change.addresses);
    const { key: after } = await readKey(tx, keyId);
    const changed = difference(shown(before), shown(after));
    return {
      result: after,
      change: changed === null ? null : { action: "key.change", customerId, subject: keyId, ...changed },
    };
  });

/** Every process refuses it within 2 s. @throws SluiceError not_found if there is none that isn't revoked */
export const endKey = (by: By, keyId: string): Promise<KeyRow> =>
  audited(by, async (tx) => {
    if (!(await revokeKey(tx, keyId))) throw noLiveKey(keyId);
    const { customerId, key } = await readKey(tx, keyId);
    const { revoked_at } = key;
    return {
      result: key,
      change: {
        action: "key.revoke",
        customerId,
        subject: keyId,
        old: { revoked_at: null },
        new: { revoked_at },
      },
    };
  });

/** What can be changed of a key. */
const shown = ({ scopes, signed, addresses, expires_at, revoked_at }: KeyRow) => ({
  scopes,
  signed,
  addresses,
  expires_at,
  revoked_at,
});
