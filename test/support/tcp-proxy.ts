// A TCP proxy in front of an engine that can cut a connection at the worst moment, make it slow, or reset all
// of them. Owned by one test; loopback only. Bytes keep their order whatever the latency. Bound: delayed
// bytes are held in memory.

import { connect, createServer, type Socket } from "node:net";

export type TcpProxy = {
  port: number;
  /**
   * Cuts the connection at the next COMMIT of a transaction whose statements contain `of` (MySQL): before the
   * server receives it, or after the server has answered but before the client receives that. Resolves when
   * it has happened, or when another cut replaces it.
   */
  cutAtCommit(of: string, when: "before" | "after"): Promise<void>;
  /** The same at the next statement that contains `of`, for one that is a transaction of its own. */
  cutAtStatement(of: string, when: "before" | "after"): Promise<void>;
  /** Cancels a cut that hasn't happened yet. */
  disarm(): void;
  /** Refuses new connections and cuts all existing ones, until `mend`. */
  cutAll(): void;
  mend(): void;
  /** From now on delays every chunk by this time, in both directions; 0: no delay. */
  delay(ms: number): void;
  connections(): number;
  close(): void;
};

// A COM_QUERY packet with nothing but COMMIT: header, command and query attributes take 5 to 7 bytes.
const isCommit = (packet: Buffer): boolean =>
  packet.length < 16 && packet.toString("latin1").endsWith("COMMIT");

type Armed = { of: string; at: "COMMIT" | "statement"; when: "before" | "after"; done: () => void };

/** `port` 0: any free one. */
export function startTcpProxy(targetPort: number, port = 0): Promise<TcpProxy> {
  let armed: Armed | null = null;
  let cut = false;
  let delayMs = 0;
  const sockets = new Set<Socket>();
  // Queues chunks while the connection is slow; the same for both directions.
  const forward = (to: Socket) => {
    const waiting: { chunk: Buffer; dueAt: number }[] = [];
    const pass = () => {
      const first = waiting[0];
      if (first === undefined) return;
      const leftMs = first.dueAt - performance.now();
      if (leftMs > 0) return void setTimeout(pass, leftMs);
      waiting.shift();
      if (!to.destroyed) to.write(first.chunk);
      pass();
    };
    return (chunk: Buffer) => {
      if (delayMs === 0 && waiting.length === 0) return void to.write(chunk);
      waiting.push({ chunk, dueAt: performance.now() + delayMs });
      if (waiting.length === 1) pass();
    };
  };
  const server = createServer((client) => {
    if (cut) return void client.resetAndDestroy();
    const upstream = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
    client.setNoDelay(true);
    let swallow: (() => void) | null = null;
    let concerned = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
    const [toServer, toClient] = [forward(upstream), forward(client)];
    client.on("data", (chunk: Buffer) => {
      if (armed !== null && chunk.includes(armed.of)) concerned = true;
      if (armed === null || !concerned || (armed.at === "COMMIT" && !isCommit(chunk))) return toServer(chunk);
      const { when, done } = armed;
      armed = null;
      if (when === "after") {
        swallow = done;
        toServer(chunk);
      } else {
        client.destroy();
        done();
      }
    });
    upstream.on("data", (chunk: Buffer) => {
      if (swallow === null) return toClient(chunk);
      client.destroy();
      swallow();
    });
  });
  const disarm = () => {
    armed?.done();
    armed = null;
  };
  const cutAt = (at: Armed["at"]) => (of: string, when: Armed["when"]) => {
    disarm();
    return new Promise<void>((done) => (armed = { of, at, when, done }));
  };
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const { port: own } = server.address() as { port: number };
      resolve({
        port: own,
        cutAtCommit: cutAt("COMMIT"),
        cutAtStatement: cutAt("statement"),
        disarm,
        cutAll() {
          cut = true;
          for (const socket of sockets) socket.destroy();
        },
        mend() {
          cut = false;
        },
        delay(ms) {
          delayMs = ms;
        },
        connections: () => sockets.size / 2,
        close() {
          for (const socket of sockets) socket.destroy();
          server.close();
        },
      });
    });
  });
}
