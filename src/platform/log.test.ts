import { expect, test } from "bun:test";
import { createLog, linesLogged } from "./log.ts";

test("warnings and errors are counted by level, if they are logged at all", () => {
  const before = { warn: linesLogged("warn"), error: linesLogged("error"), fatal: linesLogged("fatal") };
  const log = createLog("test", "error");
  log.info("nothing");
  log.warn("below the level");
  log.error({ id: 1 }, "one");
  log.error("two");
  log.fatal("three");
  expect(linesLogged("warn")).toBe(before.warn);
  expect(linesLogged("error")).toBe(before.error + 2);
  expect(linesLogged("fatal")).toBe(before.fatal + 1);
});
