// One run of schemathesis against an API of a gateway: the keys by scope, what it is told, and what it found.
// Leaves the gateway to its callers (run.ts, test/integration/contract.test.ts) and how it is run to
// schemathesis.toml, hooks.py and, for the admin API, admin_hooks.py.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PHASES = ["examples", "coverage", "fuzzing", "stateful"] as const;
/** One of the two APIs, and who calls it. */
export type Target = {
  /** In what is said of a run. */
  name: string;
  url: string;
  /** A key, or of the admin API a token, for each scope, which has that scope only. */
  keys: Readonly<Record<string, string>>;
  /** Where callbacks go: a URL on this machine. */
  callbackUrl: string;
  /** Of the admin API, as admin_hooks.py says. */
  admin?: { customers: readonly string[]; read: string; revoked: string; routes: string };
};
export type FuzzOptions = Target & {
  seed: number;
  /** Cases that the fuzzing phase makes for each operation, at most. */
  examples: number;
  /** After which it ends by itself. */
  maxS?: number;
  /** operationIds, of which the API may have none; absent or empty: all operations. */
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
  const { admin } = options;
  const folder = mkdtempSync(join(tmpdir(), "sluice-fuzz-"));
  try {
    const operations = await operationsOf(options);
    if (operations.length === 0) return { counts: [], ok: true, output: "" };
    const config = join(folder, "schemathesis.toml");
    writeFileSync(config, configOf(operations, options));
    const countsFile = join(folder, "counts.json");
    const ticker = setInterval(() => options.progress?.(sumOf(countsIn(countsFile))), PROGRESS_MS);
    const { code, output } = await run(folder, argumentsOf(config, options), {
      SLUICE_FUZZ_COUNTS: countsFile,
      SLUICE_FUZZ_CALLBACK: options.callbackUrl,
      SCHEMATHESIS_HOOKS: join(import.meta.dirname, admin === undefined ? "hooks.py" : "admin_hooks.py"),
      SLUICE_FUZZ_ADMIN: JSON.stringify(admin ?? null),
      PYTHONPATH: import.meta.dirname, // one imports the other
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

type Operation = { operationId: string; security: { apiKey?: string[]; adminToken?: string[] }[] };
type Document = { paths: Record<string, Record<string, Operation>> };

/** Of the API's document, those that are asked for. */
async function operationsOf({ url, only = [] }: FuzzOptions): Promise<Operation[]> {
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as Document;
  const all = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  return only.length === 0 ? all : all.filter(({ operationId }) => only.includes(operationId));
}

/** The operations that need a scope are sent with the key or token that has no other. */
function configOf(operations: readonly Operation[], { keys, admin }: FuzzOptions): string {
  const own = Map.groupBy(operations, ({ security: [one] }) => (one?.apiKey ?? one?.adminToken)?.[0]);
  own.delete(undefined);
  const parts = [...own].map(([scope = "", of]) => {
    const key = keys[scope];
    if (key === undefined) throw new Error(`there is no key with the scope ${scope}`);
    const ids = JSON.stringify(of.map(({ operationId }) => operationId));
    const header = admin === undefined ? `X-API-Key = "${key}"` : `Authorization = "Bearer ${key}"`;
    return `\n[[operations]]\ninclude-operation-id = ${ids}\nheaders = { ${header} }\n`;
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
