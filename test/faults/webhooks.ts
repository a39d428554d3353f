// The customers' end of webhooks in a run: a receiver that logs every call before it answers, has its
// signature verified by another language's library, and refuses or drops some; and the verdict on what it
// got. Takes the callbacks of doors' clients, too. Leaves reading and judging those to door-calls.ts,
// evidence files to evidence.ts.
// Invariant: a call is in the log before it is acknowledged.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { randomFrom } from "../support/seed.ts";
import { startVerifier } from "../support/webhook-verifier.ts";
import { type Change, changesOf, everSent } from "./changes.ts";
import type { Say } from "./checker.ts";
import { readDoorCall } from "./door-calls.ts";
import {
  type DoorCall,
  type Evidence,
  files,
  type MessageRow,
  openLines,
  type WebhookCall,
} from "./evidence.ts";
import { RECEIVED } from "./inbound.ts";

const REFUSED_SHARE = 0.01;
const DROPPED_SHARE = 0.005;

export type Webhooks = {
  /** Of the receiver; clients of doors have their own paths there. */
  origin: string;
  url: string;
  /** With what this customer's calls must be signed. */
  addSecret(customer: string, secret: string): void;
  /** The same of what clients of its doors are told. */
  addKey(customer: string, apiKey: string): void;
  /** May be called again. */
  stop(): Promise<void>;
  /** Once it is stopped: how many calls came, and how many verify; null if nothing here can verify them. */
  signatures(): Promise<{ calls: number; verified: number | null }>;
};

type Body = { type: string; data: { id: string; customer_id: string; status: string; sequence: number } };

export async function startWebhooks(folder: string, seed: number): Promise<Webhooks> {
  const log = openLines<WebhookCall>(folder, files.webhooks);
  const doorLog = openLines<DoorCall>(folder, files.doorCalls);
  const random = randomFrom(seed);
  const secrets = new Map<string, string>();
  const keys = new Map<string, string>();
  const verifier = startVerifier();
  let calls = 0;
  const take = (headers: Record<string, string>, body: string) => {
    const { type, data } = JSON.parse(body) as Body;
    const event = String(headers["webhook-id"]);
    calls++;
    verifier?.add({ secret: secrets.get(data.customer_id) ?? "", headers, body });
    const { id: message, status, sequence } = data;
    log.add(
      type === RECEIVED
        ? { event, message: "", status: RECEIVED, sequence: 0 }
        : { event, message, status, sequence },
    );
  };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      const ofDoor = readDoorCall(request, body, (customer) => keys.get(customer));
      if (ofDoor !== null) doorLog.add(ofDoor);
      else take(request.headers as Record<string, string>, body);
      const draw = random();
      if (draw < DROPPED_SHARE) request.socket.destroy();
      else response.writeHead(draw < DROPPED_SHARE + REFUSED_SHARE ? 500 : 204).end();
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  const origin = `http://127.0.0.1:${port}`;
  return {
    origin,
    url: `${origin}/hook`,
    addSecret: (customer, secret) => void secrets.set(customer, secret),
    addKey: (customer, apiKey) => void keys.set(customer, apiKey),
    async stop() {
      if (!server.listening) return;
      server.closeAllConnections();
      await new Promise<void>((stopped) => server.close(() => stopped()));
      log.close();
      doorLog.close();
      verifier?.end().catch(() => undefined); // signatures() says what it found
    },
    signatures: async () => ({ calls, verified: verifier === null ? null : await verifier.end() }),
  };
}

const nameOf = ({ message, sequence, status }: Change): string => `${message} ${status} (${sequence})`;

/** Each change is told under one id; of the changes that the evidence knows, none is missing or invented. */
export function checkWebhooks(evidence: Evidence, messages: Map<string, MessageRow>, say: Say): void {
  const sent = everSent(evidence);
  const ids = new Map<string, string>();
  const changes = new Map<string, string>();
  const told = new Set<string>();
  for (const call of evidence.webhooks) {
    if (call.status === RECEIVED) continue;
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
  for (const message of messages.values()) {
    if (message.told === 0) continue;
    for (const either of changesOf(message, sent))
      if (!either.some((change) => told.has(nameOf(change))))
        say("webhook_lost", either.map(nameOf).join(" or "));
  }
}
