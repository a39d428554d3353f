// Runs the simulator over a range of seeds on several cores, or one seed with its trace.
//   bun test/simulation/run.ts --seeds 10000
// Exits 1 when a seed breaks an invariant, and prints how to run it again.

import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { BUGS } from "./bugs.ts";
import { patchedSimulator } from "./patched.ts";
import { type Result, simulateAll } from "./simulate.ts";
import { type Share, totals } from "./shares.ts";

const HELP = `bun test/simulation/run.ts: the gateway on simulated clocks, database, network and operators

  --seeds N    how many runs (default 1000)
  --from N     the first seed (default 1)
  --jobs N     processes that share the work (default: 2)
  --seed N     one run; with --trace every event of it
  --bugs       plants each bug of bugs.ts in turn and counts the seeds that catch it (--seeds of each: 50)
  --only TEXT  with --bugs: those with this in their area and name
  --first      with --bugs: only up to the first seed that catches it (--seeds of each: 400)
  --learn      with --bugs: notes in soonest.json which seed catches each bug with the fewest events: the one
               noted before, or one of the 12 shortest runs of 300 from --from (many minutes)
  --help       this text

A run that breaks an invariant prints it, the last events, and the line that repeats it.`;

const PROGRESS_MS = 2_000;
const SHOWN_MAX = 5;
const LAST_EVENTS = 25;

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    from: { type: "string", default: "1" },
    jobs: { type: "string", default: "2" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    bugs: { type: "boolean", default: false },
    first: { type: "boolean", default: false },
    learn: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    share: { type: "boolean", default: false },
    part: { type: "string" },
    tried: { type: "string", default: "" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit(0);
}
const number = (text: string): number => {
  const n = Number(text);
  if (Number.isSafeInteger(n) && n >= 0) return n;
  console.error(`not a number: ${text}\n\n${HELP}`);
  process.exit(64); // EX_USAGE
};
const first = number(values.from);

/** By planted bug: the seed at which its search begins, because it catches the bug soon at present. */
const SOONEST = new URL("soonest.json", import.meta.url);
const soonest = JSON.parse(readFileSync(SOONEST, "utf8")) as Record<string, number>;
const LEARN_SEEDS = 12;
const LEARN_AMONG = 300;
/** A bug that is caught with no more events has been learned well enough. */
const LEARN_ENOUGH = 1_500;

function report({ seed, violation, trace }: Result): void {
  if (violation === null) return;
  console.log(`\nseed ${seed} breaks: ${violation.invariant}\n  ${violation.detail}\n  the last events:`);
  for (const line of trace.slice(-LAST_EVENTS)) console.log(`    ${line.slice(0, 200)}`);
  console.log(`  again: bun test/simulation/run.ts --seed ${seed} --trace`);
}

async function one(seed: number): Promise<number> {
  const result = await simulateAll(seed, values.trace ? { onNote: (line) => console.log(line) } : {});
  report(result);
  const { hash, events, stats, violation } = result;
  console.log(`seed ${seed}: ${violation === null ? "clean" : "broken"}, ${events} events, hash ${hash}`);
  if (violation === null) console.log(JSON.stringify(stats));
  return violation === null ? 0 : 1;
}

/** Runs every `step`th seed and reports to the parent along the way. */
async function share(count: number, step: number): Promise<void> {
  process.on("disconnect", () => process.exit(1)); // the parent has exited
  for (let seed = first; seed < first + count * step; seed += step) {
    const { violation, trace, events } = await simulateAll(seed);
    const broken = violation === null ? null : { seed, violation, trace };
    process.send?.({ seed, events, broken } satisfies Share);
  }
  // A listener on the parent would keep this process alive for ever.
  process.removeAllListeners("disconnect");
  process.disconnect?.();
}

async function many(seeds: number, jobs: number): Promise<number> {
  const all = totals(seeds);
  const progress = setInterval(() => console.log(all.line()), PROGRESS_MS);
  const left = Array.from({ length: Math.min(jobs, seeds) }, (_, at) => {
    const count = Math.ceil((seeds - at) / jobs);
    const child = Bun.spawn(
      [process.execPath, import.meta.path, "--share", "--seeds", String(count), "--from", String(first + at)],
      {
        env: { ...process.env, SLUICE_SIMULATION_STEP: String(jobs) },
        stdout: "inherit",
        stderr: "inherit",
        ipc(message: Share) {
          all.add(message);
          if (message.broken === null || all.broken() > SHOWN_MAX) return;
          report({ ...message.broken, hash: "", events: 0, stats: {} });
        },
      },
    );
    return child.exited;
  });
  const exits = await Promise.all(left);
  clearInterval(progress);
  console.log(all.line());
  return all.broken() === 0 && all.isWhole() && exits.every((code) => code === 0) ? 0 : 1;
}

const planted = () => BUGS.filter(({ area, name }) => `${area}: ${name}`.includes(values.only));
/** A copy of the code is never unloaded, so each process plants some bugs only. */
const BUGS_A_PROCESS = 12;
/** Those of one process. */
const partOf = (from: number) => planted().slice(from, from + BUGS_A_PROCESS);

/** One process after the other; each sends how many bugs it missed. */
async function inParts(seeds: number): Promise<number> {
  const all = planted().length;
  if (values.learn) console.log(`looking for the shortest of ${LEARN_AMONG} runs …`);
  const tried = values.learn ? ["--tried", String(await shortest())] : [];
  let caught = 0;
  for (let from = 0; from < all; from += BUGS_A_PROCESS) {
    const left = partOf(from).length;
    const child = Bun.spawn(
      [process.execPath, import.meta.path, ...process.argv.slice(2), ...tried, "--part", String(from)],
      { stdout: "inherit", stderr: "inherit", ipc: (missed: number) => void (caught += left - missed) },
    );
    await child.exited;
  }
  console.log(`${caught} of ${all} planted bugs caught in ${seeds} seeds each at most`);
  return caught === all && all > 0 ? 0 : 1;
}

/** The seeds with the fewest events: a bug that shows only at the end of a run shows soonest there. */
async function shortest(): Promise<number[]> {
  const runs: { seed: number; events: number }[] = [];
  for (let seed = first; seed < first + LEARN_AMONG; seed++)
    runs.push({ seed, events: (await simulateAll(seed)).events });
  const sorted = runs.toSorted((a, b) => a.events - b.events);
  return sorted.slice(0, LEARN_SEEDS).map(({ seed }) => seed);
}

/** Notes the seed that catches each bug with the fewest events. Returns how many none of them catches. */
async function learn(from: number): Promise<number> {
  let missed = 0;
  for (const { area, name, edits } of partOf(from)) {
    const patched = await patchedSimulator(edits);
    let best = { seed: 0, events: Number.POSITIVE_INFINITY };
    const noted = soonest[name] ?? first;
    for (const seed of new Set([noted, ...values.tried.split(",").map(number)])) {
      if (best.events <= LEARN_ENOUGH) break;
      const { violation, events } = await patched.simulate(seed);
      if (violation !== null && events < best.events) best = { seed, events };
    }
    patched.remove();
    if (best.seed === 0) missed++;
    else soonest[name] = best.seed;
    console.log(
      `${area}: ${name}\n      ${best.seed === 0 ? "missed" : `seed ${best.seed}, ${best.events} events`}`,
    );
  }
  const names = BUGS.map(({ name }) => name);
  const known = Object.keys(soonest).filter((name) => names.includes(name));
  writeFileSync(SOONEST, `${JSON.stringify(soonest, known.sort(), 2)}\n`);
  return missed;
}

/** Returns how many bugs no seed caught. */
async function bugs(seeds: number, part: number): Promise<number> {
  let missed = 0;
  for (const { area, name, edits } of partOf(part)) {
    const patched = await patchedSimulator(edits);
    const by = new Map<string, number>();
    let ran = 0;
    const from = values.first ? (soonest[name] ?? first) : first;
    for (let seed = from; seed < from + seeds && !(values.first && by.size > 0); seed++) {
      const { violation } = await patched.simulate(seed);
      ran++;
      if (violation !== null) by.set(violation.invariant, (by.get(violation.invariant) ?? 0) + 1);
    }
    patched.remove();
    const caught = [...by.values()].reduce((a, b) => a + b, 0);
    if (caught === 0) missed++;
    const how = [...by].sort((a, b) => b[1] - a[1]).map(([invariant, n]) => `${n}× ${invariant}`);
    console.log(`${caught}/${ran} ${area}: ${name}\n      ${how.slice(0, 3).join("; ")}`);
  }
  return missed;
}

const seeds = number(values.seeds ?? (values.bugs ? (values.first ? "400" : "50") : "1000"));
if (values.share) await share(seeds, number(process.env.SLUICE_SIMULATION_STEP ?? "1"));
else if (values.seed !== undefined) process.exitCode = await one(number(values.seed));
else if (values.part !== undefined) {
  const from = number(values.part);
  const missed = await (values.learn ? learn(from) : bugs(seeds, from));
  process.send?.(missed);
} else
  process.exitCode = await (values.bugs ? inParts(seeds) : many(seeds, Math.max(1, number(values.jobs))));
