// `make peer`: messages through the whole gateway to an SMPP operator that isn't ours, on jSMPP, with its
// links cut many times. Exit 0: every message has ended as that operator says, and all money is exact. Leaves
// the run to proof.ts.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { projectRoot } from "../../src/stack/tools.ts";
import { type ProofResult, runProof } from "./proof.ts";

const PROGRESS_PLAIN = 5;
const MESSAGES_MAX = 8_000_000; // the recipients that send.ts has

const options = new Command("test/peers/run")
  .description(
    "Sends messages over the API to an SMPP operator that isn't ours (jSMPP), cuts its links, and compares " +
      "every message with the operator's record, and all money.",
  )
  .option("--messages <n>", "messages to send", Number, 100_000)
  .option("--cuts <n>", "how many times all links are cut while they are sent", Number, 20)
  .option("--rate <n>", "messages offered a second", Number, 500)
  .option("--keep", "keep the operator's record even of a run without failures")
  .option("--json", "print the result as JSON")
  .addHelpText(
    "after",
    "\nIt runs a stack of its own: state in .sluice-test-peer/, ports: the gateway's + 12,700. " +
      "The evidence of a run that failed stays in .sluice-peer/run/.",
  )
  .parse()
  .opts<{ messages: number; cuts: number; rate: number; keep?: true; json?: true }>();

const { messages, cuts, rate } = options;
if (!(Number.isInteger(messages) && messages >= 1 && messages <= MESSAGES_MAX))
  throw new Error(`--messages: a whole number from 1 to ${MESSAGES_MAX}`);
if (!(Number.isInteger(cuts) && cuts >= 0)) throw new Error("--cuts: a whole number");
if (!(rate > 0)) throw new Error("--rate: a number above 0");

const say = (line: string) => console.error(line);
const isTerminal = process.stderr.isTTY;
let ticks = 0;
const progress = (line: string) => {
  if (isTerminal) process.stderr.write(`\r\x1b[K${line}`);
  else if (ticks++ % PROGRESS_PLAIN === 0) say(line);
};

const folder = join(projectRoot, ".sluice-peer", "run");
const result = await runProof({
  folder,
  messages,
  cuts,
  ratePerS: rate,
  report: (line) => say(isTerminal ? `\r\x1b[K${line}` : line),
  progress,
});
if (result.failures.length > 0) say(`FAILED. The operator's record and the logs: ${folder}`);
else if (!options.keep) rmSync(folder, { recursive: true });
console.log(options.json ? JSON.stringify(result) : asText(result));
process.exit(result.failures.length === 0 ? 0 : 1);

function asText({ verdict, linksCut, reconcile, seconds, failures }: ProofResult): string {
  const { statuses, taken, refused, receipts, unknown } = verdict;
  return [
    `${messages} messages in ${seconds.sending} s, ${taken} parts taken, ${refused} refused, ` +
      `${receipts} receipts; links cut ${verdict.cuts} times, ${linksCut} in all`,
    `  ended: ${JSON.stringify(statuses)}`,
    `  unknown: ${unknown.unread} that the operator never read, ${unknown.unanswered} of which a link took ` +
      "the answer, and no receipt can prove what became of them",
    `  reconcile --settled: ${reconcile}; ${seconds.all} s in all`,
    ...failures.map((failure) => `FAILURE ${failure}`),
  ].join("\n");
}
