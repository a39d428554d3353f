// The SMPP connector against peers over real connections: what each of their ways means for a message.

import { afterEach, describe, expect, test } from "bun:test";
import {
  binding,
  obliging,
  type Peer,
  type PeerLink,
  type PeerPdu,
  startPeer,
  until,
} from "../../../test/support/smpp-peer.ts";
import { laneRecord, smppOperator } from "../../../test/support/smpp-operator.ts";
import type { LaneRecord } from "../../core/lane-record.ts";
import type { Waits } from "../../platform/smpp/binds.ts";
import { bare, message as messageDraft } from "../../platform/smpp/encode.ts";
import { COMMAND, decodeBind, decodeMessage, RESPONSE, type ShortMessage } from "../../platform/smpp/pdu.ts";
import type { Answer, CertainAnswer } from "./connector.ts";
import { createSmppConnector, type SmppOperator } from "./smpp.ts";

const SOON: Waits = {
  again: { firstMs: 40, mostMs: 40 },
  link: { firstMs: 40, mostMs: 80 },
  alreadyBound: { firstMs: 600, mostMs: 600 },
  credentials: { firstMs: 60_000, mostMs: 60_000 },
  throttled: { firstMs: 400, mostMs: 800 },
};
const LONG = `${"a".repeat(153)}${"b".repeat(153)}c`;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function start(behave: Parameters<typeof startPeer>[0], settings: Partial<SmppOperator> = {}) {
  const peer = await startPeer(behave);
  const notes: { level: string; text: string }[] = [];
  const lates: CertainAnswer[] = [];
  const delivered: Uint8Array[] = [];
  const connector = createSmppConnector(
    smppOperator({ port: peer.port, ...settings }),
    (_, answer) => void lates.push(answer),
    {
      onDeliver: (pdu) => Promise.resolve(delivered.push(pdu) > 0),
      onNote: (note) => void notes.push(note),
    },
    SOON,
  );
  ends.push(
    () => connector.close(),
    () => peer.stop(),
  );
  const submit = (text: string, more: Partial<LaneRecord> = {}) =>
    new Promise<Answer>((resolve) => connector.submit(laneRecord(text, more), resolve));
  return { peer, connector, submit, notes, lates, delivered };
}

/** Binds, and answers the n-th submit_sm (from 1) of all links as `answers` says; without one, with an id. */
function answering(answers: Record<number, number | "nothing" | "cut">) {
  let n = 0;
  return (pdu: PeerPdu, link: PeerLink) => {
    if (pdu.command !== COMMAND.submitSm) return obliging(pdu, link);
    const how = answers[++n] ?? 0;
    if (how === "cut") link.cut();
    else if (how !== "nothing") link.answer(pdu, how, how === 0 ? `id${n}` : null);
  };
}

const submitted = (peer: Peer): ShortMessage[] =>
  peer.links.flatMap(({ got }) =>
    got.filter(({ command }) => command === COMMAND.submitSm).map(({ bytes }) => decodeMessage(bytes)),
  );

describe("a message", () => {
  test("goes with its addresses, validity and a wish for a receipt, and is accepted with its id", async () => {
    const { peer, submit } = await start(obliging);
    expect(await submit("hi @ you")).toEqual({ kind: "accepted", operatorMessageIds: ["id-2"] });
    const [sent] = submitted(peer);
    expect(sent).toMatchObject({ sourceTon: 5, sourceAddr: "Shop", destTon: 1, destAddr: "989121234567" });
    expect(sent).toMatchObject({ registeredDelivery: 1, dataCoding: 0, validityPeriod: "261107081000000+" });
    expect(Array.from((sent as ShortMessage).shortMessage)).toEqual(Array.from(Buffer.from("hi \0 you")));
  });

  test("takes the operator's settings for what its own fields leave open", async () => {
    const settings = {
      sender: "12345",
      validity: "off",
      alphabet: "latin1",
      registered_delivery: 17,
    } as const;
    const { peer, submit } = await start(obliging, settings);
    await submit("hé", { from: null });
    expect(submitted(peer)[0]).toMatchObject({
      sourceAddr: "12345",
      sourceTon: 3,
      validityPeriod: "",
      registeredDelivery: 17,
      dataCoding: 3,
    });
  });

  test("that SMPP can't carry is refused for good, and nothing is sent", async () => {
    const { peer, submit } = await start(obliging, { alphabet: "ascii" });
    const refusal = { kind: "refused", permanent: true };
    expect(await submit("hi", { from: "me@shop" })).toMatchObject(refusal);
    expect(await submit(`${"a".repeat(150)}é`)).toMatchObject(refusal);
    expect(submitted(peer)).toEqual([]);
  });

  test("accepted without an id has an empty one", async () => {
    const { submit } = await start((pdu, link) => {
      if (pdu.command === COMMAND.submitSm) link.answer(pdu);
      else obliging(pdu, link);
    });
    expect(await submit("hi")).toEqual({ kind: "accepted", operatorMessageIds: [""] });
  });

  test("accepted with what can't be an id has an empty one; refused with it is refused", async () => {
    const odd = ["\u0004#", "é-1", " ", "x".repeat(300)];
    let n = 0;
    const { submit } = await start((pdu, link) => {
      if (pdu.command !== COMMAND.submitSm) return obliging(pdu, link);
      link.answer(pdu, n < odd.length ? 0 : 8, odd[n++ % odd.length] as string);
    });
    for (let i = 0; i < odd.length; i++)
      expect(await submit("hi")).toEqual({ kind: "accepted", operatorMessageIds: [""] });
    for (let i = 0; i < odd.length; i++) expect((await submit("hi")).kind).toBe("refused");
  });

  const REFUSALS: [number, boolean][] = [
    [0x0b, true],
    [0x0a, false],
    [0x08, false],
    [0x401, false],
    [0x94, false],
  ];
  for (const [status, permanent] of REFUSALS)
    test(`refused with status ${status} is refused ${permanent ? "for good" : "for now"}`, async () => {
      const { submit } = await start(answering({ 1: status }));
      expect(await submit("hi")).toMatchObject({ kind: "refused", permanent });
    });

  test("refused for the operator's or our account's fault is a warning, once", async () => {
    const { submit, notes } = await start(answering({ 1: 0x401, 2: 0x401, 3: 0x0b }));
    for (let i = 0; i < 3; i++) expect((await submit("hi")).kind).toBe("refused");
    const warnings = notes.filter(({ level }) => level === "warn").map(({ text }) => text);
    expect(warnings).toEqual(["refuses messages, not for their own fault: 0x401 vendor's"]);
  });

  test("is lost, not refused, if the operator says that it is a duplicate, or gives a refusal an id", async () => {
    const duplicate = await start(answering({ 1: 0x0c }));
    expect((await duplicate.submit("hi")).kind).toBe("lost");
    const withId = await start((pdu, link) => {
      if (pdu.command === COMMAND.submitSm) link.answer(pdu, 0x58, "taken-after-all");
      else obliging(pdu, link);
    });
    expect((await withId.submit("hi")).kind).toBe("lost");
  });

  test("is what the operator's own table says of a status", async () => {
    const { submit } = await start(answering({ 1: 0x45, 2: 0x400 }), {
      statuses: { "0x45": "for_good", "0x400": "perhaps_taken" },
    });
    expect(await submit("hi")).toMatchObject({ kind: "refused", permanent: true });
    expect((await submit("hi")).kind).toBe("lost");
  });

  test("is lost without an answer in time, and its late answer is a report", async () => {
    const held: PeerPdu[] = [];
    const { peer, submit, lates } = await start((pdu, link) => {
      if (pdu.command === COMMAND.submitSm) held.push(pdu);
      else obliging(pdu, link);
    });
    expect(await submit("hi")).toEqual({ kind: "lost", reason: "no answer in time" });
    (await peer.link(0)).answer(held[0] as PeerPdu, 0, "late");
    await until(() => lates.length === 1);
    expect(lates).toEqual([{ kind: "accepted", operatorMessageIds: ["late"] }]);
  });

  test("is lost when the link is cut, and the next one goes over a new connection", async () => {
    const { peer, submit } = await start(answering({ 1: "cut" }));
    expect((await submit("hi")).kind).toBe("lost");
    await until(() => peer.links.length === 2);
    expect((await submit("again")).kind).toBe("accepted");
  });
});

test("messages wait for a link that was cut after it had worked; one that never worked isn't waited for", async () => {
  const { submit } = await start(answering({ 2: "cut" }));
  expect((await submit("one")).kind).toBe("accepted");
  const cut = submit("two");
  expect((await cut).kind).toBe("lost");
  expect((await submit("three")).kind).toBe("accepted");
  const failing = await start((_, link) => link.cut());
  await until(() => failing.notes.length === 1);
  const startedMs = performance.now();
  expect((await failing.submit("hi")).kind).toBe("not-connected");
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});

describe("a message of several parts", () => {
  test("is accepted when all its parts are, with an id for each in their order, whatever that of the answers", async () => {
    const held: PeerPdu[] = [];
    const { peer, submit } = await start((pdu, link) => {
      if (pdu.command !== COMMAND.submitSm) return obliging(pdu, link);
      if (held.push(pdu) === 1) return link.answer(pdu, 0, "part-1");
      if (held.length === 3)
        for (const late of held.slice(1).toReversed()) link.answer(late, 0, `of ${late.sequence}`);
    });
    const answer = await submit(LONG);
    const [, second, third] = held as [PeerPdu, PeerPdu, PeerPdu];
    expect(answer).toEqual({
      kind: "accepted",
      operatorMessageIds: ["part-1", `of ${second.sequence}`, `of ${third.sequence}`],
    });
    const parts = submitted(peer);
    expect(parts.map(({ shortMessage }) => [shortMessage[4], shortMessage[5]])).toEqual([
      [3, 1],
      [3, 2],
      [3, 3],
    ]);
    expect(new Set(parts.map(({ shortMessage }) => shortMessage[3])).size).toBe(1);
  });

  test("is refused cleanly when its first part is: no other is sent", async () => {
    const { peer, submit } = await start(answering({ 1: 0x0b }));
    expect(await submit(LONG)).toMatchObject({ kind: "refused", permanent: true });
    expect(submitted(peer)).toHaveLength(1);
  });

  test("is lost when a later part is refused", async () => {
    const { submit } = await start(answering({ 2: 0x0b }));
    expect(await submit(LONG)).toMatchObject({ kind: "lost", reason: expect.stringContaining("part 2") });
  });

  test("is lost when a later part's answer is", async () => {
    const { submit, lates, peer } = await start(answering({ 3: "nothing" }));
    expect(await submit(LONG)).toMatchObject({ kind: "lost", reason: "part 3: no answer in time" });
    const link = await peer.link(0);
    link.answer(link.got.at(-1) as PeerPdu, 0, "late");
    await until(() => lates.length === 1);
    expect(lates).toEqual([{ kind: "accepted", operatorMessageIds: ["id1", "id2", "late"] }]);
  });

  test("goes on with a part that was throttled, after a pause", async () => {
    const { peer, submit } = await start(answering({ 2: 0x58, 3: 0 }), { bind_window: 1 });
    expect(await submit(LONG)).toMatchObject({ kind: "accepted" });
    expect(submitted(peer).map(({ shortMessage }) => shortMessage[5])).toEqual([1, 2, 2, 3]);
  });

  test("goes on when its first part's answer comes late: it is then a report", async () => {
    const held: PeerPdu[] = [];
    const { peer, submit, lates } = await start((pdu, link) => {
      if (pdu.command === COMMAND.submitSm && held.push(pdu) === 1) return;
      obliging(pdu, link);
    });
    expect((await submit(LONG)).kind).toBe("lost");
    expect(submitted(peer)).toHaveLength(1);
    (await peer.link(0)).answer(held[0] as PeerPdu, 0, "first");
    await until(() => lates.length === 1);
    expect(lates[0]).toMatchObject({
      kind: "accepted",
      operatorMessageIds: ["first", expect.any(String), expect.any(String)],
    });
  });
});

describe("binds", () => {
  test("a transmitter and a receiver for each of them, or transceivers; submits never go to a receiver", async () => {
    const { peer, submit, delivered } = await start(obliging, { mode: "tx_rx", binds: 2 });
    await until(() => peer.links.length === 4);
    for (let i = 0; i < 8; i++) expect((await submit("hi")).kind).toBe("accepted");
    const commands = peer.links.map(({ got }) => got[0]?.command ?? 0);
    expect(commands.toSorted((a, b) => a - b)).toEqual([1, 1, 2, 2]);
    const receiver = peer.links.find(({ got }) => got[0]?.command === COMMAND.bindReceiver) as PeerLink;
    expect(receiver.got.some(({ command }) => command === COMMAND.submitSm)).toBe(false);
    const report = { ...(submitted(peer)[0] as ShortMessage), command: COMMAND.deliverSm };
    receiver.send(messageDraft(report), 9);
    expect(await receiver.next((COMMAND.deliverSm | RESPONSE) >>> 0)).toMatchObject({
      status: 0,
      sequence: 9,
    });
    expect(decodeMessage(delivered[0] as Uint8Array).command).toBe(COMMAND.deliverSm);
  });

  test("submits spread over the binds, and those beyond all windows wait for room", async () => {
    const { peer, submit } = await start(binding, { binds: 2, bind_window: 2 });
    const answers = Array.from({ length: 6 }, () => submit("hi"));
    await until(() => submitted(peer).length === 4);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(
      peer.links.map(({ got }) => got.filter(({ command }) => command === COMMAND.submitSm).length),
    ).toEqual([2, 2]);
    for (let n = 0; n < 6; n++) {
      const [link, pdu] = await until(() => {
        for (const each of peer.links)
          for (const submit of each.got)
            if (submit.command === COMMAND.submitSm && !answered.has(submit)) return [each, submit] as const;
        return null;
      });
      answered.add(pdu);
      link.answer(pdu, 0, "x");
    }
    expect((await Promise.all(answers)).map(({ kind }) => kind)).toEqual(Array(6).fill("accepted"));
  });
  const answered = new Set<PeerPdu>();

  test("what finds no room in time was not sent", async () => {
    const { submit } = await start(binding, { bind_window: 1 });
    const first = submit("hi");
    expect(await submit("hi")).toEqual({ kind: "not-connected", reason: "no room in the window" });
    expect((await first).kind).toBe("lost");
  });

  test("wrong credentials are an error to look at, not tried again soon, and name no password", async () => {
    const { peer, submit, notes } = await start((pdu, link) => link.answer(pdu, 0x0e));
    expect(await submit("hi")).toMatchObject({
      kind: "not-connected",
      reason: expect.stringContaining("RINVPASWD"),
    });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(peer.links).toHaveLength(1);
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatchObject({ level: "error", text: expect.stringContaining('system_id "us"') });
    expect(JSON.stringify(notes)).not.toContain("secret");
    // At once from now on, so that the message goes elsewhere.
    const startedMs = performance.now();
    expect((await submit("hi")).kind).toBe("not-connected");
    expect(performance.now() - startedMs).toBeLessThan(200);
  });

  test("a bind refused for another reason is tried again, later if the operator says we are bound already", async () => {
    const failing = await start((pdu, link) => link.answer(pdu, 0x0d));
    await until(() => failing.peer.links.length >= 4);
    const bound = await start((pdu, link) => link.answer(pdu, 0x05));
    await until(() => bound.notes.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(bound.peer.links).toHaveLength(1);
    expect(failing.notes.every(({ level }) => level === "warn")).toBe(true);
  });

  test("an unbind in the middle of a window: what is outstanding is lost, and a new session takes over", async () => {
    const { peer, submit } = await start(answering({ 1: "nothing" }));
    const first = submit("hi");
    const link = await peer.link(0);
    await link.next(COMMAND.submitSm);
    link.send(bare(COMMAND.unbind), 1);
    expect((await first).kind).toBe("lost");
    await until(() => peer.links.length === 2);
    expect((await submit("again")).kind).toBe("accepted");
  });

  test("a throttled bind pauses: no submit until the pause is over", async () => {
    const { peer, submit } = await start(answering({ 1: 0x58 }));
    expect(await submit("hi")).toMatchObject({ kind: "refused", permanent: false });
    const startedMs = performance.now();
    expect((await submit("again")).kind).toBe("accepted");
    expect(performance.now() - startedMs).toBeGreaterThan(150);
    expect(submitted(peer)).toHaveLength(2);
  });

  test("no answer for a message is left open when the connector closes, and it says goodbye", async () => {
    const { peer, connector, submit } = await start(binding, { bind_window: 1 });
    const answers = [submit("one"), submit("two")];
    const link = await peer.link(0);
    await link.next(COMMAND.submitSm);
    await connector.close();
    expect((await Promise.all(answers)).map(({ kind }) => kind)).toEqual(["lost", "not-connected"]);
    await link.next(COMMAND.unbind);
    expect(await submit("three")).toMatchObject({ kind: "not-connected" });
  });

  test("a connector with other terms takes over the binds of the one before it; the last one closes them", async () => {
    const { peer, connector, submit } = await start(obliging);
    expect((await submit("hi")).kind).toBe("accepted");
    const link = { onDeliver: () => Promise.resolve(true), onNote: () => undefined };
    const next = createSmppConnector(
      smppOperator({ port: peer.port, price: 2 }),
      () => undefined,
      link,
      SOON,
    );
    await connector.close();
    const answer = await new Promise<Answer>((resolve) => next.submit(laneRecord("hi"), resolve));
    expect([answer.kind, peer.links.length]).toEqual(["accepted", 1]);
    await next.close();
    await (await peer.link(0)).next(COMMAND.unbind);
  });

  test("the password and the other fields are what the settings say", async () => {
    const { peer } = await start(obliging, { system_type: "OTA", address_range: "^98" });
    const bind = await (await peer.link(0)).next(COMMAND.bindTransceiver);
    expect(decodeBind(bind.bytes)).toEqual({ systemId: "us", password: "secret", systemType: "OTA" });
    expect(Buffer.from(bind.bytes).toString("latin1")).toEndWith("^98\0");
  });
});
