// For tests, which run on Bun, whose node:http knows no agents: `node webhook-tool.ts` reads JSON,
// `{urls, names, dns, allowPrivate}`, calls each URL as the webhook role does, with these names resolved as
// given, or by this name server, and prints what came of each and every name and address that was asked for
// on the way. Invariant: it connects to this machine only; any other address, or a name, is printed, and its
// connection fails.

import { Socket } from "node:net";
import { text } from "node:stream/consumers";
import { type CallAnswer, createCaller, type Resolve, resolveByDns } from "../../src/webhook/call.ts";

type Given = {
  urls: string[];
  names: Record<string, string[][]>;
  /** host:port; null: the names are all there is. */
  dns: string | null;
  allowPrivate: boolean;
};

const addresses: string[] = [];
const resolved: string[] = [];
const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1)$/;
// Every socket of node:http and node:tls connects by this; the event names each address that is tried.
const connect = Reflect.get(Socket.prototype, "connect") as (...args: unknown[]) => Socket;
Socket.prototype.connect = function (this: Socket, ...args: unknown[]): Socket {
  const host = hostOf(args);
  if (LOOPBACK.test(host)) {
    this.on("connectionAttempt", (address: string) => addresses.push(address));
    return Reflect.apply(connect, this, args);
  }
  addresses.push(host);
  // Later, because whoever connects listens for errors only then.
  setImmediate(() => this.destroy(new Error("no packet leaves this machine")));
  return this;
} as Socket["connect"];

/** node:net passes its arguments on as a list of them, node:tls as they are. */
function hostOf([first]: readonly unknown[]): string {
  const options = (Array.isArray(first) ? first[0] : first) as { host?: string } | undefined;
  return options?.host ?? "";
}

const { urls, names, dns, allowPrivate } = JSON.parse(await text(process.stdin)) as Given;
const resolveByName: Resolve = (name) => {
  resolved.push(name);
  // Each look-up of a name takes its next answer, the last one for ever.
  const answers = names[name] ?? [];
  return Promise.resolve((answers.length > 1 ? answers.shift() : answers[0]) ?? []);
};
const caller = createCaller({ allowPrivate }, dns === null ? resolveByName : resolveByDns([dns]));
const answers: (CallAnswer & { url: string })[] = [];
for (const url of urls) {
  const call = { method: "POST", url, headers: { "x-a": "b" }, body: "{}", readsBody: false } as const;
  answers.push({ url, ...(await caller.call(call)) });
}
caller.close();
console.log(JSON.stringify({ answers, resolved, addresses }));
process.exit(0);
