// The source tree keeps its rules: import ranks, fences around runtimes, drivers and SQL, sizes, nothing
// postponed. The rules themselves are in support/tidy.ts; here they are applied to every file, and to planted
// violations that they must find.

import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BUGS } from "./simulation/bugs.ts";
import {
  barrels,
  findingsOf,
  header,
  importRanks,
  leftOpen,
  longFunctions,
  machinePaths,
  runtimeFences,
} from "./support/tidy.ts";
import { scan, type SourceFile, sizes, sqlFence, writerFence } from "./support/tidy.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const FOLDERS = ["src", "test", "bench", "scripts", "tools", "clients", "docs/examples"];
/** Printed, not written; as long as the API is. */
const GENERATED = "clients/typescript/types.ts";

function sources(): SourceFile[] {
  const found: SourceFile[] = [];
  for (const folder of FOLDERS) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
      if (!entry.endsWith(".ts") || entry.includes("node_modules")) continue;
      const path = `${folder}/${entry}`;
      if (path === GENERATED) continue;
      found.push({ path, text: readFileSync(join(root, path), "utf8") });
    }
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

test("the tree is tidy", () => {
  const files = sources();
  expect(files.length).toBeGreaterThan(50);
  expect(files.flatMap(findingsOf)).toEqual([]);
});

test("the text that each planted bug changes occurs exactly once", () => {
  const places = BUGS.flatMap(({ name, edits }) =>
    edits.map((edit) => `${readFileSync(join(root, edit.file), "utf8").split(edit.find).length - 1} ${name}`),
  );
  expect(places.filter((place) => !place.startsWith("1 "))).toEqual([]);
});

const file = (path: string, ...lines: string[]): SourceFile => ({ path, text: `${lines.join("\n")}\n` });

describe("import ranks", () => {
  test("a higher rank, and another folder of the same rank, are refused", () => {
    expect(importRanks(file("src/core/a.ts", 'import { x } from "../platform/b.ts";'))).toHaveLength(1);
    expect(importRanks(file("src/relay/a.ts", 'import { x } from "../sender/b.ts";'))).toHaveLength(1);
    expect(importRanks(file("src/ledger/a.ts", 'import type { X } from "../customers/b.ts";'))).toHaveLength(
      1,
    );
    expect(importRanks(file("src/core/a.ts", 'const x = await import("../main/b.ts");'))).toHaveLength(1);
  });

  test("an import over several lines is read, and its line is named", () => {
    const planted = file("src/core/a.ts", "// head", "import {", "  x,", "  y,", '} from "../main/b.ts";');
    expect(importRanks(planted)).toEqual(["src/core/a.ts:2 core (rank 0) must not import main (rank 5)"]);
  });

  test("a lower rank and the file's own folder are allowed", () => {
    expect(
      importRanks(file("src/main/x/a.ts", 'import { x } from "../../core/b.ts";', 'import "../b.ts";')),
    ).toEqual([]);
    expect(
      importRanks(
        file("src/relay/a.ts", 'import { x } from "./b.ts";', 'import { y } from "../ledger/c.ts";'),
      ),
    ).toEqual([]);
  });

  test("an import without .ts, a folder without a rank, and test code in the product are refused", () => {
    expect(importRanks(file("src/core/a.ts", 'import { x } from "./b";'))).toHaveLength(1);
    expect(importRanks(file("src/util/a.ts", "export const x = 1;"))).toEqual([
      "src/util/a.ts:1 src/util/ has no rank",
    ]);
    expect(importRanks(file("src/core/a.ts", 'import { x } from "../../test/support/b.ts";'))).toHaveLength(
      1,
    );
    expect(importRanks(file("src/core/a.test.ts", 'import { x } from "../../test/support/b.ts";'))).toEqual(
      [],
    );
  });

  test("imports in comments and templates don't count", () => {
    expect(
      importRanks(
        file(
          "src/core/a.ts",
          '// import { x } from "../main/b.ts";',
          "const s = `",
          'import "../main/b.ts";',
          "`;",
        ),
      ),
    ).toEqual([]);
  });
});

describe("fences", () => {
  test("Bun is refused outside its places, also as an import, and allowed in them and in tests", () => {
    expect(runtimeFences(file("src/ledger/a.ts", "await Bun.sleep(1);"))).toHaveLength(1);
    expect(runtimeFences(file("src/ingest/a.ts", "const { sleep } = Bun;"))).toHaveLength(1);
    expect(runtimeFences(file("src/relay/a.ts", 'import { sql } from "bun";'))).toHaveLength(1);
    expect(runtimeFences(file("src/relay/a.ts", 'import { Database } from "bun:sqlite";'))).toHaveLength(1);
    for (const path of [
      "src/api/server.ts",
      "src/stack/a.ts",
      "src/main/a.ts",
      "src/core/a.test.ts",
      "bench/a.ts",
    ]) {
      expect(runtimeFences(file(path, "Bun.serve({});"))).toEqual([]);
    }
  });

  test("Bun in a comment, a string or a longer name is allowed", () => {
    expect(
      runtimeFences(
        file("src/core/a.ts", "// Bun.serve", "const x = `Bun.serve`;", "const y = { isBun: 1 }.isBun;"),
      ),
    ).toEqual([]);
  });

  test("a driver is refused outside its one file, also its subpaths and types", () => {
    expect(
      runtimeFences(file("src/relay/a.ts", 'import K from "@confluentinc/kafka-javascript";')),
    ).toHaveLength(1);
    expect(
      runtimeFences(file("src/ledger/a.ts", 'import type { Pool } from "mysql2/promise";')),
    ).toHaveLength(1);
    expect(runtimeFences(file("src/platform/mysql.ts", 'import mysql from "mysql2/promise";'))).toEqual([]);
    expect(
      runtimeFences(file("src/platform/mysql.ts", 'import K from "@confluentinc/kafka-javascript";')),
    ).toHaveLength(1);
  });

  test("SQL is refused outside rank 2, the relay and the migrator, in any kind of string", () => {
    for (const sql of [
      '"SELECT id FROM messages"',
      "`UPDATE messages SET x=1`",
      "'DELETE FROM t'",
      "`SELECT 1\nFROM t`",
    ]) {
      expect(sqlFence(file("src/ingest/a.ts", `const q = ${sql};`))).toHaveLength(1);
      for (const path of [
        "src/ledger/a.ts",
        "src/relay/a.ts",
        "src/schema/migrations.ts",
        "src/ingest/a.test.ts",
      ]) {
        expect(sqlFence(file(path, `const q = ${sql};`))).toEqual([]);
      }
    }
  });

  test("a message's status is written only in move.ts, even in a statement in pieces; reading is free", () => {
    for (const sql of [
      "\"UPDATE messages SET status='sent' WHERE id=1\"",
      "`UPDATE (VALUES ROW(1)) AS v JOIN messages m ON m.id=v.i ` + `SET m.status='${to}',m.attempt=1`",
      "`UPDATE messages ` + `SET attempt=2`",
      "`status='sending',sequence=${n}`",
      "`INSERT INTO messages (id) VALUES (1)`",
      "`DELETE FROM messages`",
      "'sequence=5'",
    ]) {
      expect(writerFence(file("src/ledger/a.ts", `const q = ${sql};`))).not.toEqual([]);
      expect(writerFence(file("src/ledger/move.ts", `const q = ${sql};`))).toEqual([]);
      expect(writerFence(file("test/integration/a.test.ts", `const q = ${sql};`))).toEqual([]);
    }
    for (const sql of [
      "`SELECT id FROM messages WHERE id IN (1) AND status='queued' FOR UPDATE`",
      '"UPDATE outbox SET run_at=NOW(3)"',
      "`AND status IN ('scheduled','queued')`",
      "`m.sequence - 1`",
    ])
      expect(writerFence(file("src/ledger/a.ts", `const q = ${sql};`))).toEqual([]);
  });

  test("wallets and entries are written only in posting.ts; creating, reading and locking a wallet is free", () => {
    for (const sql of [
      "`UPDATE wallet_accounts SET balance=1`",
      "`UPDATE (VALUES ROW(1)) AS v STRAIGHT_JOIN wallet_accounts w ON w.customer_id=v.c`",
      '"w.balance=w.balance+1"',
      "`INSERT INTO wallet_ledger (op) VALUES (1)`",
      "`DELETE FROM wallet_ledger`",
    ]) {
      expect(writerFence(file("src/ledger/lease.ts", `const q = ${sql};`))).toHaveLength(1);
      expect(writerFence(file("src/ledger/posting.ts", `const q = ${sql};`))).toEqual([]);
    }
    for (const sql of [
      "`SELECT balance FROM wallet_accounts WHERE customer_id=1 FOR UPDATE`",
      "`INSERT INTO wallet_accounts (customer_id) VALUES (1)`",
    ])
      expect(writerFence(file("src/ledger/lease.ts", `const q = ${sql};`))).toEqual([]);
  });

  test("words that only look like SQL are allowed", () => {
    expect(
      sqlFence(
        file(
          "src/ingest/a.ts",
          "// SELECT id FROM t",
          'const s = "select from the list"; const ping = "SELECT 1";',
        ),
      ),
    ).toEqual([]);
  });
});

describe("shape", () => {
  test("files that re-export what others define are refused", () => {
    expect(barrels(file("src/core/a.ts", 'export * from "./b.ts";'))).toHaveLength(1);
    expect(barrels(file("src/core/a.ts", 'export { x } from "./b.ts";'))).toHaveLength(1);
    expect(barrels(file("src/core/a.ts", 'export type { X } from "./b.ts";'))).toHaveLength(1);
    expect(barrels(file("src/core/index.ts", "export const x = 1;"))).toHaveLength(1);
    expect(
      barrels(
        file("src/core/a.ts", 'import { x } from "./b.ts";', "export { y };", 'export const z = "from";'),
      ),
    ).toEqual([]);
  });

  test("400 lines of 110 columns are the most", () => {
    expect(sizes(file("a.ts", ...Array<string>(400).fill("x".repeat(110))))).toEqual([]);
    expect(sizes(file("a.ts", ...Array<string>(401).fill("x")))).toEqual(["a.ts:1 401 lines, 400 at most"]);
    expect(sizes(file("a.ts", "x", "x".repeat(111)))).toEqual(["a.ts:2 111 columns, 110 at most"]);
  });

  test("a function has 70 lines of its own at most: not blank ones, comments, or those of functions inside it", () => {
    const lines = (n: number) => Array<string>(n).fill("  x();");
    const long = file("src/core/a.ts", "function f() {", ...lines(69), "}");
    expect(longFunctions(long)).toEqual(["src/core/a.ts:1 f has 71 lines of its own, 70 at most"]);
    expect(longFunctions(file("src/core/a.ts", "function f() {", ...lines(68), "", "// y", "}"))).toEqual([]);
    const inner = ["  const g = () => {", ...lines(60), "  };"];
    expect(longFunctions(file("src/core/a.ts", "export function f() {", ...inner, ...inner, "}"))).toEqual(
      [],
    );
    expect(longFunctions({ ...long, path: "src/core/a.test.ts" })).toEqual([]);
  });

  test("only a test's title may be longer", () => {
    const title = `test("${"x".repeat(120)}", () => {`;
    expect(sizes(file("a.test.ts", title))).toEqual([]);
    expect(sizes(file("a.ts", title))).toHaveLength(1);
    expect(sizes(file("a.test.ts", `const t = "${"x".repeat(120)}";`))).toHaveLength(1);
  });

  test("a file without an opening comment is refused", () => {
    expect(header(file("a.ts", "// Owns a.", "x;"))).toEqual([]);
    expect(header(file("a.ts", "#!/usr/bin/env bun", "// Owns a."))).toEqual([]);
    for (const first of ["import x;", "", "//"]) expect(header(file("a.ts", first))).toHaveLength(1);
  });

  test("marks of open work and disabled tests are refused", () => {
    for (const mark of ["TO" + "DO", "FIX" + "ME"])
      expect(leftOpen(file("a.ts", `// ${mark}: later`))).toHaveLength(1);
    for (const way of ["skip", "only", "todo"]) {
      expect(leftOpen(file("a.test.ts", `test.${way}("x", () => {});`))).toHaveLength(1);
      expect(leftOpen(file("a.test.ts", `describe.${way}("x", () => {});`))).toHaveLength(1);
    }
    expect(leftOpen(file("a.test.ts", 'test("skips only what is done", () => {});', "limit.only;"))).toEqual(
      [],
    );
  });

  test("a path of a particular machine is refused, a route is not", () => {
    for (const top of ["root", "home", "work"])
      expect(machinePaths(file("a.ts", `const x = "/${top}/x";`))).toHaveLength(1);
    expect(machinePaths(file("a.ts", 'const x = "/v1/wallet";', "const y = import.meta.url;"))).toEqual([]);
  });
});

describe("the scanner", () => {
  test("distinguishes code, strings, comments and regular expressions", () => {
    const { code, strings } = scan(
      'const a = "s"; // c \'x\'\nconst b = /["/]/g; /* `d` */ f(`t`, 4 / 2 / 1);',
    );
    expect(strings).toEqual([
      { text: "s", line: 1 },
      { text: "t", line: 2 },
    ]);
    expect(code).toContain('const a = "s";');
    expect(code).toContain("4 / 2 / 1");
    expect(code).not.toContain("c 'x'");
    expect(code.split("\n")).toHaveLength(2);
  });
});
