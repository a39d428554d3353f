// Checks whether an engine is up: one request in its own protocol on a new connection, without a driver,
// because an open port alone may belong to an engine that is still recovering. Bound: probeMaxMs; anything
// unexpected is "no".

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect } from "node:net";

const probeMaxMs = 1_000;
const LOOPBACK = "127.0.0.1";

/** MySQL sends a greeting first: byte 5 is the protocol version, 10, or 255 for an error. */
export const mysqlAnswers = (port: number): Promise<boolean> =>
  exchange(port, null, (bytes) => bytes.length >= 5 && bytes[4] === 10);

// ApiVersions (key 18) version 0, correlation id 1, no client id: 10 bytes after the length. The answer
// repeats the id, followed by an error code of 0.
const apiVersions = Uint8Array.from([0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 255, 255]);
export const kafkaAnswers = (port: number): Promise<boolean> =>
  exchange(
    port,
    apiVersions,
    (bytes) => bytes.length >= 10 && bytes[7] === 1 && bytes[8] === 0 && bytes[9] === 0,
  );

export const clickhouseAnswers = (port: number): Promise<boolean> => httpAnswers(port, "/ping");

/** True for a 2xx. */
export async function httpAnswers(port: number, path: string, host = LOOPBACK): Promise<boolean> {
  try {
    const response = await fetch(`http://${reachable(host)}:${port}${path}`, {
      signal: AbortSignal.timeout(probeMaxMs),
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

/** Turns an address to listen on into one to connect to, as it is written in a URL. */
export function reachable(host: string): string {
  if (host === "0.0.0.0") return LOOPBACK;
  return host.includes(":") ? `[${host === "::" ? "::1" : host}]` : host;
}

/** The pid of the process listening on this TCP port: null if none, 0 if it belongs to another user. */
export function listenerPid(port: number): number | null {
  const inodes = new Set([
    ...listeningInodes("/proc/net/tcp", port),
    ...listeningInodes("/proc/net/tcp6", port),
  ]);
  if (inodes.size === 0) return null;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    if (socketsOf(pid).some((inode) => inodes.has(inode))) return Number(pid);
  }
  return 0;
}

function exchange(
  port: number,
  request: Uint8Array | null,
  accept: (answer: Buffer) => boolean,
): Promise<boolean> {
  return new Promise((resolve) => {
    let received = Buffer.alloc(0);
    const socket = connect({ host: "127.0.0.1", port });
    const finish = (result: boolean) => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(probeMaxMs, () => finish(false));
    socket.on("connect", () => request && socket.write(request));
    socket.on("data", (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
      if (accept(received)) finish(true);
    });
    socket.on("error", () => finish(false));
    socket.on("close", () => finish(false));
  });
}

// proc(5): local address as hex `ADDRESS:PORT`; state 0A is LISTEN; the tenth column is the socket's inode.
function listeningInodes(file: string, port: number): string[] {
  let lines: string[];
  try {
    lines = readFileSync(file, "latin1").split("\n").slice(1);
  } catch {
    return []; // no IPv6 here
  }
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return lines
    .map((line) => line.trim().split(/\s+/))
    .flatMap((at) => (at[1]?.endsWith(suffix) && at[3] === "0A" ? [at[9] ?? ""] : []));
}

function socketsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
      } catch {
        return []; // closed in the meantime
      }
    });
  } catch {
    return []; // ended, or another user's
  }
}
