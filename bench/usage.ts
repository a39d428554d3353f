// Proves that usage and exports are the ledger's, to the unit, whatever Kafka repeats, reorders and delays.
// Sends messages in batches that end at every status; waits until all of them are settled; makes a share of
// their events come again, in any order and up to three times, some of which ClickHouse has forgotten, so
// that they come late; then compares what each customer gets with MySQL: usage by minute, hour and day,
// apart by lane, status and prefix and together, exports of usage, messages and statement as CSV and NDJSON,
// most of them broken off and resumed, and the wallet. Needs a running gateway (`make run`) that nobody else
// is using; adds its own customers to it. Exit 1 with the differences if there are any.

import { Command } from "commander";
import { createIdFactory, ulidBound } from "../src/core/id.ts";
import { STATEMENT_SETTLED_MS } from "../src/core/stream-limits.ts";
import { topUp } from "../src/ledger/topup.ts";
import { createClickhouse } from "../src/platform/clickhouse.ts";
import { loadConfig } from "../src/platform/config.ts";
import { createPool } from "../src/platform/mysql.ts";
import { sleep } from "../src/platform/retry.ts";
import { BENCH_SEED, type BenchCustomer, progressOf, randomFrom, round } from "./harness.ts";
import { reportsWaiting, setReports } from "./reports.ts";
import {
  readBooks,
  type Scope,
  statusesOf,
  sumsOf,
  untilAnswered,
  untilNone,
  untilRelayed,
  untilTaken,
} from "./usage-books.ts";
import { createChecks, type Window } from "./usage-checks.ts";
import { disturb, topicEnds, untilRead } from "./usage-late.ts";
import { createUsageCustomers, sendAll } from "./usage-load.ts";

const options = new Command("bench/usage")
  .description("Proves that usage and exports equal the ledger, to the unit, whatever happens to events.")
  .option("--messages <n>", "messages in all", Number, 1_000_000)
  .option("--customers <n>", "customers; the last has mode async, and no credit for all", Number, 6)
  .option("--size <n>", "messages of a batch", Number, 200)
  .option("--connections <n>", "batches in progress at once", Number, 16)
  .option("--again <share>", "share of the events that come again", Number, 0.3)
  .option("--late <share>", "share of the events that come late; not above --again", Number, 0.1)
  .option("--seed <n>", "what is sent and what comes again follow from it", Number, BENCH_SEED)
  .option("--pages", "compare statements by pages too, without waiting a minute for exports")
  .option("--json", "print only the result, as JSON")
  .parse()
  .opts<{
    messages: number;
    customers: number;
    size: number;
    connections: number;
    again: number;
    late: number;
    seed: number;
    pages?: true;
    json?: true;
  }>();
const say = (line: string) => (options.json ? undefined : console.error(line));
if (!(options.late >= 0 && options.late <= options.again && options.again <= 1))
  throw new Error("--late and --again are shares of 1, and --late is not above --again");

const config = loadConfig(process.env);
const origin = `http://${config.apiHost}:${config.apiPort}`;
const id = createIdFactory({ now: Date.now });
const pool = createPool(config, { connections: 4, multipleStatements: true });
// Long enough for deleting rows of millions.
const clickhouse = createClickhouse(config, { timeoutMs: 600_000 });
try {
  const result = await prove();
  console.log(JSON.stringify(result, null, options.json ? 0 : 2));
  process.exitCode = result.failures.length === 0 ? 0 : 1;
} finally {
  await Promise.all([pool.end(), clickhouse.close()]);
}

async function prove() {
  const startedMs = Date.now();
  const from = await topicEnds(say);
  const customers = await createUsageCustomers(pool, options.customers, options.messages);
  const scope: Scope = {
    customerIds: customers.map(({ customerId }) => customerId),
    firstId: ulidBound(startedMs - 60_000),
  };
  const { sent, window } = await send(customers, scope);
  const asked = {
    from,
    customerIds: scope.customerIds,
    seed: options.seed,
    again: Math.round(1_000 * options.again),
    late: Math.round(1_000 * options.late),
  };
  const events = await disturb(clickhouse, asked, say);
  say(`${events.lines} lines came again, ${events.late.status + events.late.ledger} of the events late`);
  const { failures, rows, cuts } = await compareAll(customers, scope, window);
  const statuses = await statusesOf(pool, scope);
  if (sent.accepted !== options.messages)
    failures.push(`${sent.accepted} of ${options.messages} messages were accepted`);
  return {
    bench: "usage",
    differences: failures.length,
    ...(await sumsOf(pool, scope)),
    statuses,
    express: sent.express,
    batches_repeated: sent.repeated,
    customers: customers.length,
    events,
    rows_compared: rows,
    exports_resumed: cuts,
    seconds: round((Date.now() - startedMs) / 1_000, 0),
    failures,
  };
}

/** Sends all, and returns when their last event is in ClickHouse. */
async function send(customers: readonly BenchCustomer[], scope: Scope) {
  const { messages, size, connections, seed } = options;
  const startMs = Date.now();
  try {
    await setReports(config, "mixed");
    say(`sending ${messages} messages of ${customers.length} customers`);
    const sent = await sendAll({ origin, customers, messages, size, connections, seed, say });
    const window = { fromMs: startMs, toMs: Date.now() + 1_000 };
    say("waiting until all have been sent or have failed, and are reported on");
    await untilTaken(pool, scope, say);
    await untilAnswered(pool, scope, say);
    await untilNone("delivery reports are on their way", say, () => reportsWaiting(config, pool));
    await untilRelayed(pool, say);
    // An export of usage shows what happened until the older of two moments: the newest change of a message,
    // and the newest entry. This entry is newer than all changes.
    await topUp({ pool, id, now: Date.now }, customers[0]?.customerId ?? 0, 1, id());
    await untilRelayed(pool, say);
    await untilRead(say);
    return { sent, window };
  } finally {
    await setReports(config, "usual");
  }
}

async function compareAll(customers: readonly BenchCustomer[], scope: Scope, window: Window) {
  const settledMs = Date.now() + STATEMENT_SETTLED_MS + 1_000;
  const checks = createChecks({ origin, window, random: randomFrom(options.seed) });
  const progress = progressOf(say);
  const each = async (what: string, check: (customer: BenchCustomer, at: number) => Promise<void>) => {
    for (const [at, customer] of customers.entries()) {
      await check(customer, at);
      progress(() => `${what} of ${at + 1} of ${customers.length} customers are compared`);
    }
  };
  const read = ({ customerId }: BenchCustomer) => readBooks(pool, customerId, scope.firstId);
  say("comparing usage with MySQL");
  await each("usage", async (customer) => checks.usage(customer, (await read(customer)).messages));
  checks.totals(await sumsOf(pool, scope));
  say("comparing exports of messages");
  await each("messages", async (customer) => checks.messages(customer, (await read(customer)).messages));
  say("comparing statements");
  while (!options.pages && Date.now() < settledMs) {
    progress(() => `waiting ${Math.ceil((settledMs - Date.now()) / 1_000)} s until exports have all entries`);
    await sleep(Math.min(500, settledMs - Date.now()));
  }
  await each("statements", async (customer) =>
    checks.statement(customer, (await read(customer)).entries, options.pages ?? false),
  );
  return checks.result();
}
