// Runs the foreign SMPP operator (Peer.java, on jSMPP) as a process of its own, and gives it commands. That
// takes the jars that scripts/peer.sh installs, and a JDK on PATH. Leaves what it does to Peer.java, and
// reading its record to record.ts.
// Invariant: it ends with this process, because it ends with its stdin.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { within } from "../../src/platform/retry.ts";

/** Of every account; 8 characters at most (SMPP 3.4, 5.2.2). */
export const PEER_PASSWORD = "peer-pwd";

export type PeerCount = {
  /** Submits. */
  taken: number;
  /** Receipts that are not acknowledged yet. */
  waiting: number;
  /** Bound links. */
  links: number;
};
export type Peer = {
  port: number;
  /** The file of what it did. */
  record: string;
  /** Ends all connections at once; returns how many links were bound. */
  cut(): Promise<number>;
  count(): Promise<PeerCount>;
  stop(): Promise<void>;
};

// Its receipts have no zone: the routes file takes them as UTC.
const FLAGS = [
  "-Xmx256m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-Duser.timezone=UTC",
  "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
];
const STOP_MAX_MS = 5_000;
const program = join(import.meta.dirname, "Peer.java");
const jars = process.env.SLUICE_PEER_JARS ?? "";

const isOnPath = (name: string): boolean =>
  (process.env.PATH ?? "").split(delimiter).some((folder) => existsSync(join(folder, name)));

/** `java` compiles the program as it starts it, which takes the compiler of a JDK. */
export const isPeerInstalled = (): boolean => existsSync(jars) && isOnPath("javac");

type Waiting = { resolve: (line: string) => void; reject: (error: Error) => void };

/** Starts it on a free port, with its record and log in `folder`. @throws Error if it ends instead */
export async function startPeer(folder: string): Promise<Peer> {
  if (!isPeerInstalled()) throw new Error("jSMPP is not installed. Run: scripts/peer.sh --install");
  const record = join(folder, "peer.record");
  const logFile = join(folder, "peer.log");
  const log = openSync(logFile, "a");
  const child = spawn("java", [...FLAGS, "-cp", join(jars, "*"), program, "0", record, PEER_PASSWORD], {
    stdio: ["pipe", "pipe", log],
  });
  closeSync(log);
  const stdin = child.stdin as Writable;
  const waiting: Waiting[] = [];
  let isOver = false;
  const end = () => {
    isOver = true;
    for (const { reject } of waiting.splice(0)) reject(new Error(`the SMPP peer ended: see ${logFile}`));
  };
  child.once("error", end);
  const exited = once(child, "exit").then(end, end);
  stdin.on("error", () => undefined); // it ended: its exit says so
  createInterface({ input: child.stdout as Readable }).on("line", (line) => waiting.shift()?.resolve(line));

  // One line answers one command, in order.
  const answer = (): Promise<string> =>
    new Promise((resolve, reject) => {
      if (isOver) reject(new Error(`the SMPP peer is not running: see ${logFile}`));
      else waiting.push({ resolve, reject });
    });
  const ask = async (command: string): Promise<number[]> => {
    const answered = answer();
    stdin.write(`${command}\n`);
    return numbersOf(await answered, command);
  };
  const [port = 0] = numbersOf(await answer(), "listening");
  return {
    port,
    record,
    async cut() {
      const [links = 0] = await ask("cut");
      return links;
    },
    async count() {
      const [taken = 0, unacknowledged = 0, links = 0] = await ask("count");
      return { taken, waiting: unacknowledged, links };
    },
    async stop() {
      stdin.end();
      await within(STOP_MAX_MS, exited);
      if (!isOver) child.kill("SIGKILL");
      await exited;
    },
  };
}

function numbersOf(line: string, word: string): number[] {
  const [first, ...numbers] = line.split(" ");
  if (first !== word) throw new Error(`the SMPP peer said ${JSON.stringify(line)}, not ${word} …`);
  return numbers.map(Number);
}
