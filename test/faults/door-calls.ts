// What clients of Kannel's and Twilio's door are told in a run: how they read a call, and the verdict on all
// of them. Written without the code that makes the calls (src/core/peers/), so that it is judged by another
// one; Twilio's own library verifies its signatures. Leaves what they send to doors.ts, and answering calls
// to webhooks.ts.

import type { IncomingMessage } from "node:http";
import twilio from "twilio";
import { ulidOfHex } from "../../src/core/id.ts";
import { type Change, changesOf, everSent } from "./changes.ts";
import type { Say } from "./checker.ts";
import type { DoorCall, DoorWish, Evidence, MessageRow } from "./evidence.ts";

/** A customer's AccountSid at Twilio's door. */
export const accountOf = (customer: string): string => `AC${Number(customer).toString(16).padStart(32, "0")}`;

/** Where the client of the n-th request is told, at the receiver of this origin. */
export const callbackUrl = (origin: string, { peer }: DoorWish, n: number): string =>
  `${origin}/${peer}/${n}${peer === "kannel" ? "?bit=%d&id=%I&customer=%n" : `?order=${n}`}`;

const idOf = (hex: string): string => ulidOfHex(hex.replaceAll("-", "")) ?? "";

/** The call of a door, as its client reads it; null for any other. `keyOf`: a customer's API key. */
export function readDoorCall(
  { url = "", headers }: Pick<IncomingMessage, "url" | "headers">,
  body: string,
  keyOf: (customer: string) => string | undefined,
): DoorCall | null {
  const { pathname, searchParams } = new URL(url, "http://receiver");
  const [, peer, n] = /^\/(kannel|twilio)\/(\d+)$/.exec(pathname) ?? [];
  if (peer === undefined) return null;
  const of = { event: String(headers["webhook-id"]), n: Number(n) };
  if (peer === "kannel") {
    const [word = "", id = "", customer = ""] = ["bit", "id", "customer"].map(
      (name) => searchParams.get(name) ?? "",
    );
    return { ...of, peer, message: idOf(id), customer, word, isSigned: true };
  }
  const form = Object.fromEntries(new URLSearchParams(body));
  const { MessageSid = "", MessageStatus: word = "", AccountSid = "" } = form;
  const customer = String(Number.parseInt(AccountSid.slice(2), 16));
  const signature = String(headers["x-twilio-signature"]);
  const called = `http://${headers.host}${url}`;
  const isSigned = twilio.validateRequest(keyOf(customer) ?? "", signature, called, form);
  return { ...of, peer: "twilio", message: idOf(MessageSid.slice(2)), customer, word, isSigned };
}

type Words = Readonly<Record<string, readonly string[]>>;
const UNSENT = ["failed", "rejected", "expired", "canceled"];
/** By the bits of dlr-mask. */
const KANNEL: Words = { 1: ["delivered"], 2: ["undelivered"], 4: ["queued"], 8: ["sent"], 16: UNSENT };
/** By MessageStatus; what is told is what the answer to the request has not said yet. */
const TWILIO: Words = {
  sent: ["sent"],
  delivered: ["delivered"],
  undelivered: ["undelivered"],
  failed: ["failed", "rejected", "expired"],
  canceled: ["canceled"],
};
const [BIT_UNDELIVERED, BIT_UNSENT] = [2, 16];

/** How a client is told of this status; null if it did not ask for that. */
function wordFor(wish: DoorWish, status: string): string | null {
  const words = Object.entries(wish.peer === "kannel" ? KANNEL : TWILIO);
  const [word = null] = words.find(([, statuses]) => statuses.includes(status)) ?? [];
  if (wish.peer === "twilio" || word === null) return word;
  // As Kannel does: who asks for bit 2 gets 16, too.
  const mask = (wish.mask & BIT_UNDELIVERED) === 0 ? wish.mask : wish.mask | BIT_UNSENT;
  return (mask & Number(word)) === 0 ? null : word;
}

/** Each change that a door's client asked for is told, under one id, and nothing else is. */
export function checkDoorCalls(evidence: Evidence, say: Say): void {
  const { requests, messages, doorCalls } = evidence;
  const sent = everSent(evidence);
  const wishes = new Map(requests.map(({ n, door }) => [`r${n}`, door]));
  const calls = Map.groupBy(doorCalls, ({ message }) => message);
  for (const call of doorCalls) if (!call.isSigned) say("callback_unsigned", nameOf(call));
  for (const message of messages) {
    const wish = wishes.get(message.reference ?? "");
    if (wish === undefined) continue;
    const changes = changesOf(message, sent);
    checkMessage({ message, wish, changes }, calls.get(message.id) ?? [], say);
    calls.delete(message.id);
  }
  // About what no door's client sent.
  for (const call of [...calls.values()].flat()) say("callback_invented", nameOf(call));
}

type Asked = { message: MessageRow; wish: DoorWish; changes: Change[][] };

function checkMessage({ message, wish, changes }: Asked, calls: readonly DoorCall[], say: Say): void {
  const { id, reference, customer } = message;
  const events = new Map<string, string>();
  for (const call of calls) {
    const word = events.get(call.event) ?? call.word;
    events.set(call.event, word);
    const isOurs = call.peer === wish.peer && `r${call.n}` === reference && call.customer === customer;
    if (!isOurs || call.word !== word) say("callback_invented", nameOf(call));
  }
  const told = countsOf(events.values());
  const wordsOf = (some: typeof changes) =>
    countsOf(some.flat().flatMap(({ status }) => wordFor(wish, status) ?? []));
  const certain = wordsOf(changes.filter((either) => either.length === 1));
  const possible = wordsOf(changes);
  const what = (word: string) => `${id} (${reference}, ${wish.peer}) is ${message.status}: ${word}`;
  for (const [word, times] of certain)
    if ((told.get(word) ?? 0) < times) say("callback_lost", `${what(word)}, ${told.get(word) ?? 0} times`);
  for (const [word, times] of told)
    if (times > (possible.get(word) ?? 0)) say("callback_invented", `${what(word)}, ${times} times`);
}

const countsOf = (words: Iterable<string>): Map<string, number> =>
  new Map([...Map.groupBy(words, (word) => word)].map(([word, all]) => [word, all.length]));

const nameOf = ({ peer, message, word, n, customer, event }: DoorCall): string =>
  `${peer} ${word} of ${message} (r${n} of customer ${customer}) as ${event}`;
