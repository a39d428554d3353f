// `message`: what became of one message, by its id or by its operator's, and why an operator refuses some.

import type { Command } from "commander";
import { OPERATOR_MESSAGE_ID_CHARS_MAX, OPERATOR_NAME_CHARS_MAX } from "../core/limits.ts";
import { type Json, jsonFlag } from "./database.ts";
import { label, time } from "./options.ts";
import type { FindOptions, RefusalsOptions } from "./show-message.ts";

export function declareMessages(program: Command): void {
  const message = program
    .command("message")
    .description("what became of a message, whosever it is; never its text");
  message
    .command("show")
    .description(
      "show a message: its status, each attempt and the operator's answer, its money, its webhooks",
    )
    .argument("<id>", "the message's id, as the send answered it")
    .option(...jsonFlag)
    .action(async (id: string, options: Json) => {
      const { showMessage } = await import("./show-message.ts");
      await showMessage(id, options);
    });
  message
    .command("find")
    .description("find the messages to which an operator gave an id, as its support quotes it")
    .requiredOption("--operator <name>", "as in the routes file", label(OPERATOR_NAME_CHARS_MAX))
    .requiredOption(
      "--operator-message-id <id>",
      "of the message or a part of it, in decimal or hexadecimal",
      label(OPERATOR_MESSAGE_ID_CHARS_MAX),
    )
    .option(
      "--from <time>",
      "accepted since then, RFC 3339; of the report: by default a day before --to",
      time,
    )
    .option("--to <time>", "accepted before then; by default now", time)
    .option(...jsonFlag)
    .action(async (options: FindOptions) => {
      const { findMessages } = await import("./show-message.ts");
      await findMessages(options);
    });
  message
    .command("refusals")
    .description("count the messages that an operator refused, by its reason, with the newest of each")
    .requiredOption("--operator <name>", "as in the routes file", label(OPERATOR_NAME_CHARS_MAX))
    .option("--from <time>", "accepted since then, RFC 3339; by default an hour before --to", time)
    .option("--to <time>", "accepted before then; by default now", time)
    .option(...jsonFlag)
    .action(async (options: RefusalsOptions) => {
      const { showRefusals } = await import("./show-message.ts");
      await showRefusals(options);
    });
}
