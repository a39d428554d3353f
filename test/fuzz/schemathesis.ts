// One run of schemathesis against a gateway: the keys by scope, what it is told, and what it found. Leaves
// the gateway to its callers (run.ts, test/integration/contract.test.ts) and how it is run to
// schemathesis.toml and hooks.py.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Scope } from "../../src/customers/api-keys.ts";

const PHASES = ["examples", "coverage", "fuzzing", "stateful"] as const;
export type FuzzOptions = {
  /** Of the gateway. */
  url: string;
  /** A key for each scope, which has that scope only. */
  keys: Readonly<Partial<Record<Scope, string>>>;
  /** Where callbacks go: a URL on this machine. */
  callbackUrl: string;
  seed: number;
  /** Cases that the fuzzing phase makes for each operation, at most. */
  examples: number;
  /** After which it ends by itself. */
  maxS?: number;
  /** operationIds; none: all operations. */
  only?: readonly string[];
  /** All of them if absent. */
  phases?: readonly (typeof PHASES)[number][];
  /** Called each second with the cases so far. */
  progress?: (cases: number) => void;
};
/** Cases of one operation, kind of data and phase that were answered with a status. */
export type Count = { operation: string; mode: string; phase: string; status: number; cases: number };
export type FuzzResult = {
  counts: Count[];
  /** Nothing was found, and the tool itself did not fail. */
  ok: boolean;
  /** All that it printed: each finding with a curl command that repeats it. */
  output: string;
};

const PROGRESS_MS = 1_000;
const PYTHON = process.env.SLUICE_FUZZ_PYTHON ?? "";

/** @throws Error if it isn't installed */
export async function runSchemathesis(options: FuzzOptions): Promise<FuzzResult> {
  if (!existsSync(PYTHON)) throw new Error("schemathesis is not installed; run scripts/install.sh --tests");
  const folder = mkdtempSync(join(tmpdir(), "sluice-fuzz-"));
  try {
    const config = join(folder, "schemathesis.toml");
    writeFileSync(config, await configOf(options));
    const countsFile = join(folder, "counts.json");
    const ticker = setInterval(() => options.progress?.(sumOf(countsIn(countsFile))), PROGRESS_MS);
    const { code, output } = await run(folder, argumentsOf(config, options), {
      SLUICE_FUZZ_COUNTS: countsFile,
      SLUICE_FUZZ_CALLBACK: options.callbackUrl,
      SCHEMATHESIS_HOOKS: join(import.meta.dirname, "hooks.py"),
      PYTHONDONTWRITEBYTECODE: "1",
    }).finally(() => clearInterval(ticker));
    return { counts: countsIn(countsFile), ok: code === 0, output };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function argumentsOf(config: string, options: FuzzOptions): string[] {
  const { url, seed, examples, maxS, only = [], phases = PHASES } = options;
  const fixed =
    "--checks all --mode all --continue-on-failure --generation-database none " +
    "--suppress-health-check all --request-timeout 30 --no-color";
  const own = `--phases ${phases.join(",")} --seed ${seed} --max-examples ${examples}`;
  return [
    "--config-file",
    config,
    "run",
    `${url}/openapi.json`,
    ...fixed.split(" "),
    ...own.split(" "),
    ...(maxS === undefined ? [] : ["--max-time", String(maxS)]),
    ...only.flatMap((id) => ["--include-operation-id", id]),
  ];
}

type Document = { paths: Record<string, Record<string, { operationId: string; security: Security[] }>> };
type Security = { apiKey?: Scope[] };

/** The operations that need a scope are sent with the key that has no other. */
async function configOf({ url, keys }: FuzzOptions): Promise<string> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as Document;
  const operations = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  const scopeOf = ({ security }: { security: Security[] }) => security[0]?.apiKey?.[0];
  const own = Map.groupBy(operations, scopeOf);
  own.delete(undefined);
  const parts = [...own].map(([scope, of]) => {
    const key = keys[scope as Scope];
    if (key === undefined) throw new Error(`there is no key with the scope ${scope}`);
    const ids = JSON.stringify(of.map(({ operationId }) => operationId));
    return `\n[[operations]]\ninclude-operation-id = ${ids}\nheaders = { X-API-Key = "${key}" }\n`;
  });
  return readFileSync(join(import.meta.dirname, "schemathesis.toml"), "utf8") + parts.join("");
}

type Ended = { code: number | null; output: string };

function run(cwd: string, args: string[], env: Record<string, string>): Promise<Ended> {
  const child = spawn(PYTHON, ["-m", "schemathesis.cli", ...args], {
    cwd, // where it keeps a cache
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (bytes: Buffer) => (output += bytes.toString()));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}

function countsIn(file: string): Count[] {
  if (!existsSync(file)) return [];
  const rows = JSON.parse(readFileSync(file, "utf8")) as [string, string, string, number, number][];
  return rows.map(([operation, mode, phase, status, cases]) => ({ operation, mode, phase, status, cases }));
}

/** All cases of these counts. */
export const sumOf = (counts: readonly Count[]): number => counts.reduce((sum, { cases }) => sum + cases, 0);

/** The operations that never answered with a success: nothing is proven of that answer. */
export function unanswered(counts: readonly Count[]): string[] {
  const all = new Set(counts.map(({ operation }) => operation));
  for (const { operation, status } of counts) if (status < 300) all.delete(operation);
  return [...all];
}
