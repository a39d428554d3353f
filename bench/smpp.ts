// How many submit_sm a second one thread makes over SMPP: `node bench/smpp.ts`. Two transceivers with a
// window of 100 to a simulated operator in a process of its own that answers each submit after 20 ms, so
// 10,000/s is what the windows allow. The connector's whole path is measured: text to parts, parts to PDUs,
// the answers to messages. No receipts are asked for. Its result is a line of JSON that begins with the
// ratio.

import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command, Option } from "commander";
import type { Answer } from "../src/operators/connectors/connector.ts";
import { createSmppConnector } from "../src/operators/connectors/smpp.ts";
import { SMPP_PASSWORD, startSmppOperator } from "../src/stack/operator-smpp.ts";
import { laneRecord, LEFT_MS, smppOperator } from "../test/support/smpp-operator.ts";

const BINDS = 2;
const WINDOW = 100;
const ANSWER_MS = 20;
const HOST = "127.0.0.1";
const OPERATOR = "--operator";

const options = new Command("bench/smpp")
  .description("Submits a second over SMPP, from one thread, and their ratio to what the windows allow.")
  .option("--seconds <n>", "duration of the measurement", Number, 10)
  .option("--warmup <n>", "seconds before it, not counted", Number, 2)
  .addOption(new Option(OPERATOR, "run the operator instead").hideHelp())
  .parse()
  .opts<{ seconds: number; warmup: number; operator?: true }>();
if (options.operator) await runOperator();
else await runBench(options);

/** The operator's process: says its port, and ends with the bench. */
async function runOperator() {
  const folder = mkdtempSync(join(tmpdir(), "bench-smpp-"));
  const profile = { delayMs: [ANSWER_MS, ANSWER_MS], refused: 0, hangs: 0, down: 0 } as const;
  const operator = await startSmppOperator({
    name: "A",
    host: HOST,
    port: 0,
    folder,
    profile: () => profile,
  });
  const stop = () => void operator.stop().then(() => rmSync(folder, { recursive: true }));
  process.on("disconnect", stop);
  process.send?.(operator.port);
}

async function runBench({ seconds, warmup }: { seconds: number; warmup: number }) {
  const child = fork(fileURLToPath(import.meta.url), [OPERATOR]);
  const [port] = (await once(child, "message")) as [number];
  const notes: string[] = [];
  const link = {
    onDeliver: () => Promise.resolve(true),
    onBinds: () => undefined,
    now: Date.now,
    onUnexpected: () => undefined,
    onNote: ({ text }: { text: string }) => void notes.push(text),
  };
  const operator = smppOperator({
    port,
    password: SMPP_PASSWORD,
    binds: BINDS,
    bind_window: WINDOW,
    registered_delivery: 0,
  });
  const connector = createSmppConnector(operator, () => undefined, link);
  const message = laneRecord("Your order 1234 is on its way and will arrive today.");
  const counts: Record<Answer["kind"], number> = { accepted: 0, refused: 0, "not-connected": 0, lost: 0 };
  let isOver = false;
  let underWay = 0;
  // As dispatch does: as many messages at once as the windows have places.
  const submit = () => {
    underWay++;
    const done = ({ kind }: Answer) => {
      counts[kind]++;
      underWay--;
      if (!isOver) submit();
    };
    connector.submit(message, done, LEFT_MS);
  };
  for (let i = 0; i < BINDS * WINDOW; i++) submit();
  const wait = (s: number) => new Promise((resolve) => setTimeout(resolve, s * 1_000));
  await wait(warmup);
  const before = { ...counts };
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  await wait(seconds);
  const tookS = (performance.now() - startedMs) / 1_000;
  const used = process.cpuUsage(cpu);
  const accepted = counts.accepted - before.accepted;
  isOver = true;
  while (underWay > 0) await wait(0.05);
  const other = counts.refused + counts["not-connected"] + counts.lost;
  const perSecond = accepted / tookS;
  console.log(
    JSON.stringify({
      ratio_of_what_the_windows_allow: round(perSecond / ((BINDS * WINDOW * 1_000) / ANSWER_MS), 3),
      submits_per_second: Math.round(perSecond),
      client_cpu_us_per_submit: round((used.user + used.system) / accepted, 1),
      seconds: round(tookS, 1),
      not_accepted: other,
      binds: notes.filter((text) => text.startsWith("bound")).length,
    }),
  );
  await connector.close();
  child.disconnect();
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
