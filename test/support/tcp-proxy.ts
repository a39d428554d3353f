// A TCP proxy in front of MySQL that can cut the line at the worst moment. Owned by one test; loopback only.

import { connect, createServer, type Socket } from "node:net";

export type TcpProxy = {
  port: number;
  /**
   * Cuts the connection at the next COMMIT of a transaction whose statements hold `of`: before the server
   * hears it, or after it has answered and before the client hears that. Resolves when it happened.
   */
  cutAtCommit(of: string, when: "before" | "after"): Promise<void>;
  /** Refuses new connections and cuts all there are, until `mend`. */
  cutAll(): void;
  mend(): void;
  close(): void;
};

// A COM_QUERY packet that holds nothing else: header, command and query attributes are 5 to 7 bytes.
const isCommit = (packet: Buffer): boolean =>
  packet.length < 16 && packet.toString("latin1").endsWith("COMMIT");

export function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  let armed: { of: string; when: "before" | "after"; done: () => void } | null = null;
  let cut = false;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    if (cut) return void client.destroy();
    const upstream = connect(targetPort, "127.0.0.1");
    let swallow: (() => void) | null = null;
    let concerned = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => sockets.delete(socket));
    }
    client.on("close", () => upstream.destroy());
    upstream.on("close", () => client.destroy());
    client.on("data", (chunk: Buffer) => {
      if (armed !== null && chunk.includes(armed.of)) concerned = true;
      if (armed === null || !concerned || !isCommit(chunk)) return void upstream.write(chunk);
      const { when, done } = armed;
      armed = null;
      if (when === "after") {
        swallow = done;
        upstream.write(chunk);
      } else {
        client.destroy();
        done();
      }
    });
    upstream.on("data", (chunk: Buffer) => {
      if (swallow === null) return void client.write(chunk);
      client.destroy();
      swallow();
    });
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      resolve({
        port,
        cutAtCommit: (of, when) => new Promise((done) => (armed = { of, when, done })),
        cutAll() {
          cut = true;
          for (const socket of sockets) socket.destroy();
        },
        mend() {
          cut = false;
        },
        close() {
          for (const socket of sockets) socket.destroy();
          server.close();
        },
      });
    });
  });
}
