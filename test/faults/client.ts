// The HTTP client of the fault suite: hand-written keep-alive sockets with one request at a time on each, so
// that it knows for every request whether it was answered, and never repeats one unnoticed (as HTTP libraries
// may). Leaves what is sent, and retries, to load.ts.
// Bound: `connections` sockets, QUEUE_MAX requests waiting for one, a time limit for each answer.

import { connect, type Socket } from "node:net";
import { parseAnswer, type RawAnswer } from "../support/raw-http.ts";

export type Client = {
  /** Resolves with null if no answer came: refused, reset, closed or too late. */
  request(bytes: Buffer, onSent: () => void): Promise<RawAnswer | null>;
  /** The number of requests that wait for a connection. */
  waiting(): number;
  close(): void;
};

export type ClientOptions = { host: string; port: number; connections: number; answerMaxMs: number };

type Job = { bytes: Buffer; onSent: () => void; resolve: (answer: RawAnswer | null) => void };
type Line = { socket: Socket | null; job: Job | null; received: Buffer | null; timer: NodeJS.Timeout | null };

export function createClient({ host, port, connections, answerMaxMs }: ClientOptions): Client {
  const queue: Job[] = [];
  const idle: Line[] = Array.from({ length: connections }, () => ({
    socket: null,
    job: null,
    received: null,
    timer: null,
  }));
  const lines = [...idle];

  const end = (line: Line, answer: RawAnswer | null) => {
    const { job } = line;
    if (job === null) return;
    if (line.timer !== null) clearTimeout(line.timer);
    line.job = null;
    line.received = null;
    line.timer = null;
    const next = queue.shift();
    if (next === undefined) idle.push(line);
    else start(line, next);
    job.resolve(answer);
  };
  const lose = (line: Line, socket: Socket) => {
    socket.destroy();
    if (line.socket !== socket) return;
    line.socket = null;
    end(line, null);
  };
  const open = (line: Line): Socket => {
    const socket = connect({ host, port, noDelay: true });
    line.socket = socket;
    socket.on("error", () => lose(line, socket));
    socket.on("close", () => lose(line, socket));
    socket.on("data", (chunk: Buffer) => {
      if (line.socket !== socket || line.job === null) return lose(line, socket);
      line.received = line.received === null ? chunk : Buffer.concat([line.received, chunk]);
      const answer = parseAnswer(line.received);
      if (answer === null) return;
      if (answer.headers.get("connection") === "close") {
        line.socket = null;
        socket.destroy();
      }
      end(line, answer);
    });
    return socket;
  };
  const start = (line: Line, job: Job) => {
    line.job = job;
    const socket = line.socket ?? open(line);
    line.timer = setTimeout(() => lose(line, socket), answerMaxMs);
    job.onSent();
    socket.write(job.bytes);
  };
  return {
    request: (bytes, onSent) =>
      new Promise((resolve) => {
        const job = { bytes, onSent, resolve };
        const line = idle.pop();
        if (line === undefined) queue.push(job);
        else start(line, job);
      }),
    waiting: () => queue.length,
    close() {
      for (const { socket } of lines) socket?.destroy();
    },
  };
}
