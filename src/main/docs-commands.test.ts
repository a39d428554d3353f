// Each `./sluice …` of the pages is a command that can be pasted: the program parses it, with its options,
// arguments and their values, and doesn't run it. Placeholders (ID, KEY-ID, …) stand for any value. In a
// sentence, the bare name of a command is enough.

import { expect, test } from "bun:test";
import { type Command, CommanderError } from "commander";
import { type Page, pages } from "../../test/support/pages.ts";
import { program } from "./cli.ts";

const PARSED = new Error("parsed");
const isPlaceholder = (word: string): boolean => /^[A-Z][A-Z-]*$/.test(word) || word.includes("$(");

program.hook("preAction", () => {
  throw PARSED;
});
for (const command of withSubcommands(program)) {
  command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  for (const part of [...command.options, ...command.registeredArguments]) {
    const { parseArg } = part;
    if (parseArg !== undefined)
      part.argParser((word: string, before: unknown) =>
        isPlaceholder(word) ? word : parseArg(word, before),
      );
  }
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** What is wrong with these words as a command; null: nothing. */
function faultOf(words: string[]): string | null {
  try {
    program.parse(words, { from: "user" });
  } catch (error) {
    if (error === PARSED) return null;
    if (error instanceof CommanderError) return error.exitCode === 0 ? null : error.message;
    throw error;
  }
  return "it does nothing";
}

function isName(words: string[]): boolean {
  let command: Command | undefined = program;
  for (const word of words) command = command?.commands.find((one) => one.name() === word);
  return command !== undefined;
}

/** Of `[--lane express]`, `read\\|write` and `--url URL \\| --no-url` one way to say it. */
function wordsOf(text: string, isInSentence: boolean): string[] {
  const chosen = isInSentence ? text.replace(/ \\?\| /g, " ").replace(/\\?\|[\w|\\]+/g, "") : text;
  const words = chosen.match(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g) ?? [];
  const end = words.findIndex((word) => /^[#|>);&]/.test(word));
  return words
    .slice(0, end < 0 ? undefined : end)
    .map((word) => word.replace(/^\[|\]$/g, "").replace(/^(["'])(.*)\1$/, "$2"))
    .filter((word) => word !== "…");
}

function badCommands({ path, text }: Page): string[] {
  return [...text.matchAll(/(^|`)([^`\n]*)\.\/sluice ([^`\n]*)/gm)].flatMap(([, before, , given = ""]) => {
    const isInSentence = before === "`";
    const words = wordsOf(given, isInSentence);
    if (isInSentence && isName(words)) return [];
    const fault = faultOf(words);
    return fault === null ? [] : [`${path}: ./sluice ${words.join(" ")}: ${fault}`];
  });
}

test("the pages name commands that can be pasted", () => expect(pages.flatMap(badCommands)).toEqual([]));

test("planted mistakes are found", () => {
  const found = (text: string) => badCommands({ path: "docs/x.md", text });
  const bad = (command: string, fault: string) => [`docs/x.md: ./sluice ${command}: error: ${fault}`];
  const noCustomer = "required option '--customer <id>' not specified";
  expect(found("see `./sluice webhook list --state failed`")).toEqual(
    bad("webhook list --state failed", noCustomer),
  );
  expect(found("```sh\nX=1 ./sluice webhook replay   # again\n```")).toEqual(
    bad("webhook replay", noCustomer),
  );
  expect(found("`./sluice price gone`")[0]).toContain("unknown command 'gone'");
  expect(found("./sluice cap set --customer 1 --daly 5")[0]).toContain("unknown option '--daly'");
  expect(found("./sluice reconcile --customer x | jq")[0]).toContain("must be a whole number");
  expect(found("## ./sluice migrate 5")[0]).toContain("too many arguments");
  expect(found("`./sluice key`, `./sluice key create` and `./sluice logs NAME`")).toEqual([]);
  expect(found('./sluice adjust --customer ID --amount=-5 --reason "paid twice" >out')).toEqual([]);
  expect(
    found("| `./sluice webhook set --customer ID [--url URL \\| --no-url] [--pauses on\\|off]` |"),
  ).toEqual([]);
});
