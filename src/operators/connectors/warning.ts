// Warns in the sender's log of refusals that are the operator's or our account's fault, so that someone looks
// at them. Bound: one warning in WARN_EACH_MS, because they come with each message until someone does.

import type { OperatorLink } from "./connector.ts";

const WARN_EACH_MS = 60_000;

export function createWarning({ onNote }: OperatorLink): (reason: string) => void {
  let untilMs = 0;
  return (reason) => {
    if (performance.now() < untilMs) return;
    untilMs = performance.now() + WARN_EACH_MS;
    onNote({ level: "warn", text: `refuses messages, not for their own fault: ${reason}` });
  };
}
