// In which time zones a phone may be, by its number: the table of libphonenumber (phone-zones.json, made by
// scripts/phone-zones.ts), where the longest prefix of the number decides. Pure.
// Invariant: every zone is one that Intl knows (phone-zones.test.ts). Bound: a number has at most 43 zones,
// those of North America, if it belongs to no area.

import table from "./phone-zones.json" with { type: "json" };

const NONE: readonly string[] = [];
let byPrefix: Map<string, readonly string[]> | null = null;
let longest = 0;

/** Made at the first question: most processes never ask. */
function read(): Map<string, readonly string[]> {
  const read = new Map<string, readonly string[]>();
  for (const [name, prefixes] of Object.entries(table)) {
    const zones = name.split("&");
    for (const prefix of prefixes.split(" ")) {
      read.set(prefix, zones);
      longest = Math.max(longest, prefix.length);
    }
  }
  return read;
}

/** Of an E.164 number; none for satellite phones and other numbers that are at home nowhere. */
export function zonesOf(phone: string): readonly string[] {
  const zones = (byPrefix ??= read());
  for (let length = Math.min(longest, phone.length - 1); length > 0; length--) {
    const found = zones.get(phone.slice(1, 1 + length));
    if (found !== undefined) return found;
  }
  return NONE;
}
