// What a flood does to others: many customers send at a low rate, first alone, then while one customer
// sends a number of normal messages at --flood-rate, until all of them are sent. Measures each message's way
// from its acceptance to an operator, and draws it (--plot docs/fairness.svg). Open loop; needs a running
// gateway (`make run`) that nobody else is using, whose operators' clock is this machine's.
// Exit 1 if express takes more than EXPRESS_P95_MS or EXPRESS_P99_MS during the flood, or the normal messages
// of others more than NORMAL_RATIO_MAX times their quiet p99.

import { writeFileSync } from "node:fs";
import { Command } from "commander";
import { ulidBound, ulidTimeMs } from "../src/core/id.ts";
import type { Lane } from "../src/core/message.ts";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { type BenchCustomer, createBenchCustomers, round, untilDrained } from "./harness.ts";
import { percentile } from "./latency.ts";
import { type LoadResult, runLoad } from "./load.ts";
import { type PlotLine, plotSvg } from "./plot.ts";
import { requestsOf } from "./requests.ts";

const EXPRESS_P95_MS = 300;
const EXPRESS_P99_MS = 1_000;
const NORMAL_RATIO_MAX = 2;
const OPERATORS = 3;
const OTHERS_CONNECTIONS = 32;
/** Others go on sending in pieces this long until the flood is sent. */
const PIECE_S = 5;
const DRAIN_MAX_S = 600;

const options = new Command("bench/fairness")
  .description("How long others' messages take to reach an operator while one customer floods the gateway.")
  .option("--flood <n>", "messages of the flood", Number, 200_000)
  .option("--flood-rate <n>", "messages a second that the flood offers", Number, 4_000)
  .option("--customers <n>", "others", Number, 50)
  .option("--normal <n>", "normal messages a second of the others together", Number, 100)
  .option("--express <n>", "express messages a second of the others together", Number, 20)
  .option("--quiet <s>", "seconds without the flood that are measured", Number, 30)
  .option("--warmup <s>", "seconds before that", Number, 5)
  .option("--connections <n>", "connections of the flood", Number, 256)
  .option("--plot <file>", "where to draw it")
  .option("--json", "print only the result, as JSON")
  .parse()
  .opts<{
    flood: number;
    floodRate: number;
    customers: number;
    normal: number;
    express: number;
    quiet: number;
    warmup: number;
    connections: number;
    plot?: string;
    json?: true;
  }>();
const say = (line: string) => (options.json ? undefined : console.error(line));
const config = loadConfig(process.env);
const pool = createPool(config, { connections: 4, multipleStatements: true });

type Taken = { lane: Lane; acceptedMs: number; tookMs: number };
type Span = { fromMs: number; toMs: number };

try {
  const result = await measure();
  console.log(JSON.stringify(result, null, options.json ? 0 : 2));
  process.exitCode = result.failures.length === 0 ? 0 : 1;
} finally {
  await pool.end();
}

async function measure() {
  say(`creating ${options.customers + 1} customers`);
  const [flood, ...others] = await createBenchCustomers(pool, options.customers + 1);
  if (flood === undefined) throw new Error("there is no customer for the flood");
  await untilDrained(pool, say);
  const operatorsBefore = await counts();
  const firstMs = Date.now();
  const send = othersOf(others);
  const results = await send(options.warmup);
  await untilDrained(pool, say); // senders that were just started begin some seconds later
  say(`quiet: ${options.quiet} s`);
  const quiet: Span = { fromMs: Date.now(), toMs: 0 };
  results.push(...(await send(options.quiet)));
  quiet.toMs = Date.now();
  const span: Span = { fromMs: Date.now(), toMs: 0 };
  const flooded = await sendFlood(flood, { send, results, operatorsBefore });
  span.toMs = Date.now();
  await untilDrained(pool, say);

  const taken = await takenOf(others[0]?.customerId ?? 0, { firstMs, operatorsBefore });
  if (options.plot !== undefined) writeFileSync(options.plot, plotOf(taken, firstMs, span));
  const during = (over: Span) => ({
    normal: summaryOf(taken, "normal", over),
    express: summaryOf(taken, "express", over),
  });
  const figures = { quiet: during(quiet), flood: during(span) };
  const ratio = round(figures.flood.normal.p99_ms / Math.max(1, figures.quiet.normal.p99_ms));
  return {
    bench: "fairness",
    normal_p99_ratio: ratio,
    ...figures,
    flood_accepted: flooded.accepted,
    flood_sent_per_s: round((flooded.accepted * 1_000) / (span.toMs - span.fromMs), 0),
    failures: failuresOf(figures.flood, ratio, results, flooded.accepted),
  };
}

type Send = (seconds: number) => Promise<LoadResult[]>;

/** Sends normal and express messages of these customers for some seconds. */
function othersOf(others: readonly BenchCustomer[]): Send {
  const nextOf = (express: number) => requestsOf(others, { host: config.apiHost, express, zipf: 0 });
  const [nextNormal, nextExpress] = [nextOf(0), nextOf(1)];
  return (seconds) => {
    const load = { host: config.apiHost, port: config.apiPort, connections: OTHERS_CONNECTIONS, seconds };
    return Promise.all([
      runLoad({ ...load, ratePerS: options.normal }, nextNormal),
      runLoad({ ...load, ratePerS: options.express }, nextExpress),
    ]);
  };
}

type Beside = { send: Send; results: LoadResult[]; operatorsBefore: readonly number[] };

/** Sends the flood, and others' messages beside it until operators have all of the flood. */
async function sendFlood(
  flood: BenchCustomer,
  { send, results, operatorsBefore }: Beside,
): Promise<LoadResult> {
  const { flood: messages, floodRate: ratePerS, connections } = options;
  say(`flood: ${messages} messages at ${ratePerS}/s`);
  const startedMs = Date.now();
  const next = requestsOf([flood], { host: config.apiHost, express: 0, zipf: 0 });
  const load = { host: config.apiHost, port: config.apiPort, connections, ratePerS };
  const flooding = runLoad({ ...load, seconds: messages / ratePerS }, next);
  let isAccepted = false;
  void flooding.then(() => (isAccepted = true));
  const isSent = async (): Promise<boolean> => {
    if (!isAccepted) return false;
    const accepted = [await flooding, ...results].reduce((sum, all) => sum + all.accepted, 0);
    const taken = (await counts()).reduce((sum, n, at) => sum + n - (operatorsBefore[at] ?? 0), 0);
    // What others sent last may still be on its way.
    return accepted - taken <= PIECE_S * (options.normal + options.express);
  };
  do {
    results.push(...(await send(PIECE_S)));
    if (Date.now() - startedMs > DRAIN_MAX_S * 1_000) throw new Error("the flood is not sent");
  } while (!(await isSent()));
  return flooding;
}

function summaryOf(taken: readonly Taken[], lane: Lane, { fromMs, toMs }: Span) {
  const sorted = Float64Array.from(
    taken
      .filter((one) => one.lane === lane && one.acceptedMs >= fromMs && one.acceptedMs < toMs)
      .map(({ tookMs }) => tookMs),
  ).sort();
  const at = (share: number) => round(percentile(sorted, share), 0);
  return { messages: sorted.length, p50_ms: at(0.5), p95_ms: at(0.95), p99_ms: at(0.99) };
}

type Summary = { messages: number; p95_ms: number; p99_ms: number };

function failuresOf(
  { express }: Record<Lane, Summary>,
  ratio: number,
  others: readonly LoadResult[],
  floodAccepted: number,
): string[] {
  const failures: string[] = [];
  const must = (holds: boolean, what: string) => {
    if (!holds) failures.push(what);
  };
  must(express.p95_ms <= EXPRESS_P95_MS, `express: p95 ${express.p95_ms} ms, ${EXPRESS_P95_MS} at most`);
  must(express.p99_ms <= EXPRESS_P99_MS, `express: p99 ${express.p99_ms} ms, ${EXPRESS_P99_MS} at most`);
  must(ratio <= NORMAL_RATIO_MAX, `normal: p99 is ${ratio} times the quiet one, ${NORMAL_RATIO_MAX} at most`);
  must(
    others.every(({ refused }) => Object.keys(refused).length === 0),
    "messages of others were refused",
  );
  must(floodAccepted === options.flood, `${floodAccepted} of ${options.flood} of the flood were accepted`);
  return failures;
}

/** How many messages each operator has taken. */
async function counts(): Promise<number[]> {
  const all: number[] = [];
  for (let at = 0; at < OPERATORS; at++) {
    const answer = await fetch(`http://${config.apiHost}:${config.operatorPort + at}/count`);
    all.push(((await answer.json()) as { count: number }).count);
  }
  return all;
}

/** The messages of the customers from `firstCustomer` on, and when an operator had them. */
async function takenOf(
  firstCustomer: number,
  { firstMs, operatorsBefore }: { firstMs: number; operatorsBefore: readonly number[] },
): Promise<Taken[]> {
  const atMs = new Map<string, number>();
  for (let at = 0; at < OPERATORS; at++) {
    const after = operatorsBefore[at] ?? 0;
    const answer = await fetch(`http://${config.apiHost}:${config.operatorPort + at}/taken?after=${after}`);
    for (const line of (await answer.text()).split("\n")) {
      const [id = "", ms = ""] = line.split(" ");
      if (id !== "") atMs.set(id, Math.min(Number(ms), atMs.get(id) ?? Number.POSITIVE_INFINITY));
    }
  }
  const rows = await pool.query<{ id: string; lane: Lane }[]>(
    "SELECT id, lane FROM messages WHERE id >= ? AND customer_id >= ?",
    [ulidBound(firstMs), firstCustomer],
  );
  return rows.flatMap(({ id, lane }) => {
    const ms = atMs.get(id);
    const acceptedMs = ulidTimeMs(id);
    return ms === undefined ? [] : [{ lane, acceptedMs, tookMs: ms - acceptedMs }];
  });
}

/** The slowest of each second's messages. */
function plotOf(taken: readonly Taken[], firstMs: number, span: Span): string {
  const lineOf = (lane: Lane, color: string): PlotLine => {
    const seconds = Map.groupBy(
      taken.filter((one) => one.lane === lane),
      ({ acceptedMs }) => Math.floor((acceptedMs - firstMs) / 1_000),
    );
    const points = [...seconds]
      .sort(([a], [b]) => a - b)
      .map(([second, of]) => [second, Math.max(...of.map(({ tookMs }) => tookMs))] as const);
    return { name: `${lane}: the slowest of each second`, color, points };
  };
  return plotSvg({
    title: `Other customers' messages, from acceptance to an operator, while one sends ${options.flood}`,
    span: {
      from: (span.fromMs - firstMs) / 1_000,
      to: (span.toMs - firstMs) / 1_000,
      name: `a flood of ${options.flood} normal messages of one customer`,
    },
    series: [lineOf("normal", "#2b6cb0"), lineOf("express", "#c05621")],
  });
}
