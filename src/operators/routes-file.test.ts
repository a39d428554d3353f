// Every fault of a routes file is found, at its place; what is read has its defaults and secrets.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { faultLines, loadRoutes, parseRoutes } from "./routes-file.ts";

const SECRET = "Bearer hunter2";
const env = { NORTH_AUTHORIZATION: SECRET, EMPTY: "", BROKEN: "a\nb" };
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sluice-test-routes-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const parse = (text: string) => parseRoutes(new TextEncoder().encode(text), { env, folder });
const faults = (text: string): string[] => {
  const read = parse(text);
  return read.kind === "ok" ? [] : faultLines("f", read.faults).map((line) => line.slice(2));
};
const read = (text: string) => {
  const found = parse(text);
  if (found.kind === "bad") throw new Error(faultLines("f", found.faults).join("\n"));
  return found.file;
};
/** Operators A, B and C on lines 2 to 4, C only in the normal lane and for +98; the rest begins on line 5. */
const withThree = (rest: string) =>
  `operators:
  A: { kind: http, url: "http://a/submit", price: 1 }
  B: { kind: http, url: "http://b/submit", price: 1 }
  C: { kind: http, url: "http://c/submit", price: 1, prefixes: ["+98"], lanes: [normal] }
${rest}`;

test("the shipped file is read: the local operators, at the ports that the settings give them", () => {
  const path = fileURLToPath(new URL("../../routes.yaml", import.meta.url));
  const loaded = loadRoutes(path, { SLUICE_OPERATOR_PORT: "25000" });
  if (loaded.kind === "bad") throw new Error(faultLines(path, loaded.faults).join("\n"));
  expect(loaded.file.operators.map(({ name, price, weight }) => [name, price, weight])).toEqual([
    ["A", 90, 1],
    ["B", 100, 2],
    ["C", 100, 1],
  ]);
  expect(loaded.file.operators.map((operator) => operator.kind === "http" && operator.url)).toEqual([
    "http://127.0.0.1:25000/submit",
    "http://127.0.0.1:25001/submit",
    "http://127.0.0.1:25002/submit",
  ]);
});

test("what its comments show can be used too", () => {
  const text = readFileSync(new URL("../../routes.yaml", import.meta.url), "utf8");
  const lines = text.slice(text.indexOf("\noperators:")).replaceAll(/^# ?(?=( {2}\S| {4}|routes:))/gm, "");
  const file = read(lines.replaceAll(/^#.*$/gm, ""));
  expect(file.operators.map(({ name }) => name)).toEqual(["A", "B", "C", "north"]);
  expect(file.operators[3]).toMatchObject({ rate: 200, window: 50, priority: 1, authorization: SECRET });
  expect(file.routes.map(({ name }) => name)).toEqual(["compare", "rest"]);
});

test("what an operator leaves out is at its default", () => {
  expect(read("operators:\n  A: { kind: http, url: http://a/submit, price: 3 }\n").operators).toEqual([
    {
      name: "A",
      kind: "http",
      url: "http://a/submit",
      prefixes: ["+"],
      lanes: ["normal", "express"],
      priority: 0,
      price: 3,
      weight: 1,
      window: 96,
    },
  ]);
});

test("every fault is named at once, at its place, with what to do", () => {
  const text = `operators:
  A: { kind: htp }
  B:
    kind: http
    url: ftp://user:hunter2@x
    price: 1.5
    weight: 0
    prefixes: [+98, "98", "+98", "+98"]
    lanes: [normal, urgent]
    window: "96"
    rate:
    colour: red
  4x: { kind: http, url: http://x, price: 1 }
  D: http
  E: { url: http://e, price: 1 }
routes: [A]
rotes: {}
`;
  const prefix = 'must be a prefix of an international number, such as "+98912", or "+" for all numbers';
  expect(faults(text)).toEqual([
    "2:14 operators.A.kind: must be one of http, smpp, twilio, kavenegar, sns",
    "5:10 operators.B.url: must be an address such as https://sms.example/submit, without a name and " +
      "password",
    "6:12 operators.B.price: must be a whole number from 0 to 1000000000",
    "7:13 operators.B.weight: must be a whole number from 1 to 1000",
    `8:16 operators.B.prefixes[0]: ${prefix}, in quotes`,
    `8:21 operators.B.prefixes[1]: ${prefix}`,
    "8:34 operators.B.prefixes[3]: is in the list already: remove it",
    "9:21 operators.B.lanes[1]: must be one of normal, express",
    "10:13 operators.B.window: must be a whole number from 1 to 10000",
    "11:10 operators.B.rate: has no value: it must be a whole number from 1 to 100000, or remove the line",
    "12:5 operators.B.colour: is not a field here; the fields are kind, prefixes, lanes, priority, price, " +
      "weight, window, rate, reports, url, method, authorization, basic, headers, query, body, sender, " +
      "encodings, secrets, answer",
    "13:3 operators.4x: its name must be a letter, then letters, digits and _, 32 at most",
    "14:6 operators.D: must be a map of its settings",
    "15:6 operators.E.kind: is missing: it must be one of http, smpp, twilio, kavenegar, sns",
    "16:9 routes: must be a map of 1 to 1000 routes by name",
    "17:1 rotes: is not a field here; the fields are operators, routes",
  ]);
});

test("a file needs operators, and not too many", () => {
  expect(faults("routes: {}\n")[0]).toBe("1:1 operators: is missing: name at least one");
  expect(faults("operators: {}\n")).toEqual(["1:12 operators: must be a map of 1 to 32 operators by name"]);
  expect(faults("operators:\n")).toEqual(["1:11 operators: must be a map of 1 to 32 operators by name"]);
  expect(faults("hello\n")).toEqual(["1:1 must be a map that begins with `operators:`"]);
  const many = Array.from({ length: 33 }, (_, n) => `  o${n}: { kind: http, url: http://a, price: 1 }\n`);
  expect(faults(`operators:\n${many.join("")}`)).toEqual([
    "2:3 operators: must be a map of 1 to 32 operators by name",
  ]);
  expect(faults("operators:\n  A: { kind: http, url: http://a }\n")).toEqual([
    "2:6 operators.A.price: is missing: it must be a whole number from 0 to 1000000000",
  ]);
});

test("a name that JavaScript has a meaning for is only a name", () => {
  expect(faults('operators:\n  __proto__: { kind: http, url: "http://a", price: 1 }\n')).toEqual([
    "2:3 operators.__proto__: its name must be a letter, then letters, digits and _, 32 at most",
  ]);
  const text =
    'operators:\n  constructor: { kind: http, url: "http://a", price: 1 }\n' +
    'routes:\n  toString: { prefixes: ["+98"], operators: [constructor] }\n';
  expect(read(text).routes[0]?.tiers).toEqual([[{ operator: "constructor", weight: 1 }]]);
});

test("a secret is read from the environment or a file, and is never in the file itself", () => {
  writeFileSync(join(folder, "north.key"), `${SECRET}\n`);
  const operator = (authorization: string) =>
    `operators:\n  A: { kind: http, url: http://a, price: 1, authorization: ${authorization} }\n`;
  for (const kept of ["{ env: NORTH_AUTHORIZATION }", "{ file: north.key }", `{ file: ${folder}/north.key }`])
    expect(read(operator(kept)).operators[0]).toMatchObject({ authorization: SECRET });
  writeFileSync(join(folder, "long.key"), "x".repeat(5_000));
  for (const [kept, what] of [
    ["hunter2", "must be {env: NAME} or {file: PATH}; a secret is never in this file itself"],
    ["{ env: A, file: b }", "must be {env: NAME} or {file: PATH}; a secret is never in this file itself"],
    ["{ env: 5 }", "must be {env: NAME} or {file: PATH}; a secret is never in this file itself"],
    ["{ env: NOWHERE }", "the environment has no NOWHERE: set it for every process that reads this file"],
    ["{ env: EMPTY }", "the environment's EMPTY is empty: put the secret there"],
    [
      "{ env: BROKEN }",
      "the environment's BROKEN has a line break or another character that can't be sent: remove it",
    ],
    ["{ file: none.key }", `${folder}/none.key can't be read (ENOENT)`],
    ["{ file: . }", `${folder} can't be read (EISDIR)`],
    ["{ file: long.key }", `${folder}/long.key has more than 4096 bytes`],
    ["{ file: /dev/zero }", "/dev/zero has more than 4096 bytes"],
  ] as const)
    expect(faults(operator(kept))).toEqual([`2:60 operators.A.authorization: ${what}`]);
});

test("an operator of SMPP has its settings, nested ones too", () => {
  const text = (more: string) => `operators:
  S:
    kind: smpp
    price: 1
    host: smsc.example
    system_id: us
    password: { env: NORTH_AUTHORIZATION }
${more}`;
  const file = read(
    text(`    addresses: { international: { ton: 2, npi: 1 } }
    statuses: { "0x45": elsewhere }
`),
  );
  expect(file.operators[0]).toMatchObject({
    port: 2775,
    tls: false,
    mode: "transceiver",
    binds: 1,
    // What its binds take, not what is usual for other kinds.
    window: 10,
    password: SECRET,
    addresses: { international: { ton: 2, npi: 1 } },
    statuses: { "0x45": "elsewhere" },
  });
  expect(read(text("    binds: 3\n    bind_window: 50\n")).operators[0]).toMatchObject({ window: 150 });
  expect(read(text("    binds: 3\n    window: 7\n")).operators[0]).toMatchObject({ window: 7 });
  expect(
    faults(
      text(`    port: 70000
    tls: yes
    addresses: { international: { ton: 256 }, lunar: { ton: 1, npi: 1 } }
    statuses: { "0x45": maybe, 69: elsewhere }
`),
    ).map((line) => line.replace(/; the fields are .*/, "")),
  ).toEqual([
    "8:11 operators.S.port: must be a whole number from 1 to 65535",
    "9:10 operators.S.tls: must be true or false",
    "10:33 operators.S.addresses.international.npi: is missing: it must be a whole number from 0 to 255",
    "10:40 operators.S.addresses.international.ton: must be a whole number from 0 to 255",
    "10:47 operators.S.addresses.lunar: is not a field here",
    "11:25 operators.S.statuses.0x45: must be one of later, elsewhere, for_good, perhaps_taken",
    "11:32 operators.S.statuses.69: is no name that can be here: it must match ^0x[0-9A-Fa-f]{1,8}$",
  ]);
});

test("a placeholder is one of the two settings of the local stack; no other setting gets into the file", () => {
  const operator = (url: string) => `operators:\n  A: { kind: http, url: "${url}", price: 1 }\n`;
  const urlOf = (url: string) => read(operator(url)).operators[0];
  expect(urlOf("http://${SLUICE_API_HOST}:${SLUICE_OPERATOR_PORT + 2}/x")).toMatchObject({
    url: "http://127.0.0.1:19203/x",
  });
  for (const bad of ["${SLUICE_MYSQL_PASSWORD}", "${SLUICE_API_HOST + 1}", "${SLUICE_NOTHING}"])
    expect(faults(operator(`http://a/${bad}`))[0]).toStartWith(
      `2:25 operators.A.url: ${bad} is not known: a placeholder is SLUICE_API_HOST or SLUICE_OPERATOR_PORT`,
    );
});

test("a route has its operators in order, or their shares, and then its fallbacks', each operator once", () => {
  const { routes } = read(
    withThree(`routes:
  first: { prefixes: ["+98912", "+98913"], lanes: [normal], split: { A: 80, C: 20 }, fallback: then }
  then: { operators: [B, A] }
  all: { prefixes: ["+"], operators: [B, A] }
`),
  );
  expect(routes).toEqual([
    {
      name: "first",
      prefixes: ["+98912", "+98913"],
      lanes: ["normal"],
      tiers: [
        [
          { operator: "A", weight: 80 },
          { operator: "C", weight: 20 },
        ],
        [{ operator: "B", weight: 1 }],
      ],
    },
    {
      name: "then",
      prefixes: [],
      lanes: ["normal", "express"],
      tiers: [[{ operator: "B", weight: 1 }], [{ operator: "A", weight: 1 }]],
    },
    {
      name: "all",
      prefixes: ["+"],
      lanes: ["normal", "express"],
      tiers: [[{ operator: "B", weight: 1 }], [{ operator: "A", weight: 1 }]],
    },
  ]);
});

test("a circle of fallbacks is refused once, whatever leads to it", () => {
  const text = withThree(`routes:
  start: { prefixes: ["+1"], operators: [A], fallback: x }
  x: { operators: [A], fallback: y }
  y: { operators: [B], fallback: z }
  z: { operators: [A], fallback: x }
  self: { prefixes: ["+2"], operators: [A], fallback: self }
`);
  expect(faults(text)).toEqual([
    "7:34 routes.x.fallback: the fallbacks go in a circle, x → y → z → x: remove one of them",
    "10:55 routes.self.fallback: the fallbacks go in a circle, self → self: remove one of them",
  ]);
});

test("a name that doesn't exist is refused where it is used, unless the operator is there with a fault of its own", () => {
  const text = `operators:
  A: { kind: http, url: http://a, price: no }
routes:
  r: { prefixes: ["+1"], operators: [A, Q], fallback: nowhere }
  s: { prefixes: ["+2"], split: { A: 40, R: 60 } }
`;
  expect(faults(text)).toEqual([
    "2:42 operators.A.price: must be a whole number from 0 to 1000000000",
    "4:41 routes.r.operators[1]: there is no operator Q: name one of A",
    "4:55 routes.r.fallback: there is no route nowhere: name another route, or remove the line",
    "5:42 routes.s.split.R: there is no operator R: name one of A",
  ]);
});

test("two routes for one prefix and lane are refused; for two lanes they are not", () => {
  expect(
    faults(
      withThree(`routes:
  one: { prefixes: ["+98", "+1"], operators: [A] }
  two: { prefixes: ["+1", "+98912"], lanes: [express], operators: [B] }
`),
    ),
  ).toEqual([
    "7:21 routes.two.prefixes[0]: +1 in the lane express is the route one's already (line 6): remove it " +
      "from one of them",
  ]);
  read(
    withThree(`routes:
  one: { prefixes: ["+98"], lanes: [normal], operators: [A] }
  two: { prefixes: ["+98"], lanes: [express], operators: [B] }
`),
  );
});

test("splits that overlap are refused: two for one prefix, or one operator twice in a split", () => {
  expect(
    faults(
      withThree(`routes:
  one: { prefixes: ["+98912", "+98913"], split: { A: 50, B: 50 } }
  two: { prefixes: ["+98913"], split: { A: 90, B: 10 } }
`),
    ),
  ).toEqual(
    ["normal", "express"].map(
      (lane) =>
        `7:21 routes.two.prefixes[0]: +98913 in the lane ${lane} is the route one's already (line 6): ` +
        "remove it from one of them",
    ),
  );
  expect(faults(withThree('routes:\n  r: { prefixes: ["+98"], split: { A: 50, B: 25, A: 25 } }\n'))).toEqual([
    "6:50 routes.r.split.A: is given twice: remove this or line 6",
  ]);
});

test("shares sum to 100, and a route has either shares or an order", () => {
  const route = (fields: string) => faults(withThree(`routes:\n  r: { prefixes: ["+98"], ${fields} }\n`));
  expect(route("split: { A: 50, B: 51 }")).toEqual([
    "6:34 routes.r.split: its shares sum to 101: make them 100",
  ]);
  expect(route("split: { A: 0, B: 100 }")).toEqual([
    "6:39 routes.r.split.A: must be a whole number from 1 to 100",
  ]);
  expect(route("split: { A: 33.3, B: 66.7 }")).toHaveLength(2);
  const either =
    "6:6 routes.r: must have one of `operators` (a list, in order) and `split` (shares in percent)";
  expect(route("split: { A: 100 }, operators: [A]")).toEqual([either]);
  expect(route("fallback: s")).toContain(either);
  expect(route("operators: [A, A]")).toEqual([
    "6:42 routes.r.operators[1]: is in the list already: remove it",
  ]);
  expect(route("operators: []")).toEqual(["6:38 routes.r.operators: must be a list of 1 to 32"]);
});

test("a route gives an operator nothing that it doesn't take, by its fallback neither", () => {
  expect(
    faults(
      withThree(`routes:
  r: { prefixes: ["+9891", "+1"], lanes: [normal], operators: [A], fallback: c }
  c: { operators: [C], lanes: [normal] }
  e: { prefixes: ["+985"], operators: [C] }
`),
    ),
  ).toEqual([
    "6:28 routes.r.prefixes[1]: the operator C of this route does not take +1: add it to the operator's " +
      "prefixes, or leave the operator out",
    "8:6 routes.e.lanes: the operator C of this route does not take the lane express: leave one of them out",
  ]);
});

test("a route without prefixes that is no fallback is refused, because it would never be used", () => {
  expect(faults(withThree("routes:\n  r: { operators: [A] }\n"))).toEqual([
    "6:3 routes.r: is never used: give it prefixes, or name it as a fallback",
  ]);
});

test("no fault shows a value of the file or a secret", () => {
  const text = `operators:
  A: { kind: hunter2, url: hunter2, price: hunter2 }
  B: { kind: http, url: hunter2, price: hunter2, lanes: [hunter2] }
  D: { kind: http, url: http://a, authorization: { env: NORTH_AUTHORIZATION } }
  C: { kind: http, url: http://a, price: 1, authorization: hunter2 }
`;
  expect(faults(text).length).toBeGreaterThan(4);
  expect(faults(text).join("\n")).not.toContain("hunter2");
});

test("a file that can't be read, or is none, is a fault", () => {
  for (const [path, what] of [
    [join(folder, "none.yaml"), "can't be read (ENOENT)"],
    [folder, "is not a file"],
    ["/dev/zero", "is not a file"],
  ] as const)
    expect(loadRoutes(path, {})).toEqual({ kind: "bad", faults: [{ line: 1, column: 1, path: "", what }] });
  const large = join(folder, "large.yaml");
  writeFileSync(large, "# 10 MB\n".repeat(1_250_000));
  expect(loadRoutes(large, {})).toMatchObject({
    kind: "bad",
    faults: [{ what: expect.stringContaining("at most 262144") }],
  });
});
