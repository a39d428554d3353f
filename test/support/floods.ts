// Many requests at once to an ingest process, on connections of their own, and what is asked beside them.

import { expect } from "bun:test";
import { connect } from "node:net";
import { holdDeclared } from "./declared.ts";
import { parseAnswer, type RawAnswer } from "./raw-http.ts";
import { fromRaw, refused } from "./refusals.ts";

/** Opens all connections first, then writes all requests, so that they really run concurrently. */
export async function sendAtOnce(url: string, requests: string[]): Promise<(RawAnswer | null)[]> {
  const port = Number(new URL(url).port);
  const sockets = await Promise.all(
    requests.map(
      () =>
        new Promise<ReturnType<typeof connect>>((resolve, reject) => {
          const socket = connect(port, "127.0.0.1", () => resolve(socket));
          socket.on("error", reject);
        }),
    ),
  );
  return Promise.all(
    sockets.map(
      (socket, i) =>
        new Promise<RawAnswer | null>((resolve) => {
          let received: Buffer = Buffer.alloc(0);
          socket.removeAllListeners("error");
          socket.on("error", () => resolve(null));
          socket.on("close", () => resolve(null));
          socket.on("data", (chunk: Buffer) => {
            received = Buffer.concat([received, chunk]);
            const answer = parseAnswer(received);
            if (answer === null) return;
            resolve(answer);
            socket.destroy();
          });
          socket.write(requests[i] as string);
        }),
    ),
  );
}

/** Repeats `ask` until the flood is over; returns how often. */
export async function during(flooding: Promise<unknown>, ask: (n: number) => Promise<void>): Promise<number> {
  let isOver = false;
  const end = flooding.finally(() => (isOver = true));
  let rounds = 0;
  while (!isOver) await ask(rounds++);
  await end;
  return rounds;
}

/** Expects that some were answered with this status, and the others were asked to wait. */
export function answeredOrAskedToWait(route: string, status: number, answers: (RawAnswer | null)[]): void {
  const others = answers.filter((answer) => answer?.status !== status);
  expect(others.length).toBeLessThan(answers.length);
  expect(others.length).toBeGreaterThan(0);
  const [method = "", path = ""] = route.split(" ");
  for (const answer of others) {
    if (answer === null) throw new Error("a request got no answer");
    refused(fromRaw(answer), "overloaded");
    holdDeclared(method, path, { ...fromRaw(answer), type: answer.headers.get("content-type") });
    expect(Number(answer.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  }
}
