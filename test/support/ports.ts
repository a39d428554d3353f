// Free ports for what a test starts. They lie below the range that the system uses for outgoing connections:
// a port in that range, free when it was checked, may be taken by a connection a moment later.

import { createServer } from "node:net";

// Above those of the stacks that tests start by ./sluice, whose processes come and go.
const PORT_FIRST = 24_000;
const PORTS = 8_000;

/** Returns the first of `count` consecutive free ports on loopback. */
export async function freePorts(count: number): Promise<number> {
  for (;;) {
    const port = PORT_FIRST + Math.floor(Math.random() * PORTS);
    const wanted = Array.from({ length: count }, (_, n) => port + n);
    const free = await Promise.all(wanted.map(isFree));
    if (free.every(Boolean)) return port;
  }
}

export const freePort = (): Promise<number> => freePorts(1);

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
