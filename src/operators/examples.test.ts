// The routes files that the documentation shows can be used as they are.

import { expect, test } from "bun:test";
import { examplesOf } from "../../test/support/examples.ts";
import { faultLines, parseRoutes } from "./routes-file.ts";

test("each example of docs/CONNECTORS.md is a file without faults, with an operator", () => {
  const examples = examplesOf(new URL("../../docs/CONNECTORS.md", import.meta.url));
  for (const { text, operator, env } of examples) {
    const read = parseRoutes(new TextEncoder().encode(text), {
      env: Object.fromEntries(env.map((name) => [name, "x"])),
      folder: "/",
    });
    if (read.kind === "bad") throw new Error(faultLines(operator, read.faults).join("\n"));
    expect(read.file.operators.map(({ name }) => name)).toEqual([operator]);
  }
  expect(examples.map(({ operator }) => operator)).toEqual(
    expect.arrayContaining(["north", "dlt", "panel", "query", "soap", "twilio", "kavenegar", "sns"]),
  );
});
