// The rules by which a customer's messages become drafts, the same at every door.

import type { UrlRules } from "../core/callback-url.ts";
import type { DraftRules } from "../core/draft.ts";
import { refusalsOf } from "../core/price-plan.ts";
import type { KeyOwner } from "../customers/api-keys.ts";

/** `callbacks`: which callback_urls are taken. All messages of a request are of one moment. */
export function draftRules(
  owner: KeyOwner,
  { callbacks, now }: { callbacks: UrlRules; now: () => number },
): DraftRules {
  const { region, senders, quietUntil } = owner;
  const quiet = quietUntil === undefined ? undefined : { until: quietUntil, nowMs: now() };
  return { region, callbacks, refuses: refusalsOf(owner, now), senders, quiet };
}
