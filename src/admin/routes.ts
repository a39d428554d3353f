// `route`: checks the routes file, explains which operators would take a number, lists what the file has,
// compares the operators of a route, replaces the file, and tells the running roles to read it again.

import type { Command } from "commander";
import { type Lane, LANES } from "../core/message.ts";
import { type Json, jsonFlag } from "./database.ts";
import type { CompareOptions } from "./compare-operators.ts";
import { oneOf, time } from "./options.ts";

const fileFlag = ["--file <path>", "another file than SLUICE_ROUTES"] as const;

/** `reload` tells the running roles; the commands themselves know nothing about processes. */
export function declareRoutes(program: Command, reload: () => Promise<void>): void {
  const route = program
    .command("route")
    .description("check, explain, list, compare, replace and reload operators and routes");
  route
    .command("check")
    .description(
      "check a routes file: exit 0 if it can be used, 65 with every fault, its line and what to do",
    )
    .argument("[file]", "the file; by default SLUICE_ROUTES")
    .action(async (file: string | undefined) => {
      const { check } = await import("./show-routes.ts");
      check(file);
    });
  route
    .command("explain")
    .description("show which operators would take a number, in which order, and why; exit 1 if none would")
    .argument("<phone>", "a phone number, as customers may write it")
    .option("--lane <lane>", "normal or express; both unless given", oneOf(...LANES))
    .option(...fileFlag)
    .option(...jsonFlag)
    .action(async (phone: string, options: Json & { lane?: Lane; file?: string }) => {
      const { explainPhone } = await import("./show-routes.ts");
      explainPhone(phone, options);
    });
  route
    .command("list")
    .description("list operators with their terms, and routes; without the settings of a connector")
    .option(...fileFlag)
    .option(...jsonFlag)
    .action(async (options: Json & { file?: string }) => {
      const { list } = await import("./show-routes.ts");
      list(options);
    });
  route
    .command("compare")
    .description(
      "how the operators of a route did with its numbers: what they took and delivered, and how fast",
    )
    .argument("<route>", "a route with prefixes, such as one with a split")
    .option("--from <time>", "messages accepted since then, RFC 3339; by default a day before --to", time)
    .option("--to <time>", "messages accepted before then; by default now", time)
    .option(...fileFlag)
    .option(...jsonFlag)
    .action(async (name: string, options: CompareOptions) => {
      const { compareOperators } = await import("./compare-operators.ts");
      await compareOperators(name, options);
    });
  route
    .command("replace")
    .description(
      "replace the file by another one that has no fault (else exit 65), with a row in the audit log, then " +
        "reload it",
    )
    .argument("<file>", "the file whose text it gets")
    .option("--if-version <sha256>", "only if the file is this version now, as sha256sum prints it")
    .action(async (file: string, options: { ifVersion?: string }) => {
      const { replaceBy } = await import("./replace-routes.ts");
      if (await replaceBy(file, options)) await reload();
    });
  route
    .command("reload")
    .description(
      "check the file (exit 65 if it has faults), then make the running roles of this state folder use it; " +
        "exit 1 if one did not, or there is none",
    )
    .action(async () => {
      const { readRoutes } = await import("./show-routes.ts");
      if (readRoutes(undefined) !== null) await reload();
    });
}
