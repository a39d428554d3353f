// Clients of doors in the load: single messages through Kannel's and Twilio's door in turn, each with a URL
// of its own where it wants to be told; half of them with a key, under which a request is repeated until it
// is answered for certain, some once more afterwards. They are logged as requests of load.ts are, and judged
// as those by checker.ts; what they are told is judged by door-calls.ts. What is sent follows from the seed.
// Bound: one message every EVERY_MS. All have one part.

import { ulidOfHex } from "../../src/core/id.ts";
import { sleep } from "../../src/platform/retry.ts";
import { FIXED_PHONES } from "../../src/stack/operator-ends.ts";
import type { RawAnswer } from "../support/raw-http.ts";
import { randomFrom } from "../support/seed.ts";
import type { Client } from "./client.ts";
import { accountOf, callbackUrl } from "./door-calls.ts";
import type { Answer, ClientLine, DoorWish, Lines } from "./evidence.ts";
import { type LoadCustomer, nameOf } from "./load.ts";
import { type SideLoad, startSideLoad } from "./side-load.ts";

const EVERY_MS = 300;
const AGAIN_MS = 600;
const KEYED_SHARE = 0.5;
const AFTERWARDS_SHARE = 0.1;
/** The numbers of their messages begin above those of all other requests. */
const FIRST = 200_000_000;
/** All bits; sent only; what ends it; queued and what ends it, but not that it was delivered. */
const MASKS = [31, 8, 19, 6] as const;
/** The others' ends are drawn by their operators (src/stack/operator-ends.ts). */
const PHONES = [
  { share: 0.1, phone: FIXED_PHONES.refusedByAll },
  { share: 0.1, phone: "+989129990005" }, // not delivered
  { share: 0.2, phone: "+989129990007" }, // never reported on, so it stays sent
] as const;
/** Every other answer is certain. */
const AGAIN = new Set([0, 409, 429, 503]);

type DoorOptions = {
  client: Client;
  /** Of the API. */
  host: string;
  customers: readonly LoadCustomer[];
  /** Of the receiver of callbacks. */
  origin: string;
  /** Of a normal part, to all of these customers. */
  price: number;
  keys: boolean;
  seed: number;
  /** Factor for all delays; 1, except in tests of this file. */
  waits: number;
};
type Drawn = {
  n: number;
  customer: LoadCustomer;
  door: DoorWish;
  phone: string;
  key: string | null;
  isRepeated: boolean;
};

export function startDoors(log: Lines<ClientLine>, options: DoorOptions): SideLoad {
  const { client, customers, price, waits } = options;
  const random = randomFrom(options.seed + 6);
  const one = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  let next = FIRST;
  const draw = (): Drawn => {
    const n = next++;
    const [customer, mask, phone] = [one(customers), one(MASKS), phoneOf(random)];
    const [isKeyed, isRepeated] = [random() < KEYED_SHARE, random() < AFTERWARDS_SHARE];
    const door: DoorWish = n % 2 === 0 ? { peer: "kannel", mask } : { peer: "twilio" };
    return { n, customer, door, phone, key: options.keys && isKeyed ? `door-${n}` : null, isRepeated };
  };
  const send = async (drawn: Drawn, isOver: () => boolean) => {
    const { n, door, key } = drawn;
    const { customer } = drawn.customer;
    const bytes = requestOf(drawn, options);
    const ask = async (): Promise<number> => {
      const onSent = () => log.add({ what: "send", at: Date.now(), n, customer, key, door });
      const answer = answerOf(door, await client.request(bytes, onSent), price);
      log.add({ what: "answer", at: Date.now(), n, ...answer });
      return answer.status;
    };
    let status = await ask();
    while (key !== null && AGAIN.has(status) && !isOver()) {
      await sleep(waits * AGAIN_MS);
      status = await ask();
    }
    if (key !== null && drawn.isRepeated && status === 202) await ask();
  };
  return startSideLoad(waits * EVERY_MS, (isOver) => [send(draw(), isOver)]);
}

function phoneOf(random: () => number): string {
  let drawn = random();
  const subscriber = Math.floor(random() * 8_000_000);
  for (const { share, phone } of PHONES) if ((drawn -= share) < 0) return phone;
  return `+98912${1_000_000 + subscriber}`;
}

function requestOf(
  { n, customer: { customer, apiKey }, door, phone, key }: Drawn,
  { host, origin }: DoorOptions,
): Buffer {
  const text = nameOf(n);
  const url = callbackUrl(origin, door, n);
  const headers = `Host: ${host}\r\n${key === null ? "" : `Idempotency-Key: ${key}\r\n`}`;
  if (door.peer === "kannel") {
    const query = new URLSearchParams({
      username: customer,
      password: apiKey,
      to: phone,
      text,
      account: `r${n}`,
      "dlr-url": url,
      "dlr-mask": String(door.mask),
    });
    return Buffer.from(`GET /cgi-bin/sendsms?${query.toString()} HTTP/1.1\r\n${headers}\r\n`);
  }
  const account = accountOf(customer);
  const form = new URLSearchParams({ To: phone, From: "SLUICE", Body: text, StatusCallback: url }).toString();
  return Buffer.from(
    `POST /2010-04-01/Accounts/${account}/Messages.json HTTP/1.1\r\n${headers}` +
      `Authorization: Basic ${Buffer.from(`${account}:${apiKey}`).toString("base64")}\r\n` +
      `Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ${form.length}\r\n\r\n${form}`,
  );
}

/** A door's answer as one of /v1: an acceptance is a 202. Kannel's says neither the id nor the cost. */
export function answerOf({ peer }: DoorWish, answer: RawAnswer | null, price: number): Answer {
  if (answer === null) return { status: 0, code: null, id: null, cost: null, replayed: false, body: null };
  const { status, headers, body } = answer;
  const replayed = headers.get("idempotent-replayed") === "true";
  const accepted = { status: 202, code: null, replayed, body: Bun.hash(body).toString(36) };
  if (peer === "kannel" && status === 202) return { ...accepted, id: null, cost: price };
  if (peer === "twilio" && status === 201) {
    const [, hex = ""] = /"sid":"SM([0-9a-f]+)"/.exec(body) ?? [];
    const [, segments] = /"num_segments":"(\d+)"/.exec(body) ?? [];
    return { ...accepted, id: ulidOfHex(hex), cost: price * Number(segments) };
  }
  // Without the amounts that a text may name, because answers are counted by it.
  const code = /"code":(\d+)/.exec(body)?.[1] ?? body.replace(/\d+/g, "#");
  return { status, code: `${peer} ${code}`, id: null, cost: null, replayed, body: null };
}
