// Tests the clients of doors in the fault suite, because their mistakes would look like the gateway's: what
// they send, how they read an answer, and what they read in a call.

import { createHmac } from "node:crypto";
import { expect, test } from "bun:test";
import { sleep } from "../../src/platform/retry.ts";
import type { RawAnswer } from "../support/raw-http.ts";
import type { Client } from "./client.ts";
import { accountOf, callbackUrl, readDoorCall } from "./door-calls.ts";
import { answerOf, startDoors } from "./doors.ts";
import { type ClientLine, readClient } from "./evidence.ts";

const ID = "01K3ZQ5V8W9X0Y1Z2A3B4C5D6E";
const HEX = "0198ff72ed1c4f41e0fc4a1ac8c2b4ce";
const UUID = "0198ff72-ed1c-4f41-e0fc-4a1ac8c2b4ce";
const ORIGIN = "http://127.0.0.1:9";
const [kannel, twilio] = [{ peer: "kannel", mask: 31 }, { peer: "twilio" }] as const;
const answer = (status: number, body: string, headers: [string, string][] = []): RawAnswer => ({
  status,
  headers: new Map(headers),
  body,
});

test("messages go through both doors in turn, without a key once, with one until the answer is certain", async () => {
  const [sent, lines]: [string[], ClientLine[]] = [[], []];
  const client: Client = {
    async request(bytes, onSent) {
      onSent();
      const text = bytes.toString();
      const isRepeat = sent.includes(text);
      sent.push(text);
      await sleep(1);
      if (!isRepeat) return null;
      return text.startsWith("GET") ? answer(202, "0: Accepted for delivery") : answer(402, "{}");
    },
    waiting: () => 0,
    close: () => undefined,
  };
  const log = { add: (line: ClientLine) => void lines.push(line), close: () => undefined };
  const customers = [{ customer: "26", apiKey: "sk_1", kind: "rich" }] as const;
  const of = { host: "x", origin: ORIGIN, price: 500, keys: true, seed: 1, waits: 0.02 };
  const doors = startDoors(log, { client, customers, ...of });
  while (sent.length < 40) await sleep(5);
  await doors.stop(5_000);
  const { requests } = readClient(lines);
  for (const { key, door, tries } of requests) {
    const certain = door?.peer === "kannel" ? 202 : 402;
    // Some are repeated once more after they were accepted.
    expect(tries.map(({ status }) => status).slice(0, 2)).toEqual(key === null ? [0] : [0, certain]);
  }
  expect(new Set(requests.map(({ key }) => key !== null)).size).toBe(2);
  const peers = requests.map(({ door }) => door?.peer);
  expect(peers.slice(0, 4)).toEqual(["kannel", "twilio", "kannel", "twilio"]);
  const twilios = sent.find((text) => text.startsWith("POST")) ?? "";
  expect(twilios).toContain("/2010-04-01/Accounts/AC0000000000000000000000000000001a/Messages.json");
  expect(twilios).toContain(`StatusCallback=${encodeURIComponent(`${ORIGIN}/twilio/`)}`);
});

test("an acceptance is a 202 with what the door says of the message; nothing else is", () => {
  expect(answerOf(kannel, answer(202, "0: Accepted for delivery"), 500)).toMatchObject({
    status: 202,
    id: null,
    cost: 500,
  });
  const created = `{"num_segments":"2","sid":"SM${HEX}"}`;
  expect(answerOf(twilio, answer(201, created, [["idempotent-replayed", "true"]]), 500)).toMatchObject({
    status: 202,
    id: ID,
    cost: 1_000,
    replayed: true,
  });
  expect(answerOf(twilio, answer(201, "{}"), 500).id).toBeNull();
  expect(answerOf(twilio, answer(402, '{"code":20402}'), 500)).toMatchObject({
    status: 402,
    code: "twilio 20402",
    id: null,
  });
  expect(answerOf(kannel, answer(200, "7 things"), 500)).toMatchObject({
    status: 200,
    code: "kannel # things",
  });
  expect(answerOf(kannel, null, 500).status).toBe(0);
});

test("Kannel's call says which message, bit and customer; a call to another path is none of a door", () => {
  const url = callbackUrl(ORIGIN, kannel, 7).slice(ORIGIN.length);
  const called = url.replace("%d", "8").replace("%I", UUID).replace("%n", "26");
  const of = { event: "E1", peer: "kannel", n: 7, message: ID, customer: "26", word: "8" } as const;
  const request = { url: called, headers: { "webhook-id": "E1" } };
  expect(readDoorCall(request, "", () => undefined)).toEqual({ ...of, isSigned: true });
  expect(readDoorCall({ ...request, url: "/hook" }, "", () => undefined)).toBeNull();
});

test("Twilio's call is signed by the customer's key, over its URL and all its fields", () => {
  const url = callbackUrl(ORIGIN, twilio, 8);
  const fields = { AccountSid: accountOf("26"), MessageSid: `SM${HEX}`, MessageStatus: "sent", To: "+98" };
  const signed = createHmac("sha1", "sk_1")
    .update(url + Object.entries(fields).flat().join(""))
    .digest("base64");
  const read = (key: string, given: Record<string, string>, signature: string) =>
    readDoorCall(
      {
        url: url.slice(ORIGIN.length),
        headers: { "webhook-id": "E2", host: "127.0.0.1:9", "x-twilio-signature": signature },
      },
      new URLSearchParams(given).toString(),
      (customer) => (customer === "26" ? key : undefined),
    );
  const of = { event: "E2", peer: "twilio", n: 8, message: ID, customer: "26", word: "sent" } as const;
  expect(read("sk_1", fields, signed)).toEqual({ ...of, isSigned: true });
  expect(read("sk_2", fields, signed)?.isSigned).toBe(false);
  expect(read("sk_1", { ...fields, MessageStatus: "failed" }, signed)?.isSigned).toBe(false);
  expect(read("sk_1", { ...fields, AccountSid: accountOf("27") }, signed)?.isSigned).toBe(false);
  expect(read("sk_1", fields, "")?.isSigned).toBe(false);
});
