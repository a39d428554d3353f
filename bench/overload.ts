// What the API does past its capacity: its peak is measured, by connections that each wait for their answers,
// before and after --times as much is offered for --seconds, at fixed times, over many connections, most of
// it by one customer and as much as --others of the peak by many. Needs the engines of a running gateway
// (`make run`) that nobody else is using; starts an ingest process of its own on them. A connection waits for
// its answer, too, so what can't be offered because all of them wait is left out.
// Exit 1 unless the figures are those of overload-verdict.ts, and exactly what was answered is stored.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { Command } from "commander";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { isAlive, readRecords } from "../src/stack/process.ts";
import { type BenchCustomer, cpuMs, createBenchCustomers, round } from "./harness.ts";
import { startIngest, stop } from "./ingest-process.ts";
import { latencyOf } from "./latency.ts";
import { runLoad } from "./load.ts";
import { failuresOf, REFUSALS } from "./overload-verdict.ts";
import { requestsOf } from "./requests.ts";

const HOST = "127.0.0.1";
const WATCH_MS = 100;

const options = new Command("bench/overload")
  .description("Goodput, refusals, fairness and memory of an ingest process that is offered too much.")
  .option("--seconds <n>", "duration of the overload", Number, 60)
  .option("--peak-seconds <n>", "duration of the measurement of the peak", Number, 15)
  .option("--warmup <n>", "seconds before it, not counted", Number, 5)
  .option("--times <n>", "how many times the peak is offered", Number, 3)
  .option("--others <n>", "what the other customers offer together, of the peak", Number, 0.3)
  .option("--peak-connections <n>", "connections at the peak", Number, 512)
  .option("--connections <n>", "connections of the flood", Number, 4_000)
  .option("--customers <n>", "other customers", Number, 50)
  .option("--port <n>", "API port of the process; its health port is the next", Number, 18_090)
  .option("--apart", "ingest and MySQL have one core, and the client has the others")
  .option("--json", "print only the result, as JSON")
  .parse()
  .opts<{
    seconds: number;
    peakSeconds: number;
    warmup: number;
    times: number;
    others: number;
    peakConnections: number;
    connections: number;
    customers: number;
    port: number;
    apart?: true;
    json?: true;
  }>();
const say = (line: string) => (options.json ? undefined : console.error(line));

const config = loadConfig(process.env);
const pool = createPool(config, { connections: 4, multipleStatements: true });
const server = await startIngest(options.port, options.port + 1);
const processes = [
  ...readRecords(resolve(config.stateFolder))
    .filter((record) => record.role === "mysql" && isAlive(record))
    .map(({ pid }) => ({ name: "mysql", pid })),
  { name: "ingest", pid: server.pid as number },
  { name: "client", pid: process.pid },
];
if (options.apart) setApart();
try {
  const result = await measure();
  console.log(JSON.stringify(result, null, options.json ? 0 : 2));
  process.exitCode = result.failures.length === 0 ? 0 : 1;
} finally {
  await stop(server);
  await pool.end();
}

async function measure() {
  const [flooding, ...others] = await createBenchCustomers(pool, options.customers + 1);
  if (flooding === undefined) throw new Error("there is no customer for the flood");
  const customers = [flooding, ...others];
  const load = { host: HOST, port: options.port };
  const nextOf = (of: BenchCustomer[]) => requestsOf(of, { host: HOST, express: 0, zipf: 0 });
  const atPeak = (seconds: number) => runClosed({ ...load, seconds }, nextOf(customers));
  say(`the peak: warming up for ${options.warmup} s, measuring for ${options.peakSeconds} s`);
  const warm = options.warmup > 0 ? await atPeak(options.warmup) : null;
  const atPeakCores = coresUsed();
  const peak = await atPeak(options.peakSeconds);
  const peakCores = atPeakCores();
  const peakPerS = peak.perS;

  const offeredPerS = options.times * peakPerS;
  say(`offering ${round(offeredPerS, 0)}/s, ${options.times} times the peak, for ${options.seconds} s`);
  const watched = watchMemory(server.pid as number);
  const refusals: number[] = [];
  const observe = (status: string, sentAtMs: number, answeredAtMs: number) => {
    if (REFUSALS.includes(status)) refusals.push(answeredAtMs - sentAtMs);
  };
  const ofOthers = options.others * peakPerS;
  const { seconds, connections } = options;
  // Each of the others' connections waits for its answer: enough for answers of half a second.
  const shared = { ...load, seconds, observe, endsInTime: true };
  const othersConnections = Math.max(8, Math.ceil(ofOthers / 2));
  const overloadCores = coresUsed();
  const [flood, beside] = await Promise.all([
    runLoad({ ...shared, connections, ratePerS: offeredPerS - ofOthers }, nextOf([flooding])),
    runLoad({ ...shared, connections: othersConnections, ratePerS: ofOthers }, nextOf(others)),
  ]);
  const cores = { peak: peakCores, overload: overloadCores() };
  const rssMaxMb = watched.stop();
  say("the peak again");
  const again = await atPeak(options.peakSeconds);
  const meanPerS = (peakPerS + again.perS) / 2;
  const answered = (warm?.accepted ?? 0) + peak.accepted + again.accepted + flood.accepted + beside.accepted;
  const stored = await storedOf(customers);
  const figures = {
    goodput_ratio: round((flood.accepted + beside.accepted) / seconds / meanPerS),
    refused: { count: refusals.length, ...latencyOf(Float64Array.from(refusals).sort()) },
    others_accepted: round(beside.accepted / Math.max(1, beside.sent), 4),
    offered_ratio: round((flood.sent + beside.sent) / seconds / offeredPerS),
    rss_max_mb: round(rssMaxMb, 0),
  };
  return {
    bench: "overload",
    ...figures,
    peak_per_s: round(peakPerS, 0),
    peak_again_per_s: round(again.perS, 0),
    cores,
    accepted_ms: latencyOf(beside.latenciesMs),
    statuses: { flood: flood.refused, others: beside.refused },
    stored,
    answered,
    times: options.times,
    seconds,
    connections,
    customers: options.customers,
    failures: failuresOf(figures, [flood.refused, beside.refused], { answered, stored }),
  };
}

/** As much as so many connections take that each send again when they are answered. */
async function runClosed(
  load: { host: string; port: number; seconds: number },
  next: () => Buffer,
): Promise<{ accepted: number; perS: number }> {
  const connections = options.peakConnections;
  const { accepted, seconds } = await runLoad({ ...load, connections, ratePerS: null }, next);
  return { accepted, perS: accepted / seconds };
}

/** Begins to count; the returned function says how many cores each process has used on average. */
function coresUsed(): () => Record<string, number> {
  const before = cpuMs(processes);
  const startedMs = performance.now();
  return () => {
    const tookMs = performance.now() - startedMs;
    const used = [...cpuMs(processes)].map(([name, ms]) => [
      name,
      round((ms - (before.get(name) ?? 0)) / tookMs),
    ]);
    return Object.fromEntries(used);
  };
}

/** With one core for what is measured, what the client takes is nothing that it lacks. */
function setApart(): void {
  const last = availableParallelism() - 1;
  for (const { name, pid } of processes)
    execFileSync("taskset", ["-acp", name === "client" ? `0-${last - 1}` : String(last), String(pid)]);
}

function watchMemory(pid: number): { stop(): number } {
  let mostMb = 0;
  const look = () => {
    const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    mostMb = Math.max(mostMb, Number(kb ?? 0) / 1_024);
  };
  const timer = setInterval(look, WATCH_MS);
  return {
    stop() {
      look();
      clearInterval(timer);
      return mostMb;
    },
  };
}

async function storedOf(customers: readonly BenchCustomer[]): Promise<number> {
  const [row] = await pool.query<{ stored: unknown }[]>(
    "SELECT COUNT(*) AS `stored` FROM wallet_ledger WHERE customer_id IN (?) AND op='reserve'",
    [customers.map(({ customerId }) => customerId)],
  );
  return Number(row?.stored);
}
