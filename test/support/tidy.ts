// The rules of this source tree as pure functions: they take a file's path and text and return what is wrong
// with it (test/tidy.test.ts runs them).
// Leaves to others: types (tsc), promises (oxlint), unused exports (knip), formatting (biome). Reads
// TypeScript with a small scanner instead of a parser: enough to distinguish code, strings and comments.

import { functionLengths } from "./function-length.ts";

export type SourceFile = { path: string; text: string };

/** path:line rule */
export type Finding = string;

const RANKS: Record<string, number> = {
  main: 5,
  api: 4,
  relay: 4,
  sender: 4,
  dlr: 4,
  webhook: 4,
  stack: 4,
  admin: 4,
  control: 3,
  ingest: 3,
  reconcile: 3,
  reports: 3,
  operators: 3,
  ledger: 2,
  customers: 2,
  schema: 2,
  platform: 1,
  core: 0,
};

const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;
const LINE_CHARS_MAX = 110;

const BUN_ALLOWED = ["src/api/server.ts", "src/stack/", "src/main/"];
const SQL_ALLOWED = [
  "src/ledger/",
  "src/customers/",
  "src/control/",
  "src/reports/",
  "src/reconcile/",
  "src/schema/",
  "src/relay/",
];
// Each driver and its only file or folder; nothing else may load it, not even for its types.
const DRIVERS: Record<string, string> = {
  "@confluentinc/kafka-javascript": "src/platform/kafka/",
  mysql2: "src/platform/mysql.ts",
  "@clickhouse/client": "src/platform/clickhouse.ts",
  pino: "src/platform/log.ts",
};

const STATEMENT = new RegExp(
  [
    String.raw`\bSELECT\b[\s\S]*\bFROM\b`,
    String.raw`\b(INSERT|REPLACE)\s+INTO\b`,
    String.raw`\bUPDATE\s+\S+\s+SET\b`,
    String.raw`\bDELETE\s+FROM\b`,
    String.raw`\b(CREATE|ALTER|DROP|TRUNCATE)\s+TABLE\b`,
  ].join("|"),
);
// Rows that only one file may write, and how such a statement is recognized, even in pieces: by its
// beginning, or by the assignment.
const WRITTEN_BY_ONE = [
  {
    what: "messages are moved",
    by: "src/ledger/move.ts",
    writes: [
      String.raw`\b(UPDATE|INTO|DELETE\s+FROM)\s+messages\b`,
      String.raw`\bJOIN\s+messages\b[^;]*\bSET\b`,
      String.raw`\bSET\b[^;]*\bstatus\s*=`,
      String.raw`^\s*(\w+\.)?status\s*=[^;]*,\s*\w+\s*=`,
      String.raw`\bsequence\s*=`,
    ],
  },
  {
    what: "wallets and entries are posted",
    by: "src/ledger/posting.ts",
    writes: [
      String.raw`\bUPDATE\b[^;]*\bwallet_(accounts|ledger)\b`,
      String.raw`\b(INTO|DELETE\s+FROM)\s+wallet_ledger\b`,
      String.raw`\bwallet_accounts\b[^;]*\bSET\b`,
      String.raw`\bbalance\s*=\s*(\w+\.)?balance\b`,
      String.raw`\breserved\s*=\s*(\w+\.)?reserved\b`,
    ],
  },
].map(({ writes, ...rule }) => ({ ...rule, writes: new RegExp(writes.join("|")) }));
// Split, so that this file doesn't break its own rule.
const LEFT_OPEN = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"].join("|")})\\b`);
const PUT_OFF = /\b(?:test|it|describe)\s*\.\s*(?:skip|only|todo|failing)\b/;
const MACHINE_PATH = /(?<![\w.}])\/(?:work|root|home)\/\w/;

/** Everything that is wrong with one file. */
export function findingsOf(file: SourceFile): Finding[] {
  const scanned = scan(file.text);
  return [
    ...importRanks(file, scanned),
    ...runtimeFences(file, scanned),
    ...sqlFence(file, scanned),
    ...writerFence(file, scanned),
    ...barrels(file, scanned),
    ...sizes(file),
    ...longFunctions(file),
    ...header(file),
    ...leftOpen(file, scanned),
    ...machinePaths(file),
  ];
}

/**
 * Imports go to a lower rank or stay in the folder, are relative with `.ts`, and never lead from src into
 * test or bench.
 */
export function importRanks(file: SourceFile, scanned = scan(file.text)): Finding[] {
  const findings: Finding[] = [];
  const own = folderOf(file.path);
  if (own !== null && RANKS[own] === undefined) findings.push(at(file, 1, `src/${own}/ has no rank`));
  for (const { specifier, line } of importsOf(scanned)) {
    if (!specifier.startsWith(".")) continue;
    if (!/\.(ts|json)$/.test(specifier))
      findings.push(at(file, line, `import of ${specifier} must end in .ts`));
    const target = resolve(file.path, specifier);
    // A test may use functions of any folder.
    if (own === null || isTest(file.path)) continue;
    const other = folderOf(target);
    if (other === null) {
      if (/^(test|bench)\//.test(target)) findings.push(at(file, line, `src must not import ${target}`));
    } else if (other !== own && (RANKS[other] ?? 9) >= (RANKS[own] ?? 0)) {
      findings.push(
        at(file, line, `${own} (rank ${RANKS[own]}) must not import ${other} (rank ${RANKS[other]})`),
      );
    }
  }
  return findings;
}

/** Bun's API and the drivers are used only where allowed, because roles on Node import everything else. */
export function runtimeFences(file: SourceFile, scanned = scan(file.text)): Finding[] {
  const findings: Finding[] = [];
  const bunAllowed = BUN_ALLOWED.some((place) => file.path.startsWith(place)) || !isProduct(file.path);
  for (const { specifier, line } of importsOf(scanned)) {
    if (!bunAllowed && (specifier === "bun" || specifier.startsWith("bun:")))
      findings.push(at(file, line, "bun is not allowed here"));
    for (const [driver, place] of Object.entries(DRIVERS)) {
      const isDriver = specifier === driver || specifier.startsWith(`${driver}/`);
      if (isDriver && isProduct(file.path) && !file.path.startsWith(place))
        findings.push(at(file, line, `${driver} belongs to ${place}`));
    }
  }
  for (const [i, code] of scanned.code.split("\n").entries()) {
    if (!bunAllowed && /(?<![\w.])Bun\b/.test(code))
      findings.push(at(file, i + 1, "Bun is not allowed here"));
  }
  return findings;
}

/** SQL statements are written only where the tables are owned. */
export function sqlFence(file: SourceFile, scanned = scan(file.text)): Finding[] {
  if (!isProduct(file.path) || SQL_ALLOWED.some((place) => file.path.startsWith(place))) return [];
  return scanned.strings
    .filter(({ text }) => STATEMENT.test(text))
    .map(({ line }) => at(file, line, "SQL is not allowed here"));
}

/**
 * A message's status is written only by the file that asserts its moves, money only by the one that posts it.
 */
export function writerFence(file: SourceFile, scanned = scan(file.text)): Finding[] {
  if (!isProduct(file.path)) return [];
  return WRITTEN_BY_ONE.filter(({ by }) => by !== file.path).flatMap(({ what, by, writes }) =>
    scanned.strings
      .filter(({ text }) => writes.test(text))
      .map(({ line }) => at(file, line, `${what} by ${by} alone`)),
  );
}

/** A test's table of cases, and a scenario told in order, may be longer. */
const SCENARIOS = new Set(["runSeed", "onCommit", "runPart"]);

/** A function of the product has at most FUNCTION_LINES_MAX lines of its own. */
export function longFunctions(file: SourceFile): Finding[] {
  if (isTest(file.path)) return [];
  return functionLengths(file.path, file.text)
    .filter(({ name, lines }) => lines > FUNCTION_LINES_MAX && !SCENARIOS.has(name))
    .map(({ name, line, lines }) =>
      at(file, line, `${name} has ${lines} lines of its own, ${FUNCTION_LINES_MAX} at most`),
    );
}

/** No barrels: a file that re-exports others loads all of them wherever one name is needed. */
export function barrels(file: SourceFile, scanned = scan(file.text)): Finding[] {
  const findings = /(^|\/)index\.ts$/.test(file.path) ? [at(file, 1, "no index.ts")] : [];
  for (const { line, reexport } of importsOf(scanned))
    if (reexport) findings.push(at(file, line, "import the file that defines it"));
  return findings;
}

/** At most 400 lines of 110 columns. A test's title may be longer, because it is one unbroken sentence. */
export function sizes(file: SourceFile): Finding[] {
  const findings: Finding[] = [];
  const lines = file.text.split("\n");
  if (lines.length - 1 > FILE_LINES_MAX)
    findings.push(at(file, 1, `${lines.length - 1} lines, ${FILE_LINES_MAX} at most`));
  for (const [i, line] of lines.entries()) {
    const isTitle = isTest(file.path) && /^ *(test|describe)\(["`]/.test(line);
    if (line.length > LINE_CHARS_MAX && !isTitle)
      findings.push(at(file, i + 1, `${line.length} columns, ${LINE_CHARS_MAX} at most`));
  }
  return findings;
}

/** A file opens with a comment that says what it owns; a test says it by its name. */
export function header(file: SourceFile): Finding[] {
  if (isTest(file.path)) return [];
  const [first = "", second = ""] = file.text.split("\n");
  const opening = first.startsWith("#!") ? second : first;
  return /^(\/\/|\/\*\*?) ?\S/.test(opening)
    ? []
    : [at(file, 1, "a file opens with a comment that says what it owns")];
}

/** Nothing is postponed: no marks of open work, no test that doesn't run. */
export function leftOpen(file: SourceFile, scanned = scan(file.text)): Finding[] {
  const findings: Finding[] = [];
  for (const [i, line] of file.text.split("\n").entries())
    if (LEFT_OPEN.test(line)) findings.push(at(file, i + 1, "unfinished work"));
  for (const [i, code] of scanned.code.split("\n").entries())
    if (PUT_OFF.test(code)) findings.push(at(file, i + 1, "a test that is put off"));
  return findings;
}

/** No paths of a particular machine. */
export function machinePaths(file: SourceFile): Finding[] {
  const lines = file.text.split("\n").entries();
  return [...lines]
    .filter(([, line]) => MACHINE_PATH.test(line))
    .map(([i]) => at(file, i + 1, "a path of one machine"));
}

// ---- reading TypeScript ----

type Scanned = {
  /**
   * The source by lines, with comments, templates and regular expressions blanked out; quoted strings remain.
   */
  code: string;
  strings: { text: string; line: number }[];
};

type Import = { specifier: string; line: number; reexport: boolean };

// `import … from "x"` and `export … from "x"`, `import "x"`, `import("x")`; none of them may contain the end
// of a statement.
const IMPORT = new RegExp(
  [
    String.raw`^[ \t]*(import|export)\b[^;"'=]*?\bfrom\s*["']([^"']+)["']`,
    String.raw`^[ \t]*import\s*["']([^"']+)["']`,
    String.raw`\bimport\(\s*["']([^"']+)["']`,
  ].join("|"),
  "gm",
);

function importsOf({ code }: Scanned): Import[] {
  const imports: Import[] = [];
  for (const match of code.matchAll(IMPORT)) {
    const line = code.slice(0, match.index).split("\n").length;
    imports.push({
      specifier: match[2] ?? match[3] ?? match[4] ?? "",
      line,
      reexport: match[1] === "export",
    });
  }
  return imports;
}

// Everything that isn't code, in order of precedence. A template nested in another one reads as two, which
// only blanks less. A slash begins a regular expression where a value may begin, otherwise it divides.
const TOKENS = new RegExp(
  [
    String.raw`\/\/[^\n]*`,
    String.raw`\/\*[\s\S]*?\*\/`,
    String.raw`"(?:\\.|[^"\\\n])*"`,
    String.raw`'(?:\\.|[^'\\\n])*'`,
    String.raw`${"`"}(?:\\[\s\S]|[^${"`"}\\])*${"`"}`,
    String.raw`(?<=[(,=:[!&|?{};\n]\s*|return\s)` +
      String.raw`\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[dgimsuvy]*`,
  ].join("|"),
  "g",
);

export function scan(text: string): Scanned {
  const strings: Scanned["strings"] = [];
  const code = text.replace(TOKENS, (token, offset: number) => {
    const [first] = token;
    if (first === '"' || first === "'" || first === "`") {
      strings.push({ text: token.slice(1, -1), line: text.slice(0, offset).split("\n").length });
    }
    return first === '"' || first === "'" ? token : token.replace(/[^\n]/g, " ");
  });
  return { code, strings };
}

function folderOf(path: string): string | null {
  const [top, folder, file] = path.split("/");
  return top === "src" && folder !== undefined && file !== undefined ? folder : null;
}

function isProduct(path: string): boolean {
  return path.startsWith("src/") && !isTest(path);
}

function isTest(path: string): boolean {
  return path.endsWith(".test.ts");
}

function resolve(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== ".") parts.push(part);
  }
  return parts.join("/");
}

function at(file: SourceFile, line: number, problem: string): Finding {
  return `${file.path}:${line} ${problem}`;
}
