// The customers' end of webhooks in a run: a receiver that logs every call before it answers, and refuses or
// drops some; and the verdict on what it got. Leaves evidence files to evidence.ts.
// Invariant: a call is in the log before it is acknowledged.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { randomFrom } from "../support/seed.ts";
import type { Say } from "./checker.ts";
import { type Evidence, files, type MessageRow, openLines, type WebhookCall } from "./evidence.ts";

const REFUSED_SHARE = 0.01;
const DROPPED_SHARE = 0.005;

export type Webhooks = {
  url: string;
  /** May be called again. */
  stop(): Promise<void>;
};

export async function startWebhooks(folder: string, seed: number): Promise<Webhooks> {
  const log = openLines<WebhookCall>(folder, files.webhooks);
  const random = randomFrom(seed);
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { data } = JSON.parse(Buffer.concat(chunks).toString()) as {
        data: { id: string; status: string; sequence: number };
      };
      const event = String(request.headers["webhook-id"]);
      log.add({ event, message: data.id, status: data.status, sequence: data.sequence });
      const draw = random();
      if (draw < DROPPED_SHARE) request.socket.destroy();
      else response.writeHead(draw < DROPPED_SHARE + REFUSED_SHARE ? 500 : 204).end();
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    async stop() {
      if (!server.listening) return;
      server.closeAllConnections();
      await new Promise<void>((stopped) => server.close(() => stopped()));
      log.close();
    },
  };
}

const nameOf = ({ message, sequence, status }: Omit<WebhookCall, "event">): string =>
  `${message} ${status} (${sequence})`;

/** Each change is told under one id; of the changes that the evidence knows, none is missing or invented. */
export function checkWebhooks({ webhooks }: Evidence, messages: Map<string, MessageRow>, say: Say): void {
  const ids = new Map<string, string>();
  const changes = new Map<string, string>();
  const told = new Set<string>();
  for (const call of webhooks) {
    const change = `${call.message} ${call.sequence}`;
    told.add(nameOf(call));
    const [id, known] = [ids.get(change) ?? call.event, changes.get(call.event) ?? change];
    ids.set(change, id);
    changes.set(call.event, known);
    if (id !== call.event || known !== change)
      say("webhook_two_ids", `${nameOf(call)}: ${id}, ${call.event}`);
    const message = messages.get(call.message);
    const isPossible = message?.told === 1 && call.sequence <= message.sequence;
    const isLatest = call.sequence === message?.sequence;
    if (!isPossible || (isLatest && call.status !== message.status)) say("webhook_invented", nameOf(call));
  }
  for (const { id, told: isTold, status, sequence } of messages.values()) {
    if (isTold === 0) continue;
    for (const change of [
      { message: id, status: "queued", sequence: 1 },
      { message: id, status, sequence },
    ])
      if (!told.has(nameOf(change))) say("webhook_lost", nameOf(change));
  }
}
