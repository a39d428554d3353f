// The fault suite's command, `make faults`: runs plans of faults under load on its own stack, and judges
// each. Exit 0: nothing accepted was lost, nothing charged twice, every sum right. Each failure prints the
// command that repeats it. Leaves everything else to part.ts.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { projectRoot } from "../../src/stack/tools.ts";
import { asText } from "./check.ts";
import { isKind, type Kind, KINDS, LONG, makePlan } from "./plan.ts";
import { type PartResult, runPart, STACK_SETTINGS } from "./part.ts";
import { whyNoDisk } from "./disk.ts";

const DISK_MB = 6_000;
const DISK_SHARE = 0.1;
const PROGRESS_PLAIN = 5;

const options = new Command("test/faults/run")
  .description(
    "Injects faults into the whole stack under load, then checks that nothing was lost or charged twice.",
  )
  .option("--seed <n>", "seed of the plan and the load", Number, 1)
  .option("--seeds <a..b>", "one run for each seed")
  .option("--faults <n>", "faults in a run", Number, 200)
  .option("--messages <n>", "minimum number of accepted messages in a run", Number, 200_000)
  .option("--rate <n>", "offered messages a second", Number, 250)
  .option("--every <s>", "mean seconds from one fault to the next", Number, 6)
  .option("--only <kinds>", `only these kinds, comma-separated: ${Object.keys(KINDS).join(", ")}`)
  .option("--quick", "leave out what takes minutes; one part only, with MySQL on the small disk")
  .option(
    "--reports",
    "no faults, but operators whose reports come late, twice, out of order and contradict each other; all " +
      "customers are told, and each signature verified",
  )
  .option("--no-keys", "the client sends no Idempotency-Key")
  .option("--keep", "keep evidence and logs even of a run without violations")
  .option("--json", "print the results as JSON")
  .addHelpText("after", "\nPorts: the gateway's + 13,000, or + SLUICE_FAULT_PORTS.")
  .parse()
  .opts<{
    seed: number;
    seeds?: string;
    faults: number;
    messages: number;
    rate: number;
    every: number;
    only?: string;
    quick?: true;
    reports?: true;
    keys: boolean;
    keep?: true;
    json?: true;
  }>();

const say = (line: string) => console.error(line);
let ticks = 0;
const progress = (line: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
  else if (ticks++ % PROGRESS_PLAIN === 0) say(line);
};
const report = (line: string) => say(process.stderr.isTTY ? `\r\x1b[K${line}` : line);

type Part = { name: string; faults: number; messages: number; diskMb: number | null; without: Kind[] };

const only = options.only?.split(",") ?? null;
for (const name of only ?? []) if (!isKind(name)) throw new Error(`no kind of fault: ${name}`);
const noDisk = whyNoDisk(join(projectRoot, ".sluice-faults", "probe"));
if (noDisk !== null) say(`LEFT OUT: disk-full, as this machine lets nobody mount a tmpfs: ${noDisk}`);

// Most of a run has MySQL on the machine's own disk; a tenth has it on a small disk that can be filled up.
function parts(): Part[] {
  const { faults, messages } = options;
  if (options.reports) return [{ name: "reports", faults: 0, messages, diskMb: null, without: [] }];
  if (options.quick || noDisk !== null || only !== null) {
    const diskMb = noDisk === null && (only === null || only.includes("disk-full")) ? DISK_MB : null;
    return [{ name: "all", faults, messages, diskMb, without: noDisk === null ? [] : ["disk-full"] }];
  }
  const few = Math.max(1, Math.round(faults * DISK_SHARE));
  const some = Math.round(messages * DISK_SHARE);
  return [
    { name: "disk", faults: faults - few, messages: messages - some, diskMb: null, without: ["disk-full"] },
    { name: "small-disk", faults: few, messages: some, diskMb: DISK_MB, without: [...LONG] },
  ];
}

function seeds(): number[] {
  if (options.seeds === undefined) return [options.seed];
  const [from = 0, to = 0] = options.seeds.split("..").map(Number);
  if (!(Number.isInteger(from) && Number.isInteger(to) && from <= to)) throw new Error("--seeds A..B");
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

const results: ({ seed: number; part: string } & PartResult)[] = [];
for (const seed of seeds()) {
  for (const part of parts()) {
    const plan = makePlan({
      seed,
      faults: part.faults,
      everyMs: options.every * 1_000,
      profile: options.quick ? "quick" : "full",
      only: only as Kind[] | null,
      without: part.without,
    });
    const folder = join(projectRoot, ".sluice-faults", `${seed}-${part.name}`);
    say(`== seed ${seed}, ${part.name}: ${plan.length} faults, at least ${part.messages} messages`);
    const result = await runPart({
      folder,
      seed,
      plan,
      messages: part.messages,
      ratePerS: options.rate,
      keys: options.keys,
      diskMb: part.diskMb,
      ...(options.reports ? { operators: "confusing" as const, toldEvery: 1 } : {}),
      env: STACK_SETTINGS,
      report,
      progress,
      keepLogs: options.keep === true,
    });
    results.push({ seed, part: part.name, ...result });
    say(textOf(result));
    if (result.failures.length === 0 && !options.keep) rmSync(folder, { recursive: true });
    if (result.failures.length > 0) {
      say(`FAILED. Evidence and logs: ${folder} (bun test/faults/check.ts judges it again). Replay:`);
      say(`  bun test/faults/run.ts ${replayArgs(seed)}`);
    }
  }
}

const sum = (of: (result: PartResult) => number) => results.reduce((all, result) => all + of(result), 0);
const total = {
  faults: sum((r) => Object.values(r.done).reduce((all, n) => all + n, 0)),
  messages: sum((r) => r.verdict.counts.accepted),
  violations: sum((r) => r.verdict.violations.reduce((all, v) => all + v.count, 0)),
  operator_duplicates: sum((r) => r.verdict.counts.copies),
  unknown: sum((r) => r.verdict.counts.statuses.unknown ?? 0),
  seconds: sum((r) => r.seconds.all),
  failures: results.flatMap((r) => r.failures),
};
if (options.json) console.log(JSON.stringify({ total, results }));
else
  console.log(
    `${total.faults} faults over ${total.messages} accepted messages in ${total.seconds} s: ` +
      `${total.violations} violations, ${total.operator_duplicates} operator duplicates, ` +
      `${total.unknown} unknown`,
  );
process.exit(total.failures.length === 0 ? 0 : 1);

function textOf(result: PartResult): string {
  const { verdict, done, reconcile, seconds, longestGapMs, starts, endedByThemselves, failures } = result;
  return [
    asText(verdict),
    `  faults: ${JSON.stringify(done)}`,
    `  starts: ${JSON.stringify(starts)}, ended by themselves: ${JSON.stringify(endedByThemselves)}`,
    `  seconds: ${JSON.stringify(seconds)}, longest time without a 202: ${longestGapMs} ms`,
    `  reconcile --settled: ${reconcile}`,
    ...failures.map((failure) => `FAILURE ${failure}`),
  ].join("\n");
}

function replayArgs(seed: number): string {
  const { faults, messages, rate, every, quick, reports, keys } = options;
  return [
    `--seed ${seed} --faults ${faults} --messages ${messages} --rate ${rate} --every ${every}`,
    ...(only === null ? [] : [`--only ${only.join(",")}`]),
    ...(quick ? ["--quick"] : []),
    ...(reports ? ["--reports"] : []),
    ...(keys ? [] : ["--no-keys"]),
  ].join(" ");
}
