// What `route check`, `explain` and `list` print. Reads the file as the roles do, with this shell's
// environment. Faults go to stderr, one a line.

import { relative, resolve } from "node:path";
import { type Lane, LANES } from "../core/message.ts";
import { parsePhone } from "../core/phone.ts";
import { type Explained, explain } from "../operators/explain.ts";
import { listed } from "../operators/listing.ts";
import { faultLines, loadRoutes, type RoutesFile } from "../operators/routes-file.ts";
import type { Fault } from "../operators/yaml-tree.ts";
import { loadConfig } from "../platform/config.ts";
import { say } from "../platform/output.ts";
import type { Json } from "./database.ts";

/** sysexits.h: the file has faults. */
const EX_DATAERR = 65;

/** Null if the file has faults; then the command has failed. */
export function readRoutes(given: string | undefined): { path: string; file: RoutesFile } | null {
  const full = resolve(given ?? loadConfig(process.env).routesFile);
  const near = relative(process.cwd(), full);
  const path = near.startsWith("..") ? full : near;
  const loaded = loadRoutes(full, process.env);
  if (loaded.kind === "ok") return { path, file: loaded.file };
  refuse(path, loaded.faults);
  return null;
}

/** Prints the faults; the command has failed. */
export function refuse(path: string, faults: readonly Fault[]): void {
  process.stderr.write(`${faultLines(path, faults).join("\n")}\n`);
  process.exitCode = EX_DATAERR;
}

export function check(path: string | undefined): void {
  const read = readRoutes(path);
  if (read === null) return;
  const { operators, routes } = read.file;
  say(`${read.path}: no faults; ${counted(operators, "operator")}, ${counted(routes, "route")}`);
}

export function explainPhone(phone: string, options: Json & { lane?: Lane; file?: string }): void {
  const parsed = parsePhone(phone);
  if ("reason" in parsed) throw new Error(`${JSON.stringify(phone)} ${parsed.reason}`);
  const read = readRoutes(options.file);
  if (read === null) return;
  const lanes = explain(read.file, parsed.e164, options.lane === undefined ? LANES : [options.lane]);
  say(options.json ? JSON.stringify({ phone: parsed.e164, lanes }) : asText(parsed.e164, lanes));
  if (lanes.some(({ operators }) => operators.length === 0)) process.exitCode = 1;
}

export function list(options: Json & { file?: string }): void {
  const read = readRoutes(options.file);
  if (read === null) return;
  say(options.json ? JSON.stringify(listed(read.file)) : listing(read.file));
}

export function asText(phone: string, explained: readonly Explained[]): string {
  return explained
    .map(({ lane, prefix, route, operators }) => {
      if (operators.length === 0) return `${phone}, ${lane}: no operator takes this number in this lane`;
      const by = route === null ? "the operators' own terms" : `the route ${route}`;
      const lines = operators.map(({ operator, tier, share, why }) => {
        const percent = share === 1 ? "" : ` for ${Math.round(share * 1_000) / 10} %`;
        return `  ${tier}. ${operator}${percent}: ${why}`;
      });
      return [`${phone}, ${lane}: the prefix ${prefix} decides, by ${by}`, ...lines].join("\n");
    })
    .join("\n");
}

function listing({ operators, routes }: RoutesFile): string {
  const lines = operators.map((o) => {
    const rate = o.rate === undefined ? "" : `, ${o.rate} parts/s`;
    return (
      `${o.name}: ${o.kind}; ${o.prefixes.join(" ")}; ${o.lanes.join(" ") || "no lane"}; ` +
      `priority ${o.priority}, price ${o.price}, weight ${o.weight}, window ${o.window}${rate}`
    );
  });
  const tier = (shares: readonly { operator: string; weight: number }[]) =>
    shares
      .map(({ operator, weight }) => (shares.length === 1 ? operator : `${operator} ${weight}`))
      .join(" + ");
  return [
    ...lines,
    ...routes.map(
      ({ name, prefixes, lanes, tiers }) =>
        `route ${name}: ${prefixes.join(" ") || "fallback only"}; ${lanes.join(" ")}; ` +
        tiers.map(tier).join(", then "),
    ),
  ].join("\n");
}

const counted = (of: readonly unknown[], what: string): string =>
  `${of.length} ${what}${of.length === 1 ? "" : "s"}`;
