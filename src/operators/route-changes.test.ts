// What is said of the difference of two routes files.

import { expect, test } from "bun:test";
import { changesBetween } from "./route-changes.ts";
import { parseRoutes, type RoutesFile } from "./routes-file.ts";

const env = { ONE: "hunter1", TWO: "hunter2" };
const read = (text: string) => parseRoutes(Buffer.from(text), { env, folder: "/" });
const changes = (before: string, after: string) => {
  const loaded = read(after);
  expect(loaded).toMatchObject({ kind: "ok" });
  return changesBetween(read(before), (loaded as { file: RoutesFile }).file);
};
const operator = (name: string, more = "") =>
  `  ${name}: { kind: http, url: "http://${name}.example/x", price: 1${more} }\n`;

test("operators and routes that came, went or changed have a line each; terms with both values", () => {
  const before =
    `operators:\n${operator("A")}${operator("B")}${operator("C")}` +
    "routes: { r: { prefixes: ['+98'], operators: [A, B] } }\n";
  const after =
    `# by hand\noperators:\n${operator("D")}${operator("A", ", rate: 5, lanes: [normal]")}${operator("B")}` +
    "routes: { r: { prefixes: ['+98'], lanes: [normal], operators: [B, A] }, " +
    "s: { prefixes: ['+1'], operators: [B] } }\n";
  expect(changes(before, after)).toEqual([
    "operator C: removed",
    "operator D: added",
    'operator A: lanes ["normal","express"] → ["normal"], rate none → 5',
    'route r: lanes ["normal","express"] → ["normal"], tiers changed',
    "route s: added",
  ]);
  expect(changes(before, `${before}# a comment\n`)).toEqual([]);
});

test("settings of connectors are named without their values, which may be secrets", () => {
  const of = (env: string) => `operators:\n${operator("A", `, authorization: { env: ${env} }`)}`;
  const told = changes(of("ONE"), of("TWO"));
  expect(told).toEqual(["operator A: authorization changed"]);
  expect(changes("operators: {}\n", of("TWO"))).toEqual(["the file of before had faults"]);
});

test("the lines are bounded", () => {
  const many = Array.from({ length: 120 }, (_, n) => `  o${n}: { operators: [A] }\n`).join("");
  const used = Array.from({ length: 120 }, (_, n) => `o${n}`);
  const routes = used.map(
    (name, n) => `  p${n}: { prefixes: ['+1${n + 100}'], operators: [A], fallback: ${name} }`,
  );
  const after = `operators:\n${operator("A")}routes:\n${many}${routes.join("\n")}\n`;
  const told = changes(`operators:\n${operator("A")}`, after);
  expect([told.length, told.at(-1)]).toEqual([101, "and 140 more"]);
});
