// `express`: how the promises of express messages ended.

import type { Command } from "commander";
import { jsonFlag } from "./database.ts";
import { time } from "./options.ts";
import type { ExpressOptions } from "./show-express.ts";

export function declareExpress(program: Command): void {
  program
    .command("express")
    .description("how many express messages were taken by guaranteed_by, hour by hour")
    .option("--from <time>", "messages accepted since then, RFC 3339; by default a day before --to", time)
    .option("--to <time>", "messages accepted before then; by default now", time)
    .option(...jsonFlag)
    .action(async (options: ExpressOptions) => {
      const { showExpress } = await import("./show-express.ts");
      await showExpress(options);
    });
}
