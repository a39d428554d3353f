// Prints src/core/phone-zones.json, the table of phone-zones.ts, from libphonenumber's own data, the
// file resources/timezones/map_data.txt of its repository (google/libphonenumber):
//   bun scripts/phone-zones.ts map_data.txt >src/core/phone-zones.json
// Its lines are `prefix|zone&zone`. What a shorter prefix says as well is left out.

import { readFileSync } from "node:fs";

const zones = new Map(
  readFileSync(process.argv[2] as string, "utf8")
    .split("\n")
    .filter((line) => /^\d/.test(line))
    .map((line) => line.trim().split("|") as [prefix: string, zones: string]),
);

/** What is said of a prefix without its own line. */
function inherited(prefix: string): string | undefined {
  for (let length = prefix.length - 1; length > 0; length--) {
    const found = zones.get(prefix.slice(0, length));
    if (found !== undefined) return found;
  }
  return undefined;
}

const prefixes = [...zones.keys()].filter((prefix) => inherited(prefix) !== zones.get(prefix)).toSorted();
const byZones = Map.groupBy(prefixes, (prefix) => zones.get(prefix) as string);
const table = Object.fromEntries([...byZones].map(([name, of]) => [name, of.join(" ")]));
console.log(JSON.stringify(table, null, 2));
