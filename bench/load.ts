// An open-loop load generator: requests are due at fixed times, whether or not answers have come, and latency
// counts from then, so a stall is not hidden. Uses raw keep-alive sockets and prebuilt requests, to leave the
// CPU to what is measured. Reopens a connection that the server ends while it is idle, as clients do. Bound:
// one request at a time on each connection; a request that is due while all are busy waits, and counts as
// late.

import { connect, type Socket } from "node:net";

export type LoadOptions = {
  host: string;
  port: number;
  connections: number;
  /** null: closed loop, in which each connection sends again when it was answered. */
  ratePerS: number | null;
  seconds: number;
  /** What is not sent by the end is left out; otherwise it is sent late. Always so in a closed loop. */
  endsInTime?: boolean;
  /**
   * Called for each answer with its status, and when its request was written and it came (performance.now).
   */
  observe?: (status: string, sentAtMs: number, answeredAtMs: number) => void;
};
export type LoadResult = {
  sent: number;
  accepted: number;
  /** Other answers by status, and connections that broke. */
  refused: Record<string, number>;
  seconds: number;
  /** The time from when a request was due to its answer, sorted. */
  latenciesMs: Float64Array;
};

/** The requests of a closed loop for which there is room. */
const CLOSED_PER_S_MAX = 50_000;
// How late the client itself may make a request; each tick costs it 30 µs.
const TICK_MS = 1;
const DRAIN_MS = 15_000;
const HEADER_END = "\r\n\r\n";

type Line = { socket: Socket; dueAt: number; sentAt: number; isBusy: boolean; received: Buffer | null };

/** Sends `next()` at the given rate for the given time, and waits for the last answers. */
export async function runLoad(options: LoadOptions, next: () => Buffer): Promise<LoadResult> {
  const { host, port, connections, ratePerS, seconds } = options;
  // In a closed loop the rate is only the most that it can be.
  const rate = ratePerS ?? CLOSED_PER_S_MAX;
  let total = Math.round(rate * seconds);
  const latencies = new Float64Array(total);
  const refused: Record<string, number> = {};
  const idle: Line[] = [];
  let sent = 0;
  let answered = 0;
  let accepted = 0;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const answer = (line: Line, status: string) => {
    if (status === "202") accepted++;
    else refused[status] = (refused[status] ?? 0) + 1;
    const now = performance.now();
    latencies[answered++] = now - line.dueAt;
    options.observe?.(status, line.sentAt, now);
    line.isBusy = false;
    if (!line.socket.destroyed) idle.push(line);
    if (answered === total) finish();
  };
  let isOver = false;
  const lines = new Set<Line>();
  const add = async (): Promise<void> => {
    const line = await open(host, port, answer);
    lines.add(line);
    idle.push(line);
    const leave = () => {
      const at = idle.indexOf(line);
      if (at >= 0) idle.splice(at, 1);
    };
    // The server ends it, for example because it was idle: nothing may be sent on it any more.
    line.socket.once("end", leave);
    line.socket.once("close", () => {
      lines.delete(line);
      if (isOver) return;
      leave();
      // No answer comes to it: a server may close an idle connection just as it is used again.
      if (line.isBusy) answer(line, "closed");
      add().catch(() => undefined);
    });
  };
  await Promise.all(Array.from({ length: connections }, add));
  const startedAt = performance.now();
  const due = (n: number) => startedAt + (n * 1000) / rate;
  const endMs =
    ratePerS === null || options.endsInTime ? startedAt + seconds * 1_000 : Number.POSITIVE_INFINITY;
  const timer = setInterval(() => {
    const now = performance.now();
    if (now >= endMs) {
      total = sent;
      if (answered === total) finish();
    }
    while (sent < total && due(sent) <= now) {
      const line = idle.pop();
      if (line === undefined) return; // stays due
      line.dueAt = due(sent++);
      line.sentAt = now;
      line.isBusy = true;
      line.socket.write(next());
    }
    if (sent === total) clearInterval(timer);
  }, TICK_MS);
  let giveUp: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => (giveUp = setTimeout(resolve, seconds * 1000 + DRAIN_MS)));
  await Promise.race([finished, late]);
  clearTimeout(giveUp);
  const elapsedS = (performance.now() - startedAt) / 1000;
  clearInterval(timer);
  isOver = true;
  for (const { socket } of lines) socket.destroy();
  if (answered < total) refused.unanswered = total - answered;
  return { sent, accepted, refused, seconds: elapsedS, latenciesMs: latencies.subarray(0, answered).sort() };
}

function open(host: string, port: number, answer: (line: Line, status: string) => void): Promise<Line> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true });
    const line: Line = { socket, dueAt: 0, sentAt: 0, isBusy: false, received: null };
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => undefined); // "close" follows
      resolve(line);
    });
    socket.on("data", (chunk: Buffer) => {
      const bytes = line.received === null ? chunk : Buffer.concat([line.received, chunk]);
      if (!isWhole(bytes)) {
        line.received = bytes;
        return;
      }
      line.received = null;
      answer(line, bytes.toString("latin1", 9, 12));
    });
  });
}

function isWhole(bytes: Buffer): boolean {
  const end = bytes.indexOf(HEADER_END);
  if (end < 0) return false;
  const length = /content-length: (\d+)/i.exec(bytes.toString("latin1", 0, end))?.[1];
  return bytes.length >= end + HEADER_END.length + Number(length ?? 0);
}
