// For tests, which run on Bun, whose node:http knows no agents: `node webhook-tool.ts` reads JSON,
// `{urls, names, allowPrivate}`, calls each URL as the webhook role does, with these names resolved as given,
// and prints what came of each and every name and address that was asked for on the way.

import { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { type CallAnswer, createCaller, type Resolve } from "../../src/webhook/call.ts";

type Given = { urls: string[]; names: Record<string, string[][]>; allowPrivate: boolean };

const addresses: string[] = [];
const resolved: string[] = [];
// Every socket of node:http and node:tls connects by this; the event names each address that is tried.
const connect = Reflect.get(Socket.prototype, "connect") as (...args: unknown[]) => Socket;
Socket.prototype.connect = function (this: Socket, ...args: unknown[]): Socket {
  this.on("connectionAttempt", (address: string) => addresses.push(address));
  return Reflect.apply(connect, this, args);
} as Socket["connect"];

const { urls, names, allowPrivate } = JSON.parse(await text(process.stdin)) as Given;
const resolve: Resolve = (name) => {
  resolved.push(name);
  // Each look-up of a name takes its next answer, the last one for ever.
  const answers = names[name] ?? [];
  return Promise.resolve((answers.length > 1 ? answers.shift() : answers[0]) ?? []);
};
const caller = createCaller({ allowPrivate }, resolve);
const answers: (CallAnswer & { url: string })[] = [];
for (const url of urls) answers.push({ url, ...(await caller.post(url, { "x-a": "b" }, "{}")) });
caller.close();
console.log(JSON.stringify({ answers, resolved, addresses }));
process.exit(0);
