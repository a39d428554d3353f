import { afterEach, describe, expect, test } from "bun:test";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { sleep } from "../src/platform/retry.ts";
import { randomFrom } from "./harness.ts";
import { percentile } from "./latency.ts";
import { runLoad } from "./load.ts";

let server: ReturnType<typeof Bun.serve> | undefined;
afterEach(() => server?.stop(true));

const request = Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
function serve(answer: (n: number) => Response | Promise<Response>): number {
  let n = 0;
  server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => answer(n++) });
  return server.port as number;
}
const load = (port: number, options = {}) =>
  runLoad(
    { host: "127.0.0.1", port, connections: 8, ratePerS: 200, seconds: 0.5, ...options },
    () => request,
  );

describe("the load generator", () => {
  test("sends every request once, at its rate", async () => {
    const port = serve(() => new Response("{}", { status: 202 }));
    const { sent, accepted, refused, seconds, latenciesMs } = await load(port);
    expect({ sent, accepted, refused }).toEqual({ sent: 100, accepted: 100, refused: {} });
    expect(latenciesMs).toHaveLength(100);
    expect(seconds).toBeGreaterThan(0.45);
  });

  test("counts other answers by their status", async () => {
    const port = serve((n) => new Response("x".repeat(n), { status: n % 4 === 0 ? 503 : 202 }));
    const { accepted, refused } = await load(port);
    expect({ accepted, refused }).toEqual({ accepted: 75, refused: { 503: 25 } });
  });

  test("in a closed loop sends again when it was answered, until its time is over", async () => {
    const port = serve(async () => {
      await sleep(40);
      return new Response("{}", { status: 202 });
    });
    const { sent, accepted, seconds } = await load(port, { ratePerS: null });
    expect(accepted).toBe(sent);
    expect(sent).toBeGreaterThan(8 * 4);
    expect(sent).toBeLessThanOrEqual(8 * 13);
    expect(seconds).toBeLessThan(2);
  });

  test("reopens a connection that the server ended while it was idle", async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => {
      // The first to open is used last: it is idle when the second one opens.
      if (sockets.push(socket) === 2) sockets[0]?.end();
      socket.on("data", () => socket.write("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"));
    });
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { accepted, refused } = await load((silent.address() as AddressInfo).port, { connections: 2 });
    silent.close();
    expect({ accepted, refused, opened: sockets.length }).toEqual({ accepted: 100, refused: {}, opened: 3 });
  });

  test("tells of a request whose connection the server ended, at once", async () => {
    let n = 0;
    const rude = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.on("data", () =>
        n++ === 5 ? socket.destroy() : socket.write("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"),
      );
    });
    await new Promise<void>((resolve) => rude.listen(0, "127.0.0.1", resolve));
    const { accepted, refused, seconds } = await load((rude.address() as AddressInfo).port);
    rude.close();
    expect({ accepted, refused }).toEqual({ accepted: 99, refused: { closed: 1 } });
    expect(seconds).toBeLessThan(2);
  });

  test("counts a stall from when a request was due, not from when it could be sent", async () => {
    const port = serve(async (n) => {
      if (n === 0) await sleep(300);
      return new Response(null, { status: 202 });
    });
    const { latenciesMs } = await load(port, { connections: 1 });
    expect(percentile(latenciesMs, 0.5)).toBeGreaterThan(50);
    expect(percentile(latenciesMs, 1)).toBeGreaterThan(290);
  });
});

test("the random numbers of a bench are the same each time", () => {
  const [a, b] = [randomFrom(7), randomFrom(7)];
  expect(Array.from({ length: 5 }, a)).toEqual(Array.from({ length: 5 }, b));
});
