// `route`: checks the routes file, explains which operators would take a number, lists what the file has, and
// tells the running roles to read it again.

import type { Command } from "commander";
import { type Lane, LANES } from "../core/message.ts";
import { type Json, jsonFlag } from "./database.ts";
import { oneOf } from "./options.ts";

const fileFlag = ["--file <path>", "another file than SLUICE_ROUTES"] as const;

/** `reload` tells the running roles; the commands themselves know nothing about processes. */
export function declareRoutes(program: Command, reload: () => Promise<void>): void {
  const route = program.command("route").description("check, explain, list and reload operators and routes");
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
    .command("reload")
    .description(
      "check the file (exit 65 if it has faults), then make the running roles of this state folder use it; " +
        "exit 1 if one did not",
    )
    .action(async () => {
      const { readRoutes } = await import("./show-routes.ts");
      if (readRoutes(undefined) !== null) await reload();
    });
}
