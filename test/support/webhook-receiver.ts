// A customer's end of webhooks, for tests: a server on loopback that keeps every call as it came and answers
// as told; and raw peers that misbehave below HTTP.

import { createServer, type Socket } from "node:net";
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Received = {
  method: string;
  path: string;
  headers: Record<string, string>;
  id: string;
  body: string;
  atMs: number;
  /** Of an event; of a callback in another form there is none. */
  data: { id: string; status: string; sequence: number };
};
export type Receiver = { url: string; calls: Received[]; stop(): Promise<void> };
export type Answering = (call: Received, response: ServerResponse) => void;

const acknowledge: Answering = (_, response) => void response.writeHead(204).end();

/** `answer` is called with each call, whole. */
export async function startReceiver(answer: Answering = acknowledge): Promise<Receiver> {
  const calls: Received[] = [];
  const server = createHttpServer((request, response) => {
    void readBody(request).then((body) => {
      const headers = request.headers as Record<string, string>;
      const { data } = (body.startsWith("{") ? JSON.parse(body) : { data: {} }) as { data: Received["data"] };
      const id = headers["webhook-id"] ?? "";
      const [method, path] = [request.method ?? "", request.url ?? ""];
      const call = { method, path, headers, id, body, atMs: Date.now(), data };
      calls.push(call);
      answer(call, response);
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    calls,
    stop: () =>
      new Promise((stopped) => {
        server.closeAllConnections();
        server.close(() => stopped());
      }),
  };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** A peer that gets the bare connection, once the first bytes of a request have come. */
export async function startPeer(
  behave: (socket: Socket) => void,
): Promise<{ url: string; connections(): number; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => undefined); // whoever calls us gives up, too
    socket.on("close", () => sockets.delete(socket));
    socket.once("data", () => behave(socket));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    connections: () => connections,
    stop: () =>
      new Promise((stopped) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => stopped());
      }),
  };
}
