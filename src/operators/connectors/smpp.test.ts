// The SMPP connector against peers over real connections: what each of their ways means for a message.

import { afterEach, describe, expect, test } from "bun:test";
import { answering, endConnectors, startConnector, submitted } from "../../../test/support/smpp-connector.ts";
import { obliging, type PeerLink, type PeerPdu, until } from "../../../test/support/smpp-peer.ts";
import { nack } from "../../platform/smpp/encode.ts";
import { COMMAND, decodeMessage, RESPONSE, type ShortMessage } from "../../platform/smpp/pdu.ts";
import { STATUS } from "../../platform/smpp/status.ts";
import { DEFAULT_TERMS } from "../reports/report.ts";
import { readSmpp } from "../reports/smpp.ts";
import type { SmppOperator } from "./smpp.ts";

const LONG = `${"a".repeat(153)}${"b".repeat(153)}c`;
const LONGEST = "a".repeat(10 * 153);
const TEN = Array.from({ length: 10 }, (_, i) => i + 1);

/** Takes a part a second, a little less than that apart, and throttles the others. */
function perSecond(takenMs: number[]) {
  return (pdu: PeerPdu, link: PeerLink) => {
    if (pdu.command !== COMMAND.submitSm) return obliging(pdu, link);
    const nowMs = performance.now();
    if (nowMs - (takenMs.at(-1) ?? Number.NEGATIVE_INFINITY) < 900) return link.answer(pdu, STATUS.throttled);
    link.answer(pdu, 0, `id${takenMs.push(nowMs)}`);
  };
}

afterEach(endConnectors);

describe("a message", () => {
  test("goes with its addresses, validity and a wish for a receipt, and is accepted with its id", async () => {
    const { peer, submit } = await startConnector(obliging);
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
    const { peer, submit } = await startConnector(obliging, settings);
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
    const { peer, submit } = await startConnector(obliging, { alphabet: "ascii" });
    const refusal = { kind: "refused", permanent: true };
    expect(await submit("hi", { from: "me@shop" })).toMatchObject(refusal);
    expect(await submit(`${"a".repeat(150)}é`)).toMatchObject(refusal);
    expect(submitted(peer)).toEqual([]);
  });

  test("accepted without an id has an empty one", async () => {
    const { submit } = await startConnector((pdu, link) => {
      if (pdu.command === COMMAND.submitSm) link.answer(pdu);
      else obliging(pdu, link);
    });
    expect(await submit("hi")).toEqual({ kind: "accepted", operatorMessageIds: [""] });
  });

  test("accepted with what can't be an id has an empty one; refused with it is refused", async () => {
    const odd = ["\u0004#", "é-1", " ", "x".repeat(300)];
    let n = 0;
    const { submit } = await startConnector((pdu, link) => {
      if (pdu.command !== COMMAND.submitSm) return obliging(pdu, link);
      link.answer(pdu, n < odd.length ? 0 : 8, odd[n++ % odd.length] as string);
    });
    for (let i = 0; i < odd.length; i++)
      expect(await submit("hi")).toEqual({ kind: "accepted", operatorMessageIds: [""] });
    for (let i = 0; i < odd.length; i++) expect((await submit("hi")).kind).toBe("refused");
  });

  test("is one on which a receipt may come all the same, unless the refusal only puts it off", async () => {
    const { submit } = await startConnector(answering({ 1: 0x45, 2: 0xff, 3: 0x58 }));
    expect(await submit("hi")).toHaveProperty("mayReport", true);
    expect(await submit("hi")).toHaveProperty("mayReport", true);
    expect(await submit("hi")).not.toHaveProperty("mayReport");
  });

  test("has no receipt to come when the operator's own table calls the status of its refusal later", async () => {
    const answers = answering({ 1: 0x402, 2: 0x402, 3: 0x58 });
    const { submit } = await startConnector(answers, { statuses: { "0x402": "later" } });
    for (let i = 0; i < 3; i++) expect(await submit("hi")).not.toHaveProperty("mayReport");
    const plain = await startConnector(answering({ 1: 0x402, 2: 0x45 }), {
      statuses: { "0x45": "elsewhere" },
    });
    for (let i = 0; i < 2; i++) expect(await plain.submit("hi")).toHaveProperty("mayReport", true);
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
      const { submit } = await startConnector(answering({ 1: status }));
      expect(await submit("hi")).toMatchObject({ kind: "refused", permanent });
    });

  test("refused for the operator's or our account's fault is a warning, once", async () => {
    const { submit, notes } = await startConnector(answering({ 1: 0x401, 2: 0x401, 3: 0x0b }));
    for (let i = 0; i < 3; i++) expect((await submit("hi")).kind).toBe("refused");
    const warnings = notes.filter(({ level }) => level === "warn").map(({ text }) => text);
    expect(warnings).toEqual(["refuses messages, not for their own fault: 0x401 vendor's"]);
  });

  test("is lost, not refused, if the operator says that it is a duplicate, or gives a refusal an id", async () => {
    const duplicate = await startConnector(answering({ 1: 0x0c }));
    expect((await duplicate.submit("hi")).kind).toBe("lost");
    const withId = await startConnector((pdu, link) => {
      if (pdu.command === COMMAND.submitSm) link.answer(pdu, 0x58, "taken-after-all");
      else obliging(pdu, link);
    });
    expect(await withId.submit("hi")).toMatchObject({
      kind: "lost",
      operatorMessageIds: ["taken-after-all"],
    });
  });

  test("is what the operator's own table says of a status", async () => {
    const { submit } = await startConnector(answering({ 1: 0x45, 2: 0x400 }), {
      statuses: { "0x45": "for_good", "0x400": "perhaps_taken" },
    });
    expect(await submit("hi")).toMatchObject({ kind: "refused", permanent: true });
    expect((await submit("hi")).kind).toBe("lost");
  });

  test("is lost without an answer in time, and its late answer is a report", async () => {
    const held: PeerPdu[] = [];
    const { peer, submit, lates } = await startConnector((pdu, link) => {
      if (pdu.command === COMMAND.submitSm) held.push(pdu);
      else obliging(pdu, link);
    });
    expect(await submit("hi")).toEqual({ kind: "lost", reason: "no answer in time" });
    (await peer.link(0)).answer(held[0] as PeerPdu, 0, "late");
    await until(() => lates.length === 1);
    expect(lates).toEqual([{ kind: "accepted", operatorMessageIds: ["late"] }]);
  });

  test("is lost when the link is cut, and the next one goes over a new connection", async () => {
    const { peer, submit } = await startConnector(answering({ 1: "cut" }));
    expect((await submit("hi")).kind).toBe("lost");
    await until(() => peer.links.length === 2);
    expect((await submit("again")).kind).toBe("accepted");
  });
});

test("messages wait for a link that was cut after it had worked; one that never worked isn't waited for", async () => {
  const { submit } = await startConnector(answering({ 2: "cut" }));
  expect((await submit("one")).kind).toBe("accepted");
  const cut = submit("two");
  expect((await cut).kind).toBe("lost");
  expect((await submit("three")).kind).toBe("accepted");
  const failing = await startConnector((_, link) => link.cut());
  await until(() => failing.notes.length === 1);
  const startedMs = performance.now();
  expect((await failing.submit("hi")).kind).toBe("not-connected");
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});

describe("a look-up", () => {
  const asked = { operatorMessageIds: ["id-7", "id-8"], phone: "+989121234567", from: "Shop" };
  const terms = { ...DEFAULT_TERMS, shape: "smpp" } as const;
  /** Answers each query_sm with the next of these states. */
  const stating = (states: number[], status = 0) => {
    const queries: PeerPdu[] = [];
    const behave = (pdu: PeerPdu, link: PeerLink) => {
      if (pdu.command !== COMMAND.querySm) return obliging(pdu, link);
      const id = Buffer.from(pdu.bytes.subarray(16)).toString("latin1").split("\0", 1)[0] ?? "";
      const state = Uint8Array.of(states[queries.length] ?? 0, 0);
      const body = Buffer.concat([Buffer.from(`${id}\0\0`, "latin1"), state]);
      queries.push(pdu);
      link.send({ command: (COMMAND.querySm | RESPONSE) >>> 0, status, body }, pdu.sequence);
    };
    return { queries, behave };
  };

  test("asks for each id with the sender of the submit, and brings what is final as a receipt", async () => {
    const { queries, behave } = stating([2, 5]);
    const { connector, delivered, open } = await startConnector(behave);
    await until(() => open() === 1);
    connector.lookUp?.(asked);
    await until(() => delivered.length === 2);
    expect(queries.map(({ bytes }) => Buffer.from(bytes.subarray(16)).toString("latin1"))).toEqual([
      "id-7\0\u0005\0Shop\0",
      "id-8\0\u0005\0Shop\0",
    ]);
    expect(delivered.flatMap((pdu) => readSmpp(pdu, terms))).toMatchObject([
      { operatorMessageIds: ["id-7"], status: "delivered", phone: "989121234567" },
      { operatorMessageIds: ["id-8"], status: "undelivered" },
    ]);
  });

  test("brings nothing when the operator is still at it, doesn't know the id or doesn't know the command", async () => {
    const { queries, behave } = stating([1, 7]);
    const { connector, delivered, open, submit } = await startConnector(behave);
    await until(() => open() === 1);
    connector.lookUp?.(asked);
    await until(() => queries.length === 2);
    expect((await submit("hi")).kind).toBe("accepted"); // the session goes on
    expect(delivered).toEqual([]);
    const nacking = await startConnector((pdu, link) => {
      if (pdu.command === COMMAND.querySm) link.send(nack(0x03), pdu.sequence);
      else obliging(pdu, link);
    });
    await until(() => nacking.open() === 1);
    nacking.connector.lookUp?.(asked);
    await nacking.peer.links[0]?.next(COMMAND.querySm);
    expect((await nacking.submit("hi")).kind).toBe("accepted");
    expect(nacking.delivered).toEqual([]);
  });

  test("brings nothing when the answer is an error, whatever stands beside it", async () => {
    for (const status of [0x0c, 0x67, STATUS.ok]) {
      const { queries, behave } = stating([2, 2], status);
      const { connector, delivered, open, submit } = await startConnector(behave);
      await until(() => open() === 1);
      connector.lookUp?.(asked);
      await until(() => queries.length === 2);
      expect((await submit("hi")).kind).toBe("accepted");
      expect([status, delivered.length]).toEqual([status, status === STATUS.ok ? 2 : 0]);
    }
  });

  test("isn't made again at an operator that doesn't know the command, nor at one that its entry spares", async () => {
    const cases: [how: string, settings: Partial<SmppOperator>][] = [
      ["a nack", {}],
      ["an answer", {}],
      ["nothing", { query_sm: false }],
    ];
    for (const [how, settings] of cases) {
      const { connector, open, peer, submit, notes } = await startConnector((pdu, link) => {
        if (pdu.command !== COMMAND.querySm) obliging(pdu, link);
        else if (how === "a nack") link.send(nack(0x02), pdu.sequence);
        else link.answer(pdu, 0x03);
      }, settings);
      await until(() => open() === 1);
      const spared = how === "nothing";
      connector.lookUp?.(asked);
      if (!spared) await until(() => notes.some(({ text }) => text.includes("query_sm")));
      connector.lookUp?.(asked);
      // What was asked before it is there when this has its answer.
      expect((await submit("hi")).kind).toBe("accepted");
      const queries = peer.links[0]?.got.filter(({ command }) => command === COMMAND.querySm);
      expect([how, queries]).toEqual([how, spared ? [] : [expect.anything(), expect.anything()]]);
      expect(notes.filter(({ text }) => text.includes("query_sm"))).toHaveLength(spared ? 0 : 1);
    }
  });
});

describe("a message of several parts", () => {
  test("is accepted when all its parts are, with an id for each in their order, whatever that of the answers", async () => {
    const held: PeerPdu[] = [];
    const { peer, submit } = await startConnector((pdu, link) => {
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

  test("goes to an operator that takes a part a second at that rate, and all of it is taken", async () => {
    const takenMs: number[] = [];
    const cameMs = new Map<number, number>(); // when a part came first: on a busy machine it may be repeated
    const peer = perSecond(takenMs);
    const { submit } = await startConnector(
      (pdu, link) => {
        const part = pdu.command === COMMAND.submitSm ? decodeMessage(pdu.bytes).shortMessage[5] : undefined;
        if (part !== undefined && !cameMs.has(part)) cameMs.set(part, performance.now());
        peer(pdu, link);
      },
      { rate: 1 },
    );
    expect(await submit(LONGEST)).toMatchObject({ kind: "accepted" });
    expect(takenMs).toHaveLength(10);
    expect([...cameMs.keys()]).toEqual([...TEN]);
    const waitedMs = [...cameMs.values()].map((ms) => ms - (takenMs[0] as number));
    expect(TEN.filter((part, at) => (waitedMs[at] as number) < (part - 2) * 1_000)).toEqual([]);
  }, 30_000);

  test("goes on for as long as its claim leaves it, at an operator of that rate whose entry has none", async () => {
    const takenMs: number[] = [];
    const { submit } = await startConnector(perSecond(takenMs));
    expect(await submit(LONGEST)).toMatchObject({ kind: "accepted" });
    expect(takenMs).toHaveLength(10);
  }, 30_000);

  test("of express has no part that begins after its promise", async () => {
    const takenMs: number[] = [];
    const { peer, submit } = await startConnector(perSecond(takenMs), { rate: 1 });
    const guaranteedByMs = Date.now() + 3_500;
    expect(await submit(LONGEST, { lane: "express", guaranteedByMs })).toMatchObject({ kind: "lost" });
    expect(new Set(submitted(peer).map(({ shortMessage }) => shortMessage[5]))).toEqual(
      new Set([1, 2, 3, 4]),
    );
  }, 30_000);

  test("is refused cleanly when its first part is: no other is sent", async () => {
    const { peer, submit } = await startConnector(answering({ 1: 0x0b }));
    expect(await submit(LONG)).toMatchObject({ kind: "refused", permanent: true });
    expect(submitted(peer)).toHaveLength(1);
  });

  test("is lost when a later part is refused, with the ids of those that were taken before and after it", async () => {
    const { submit } = await startConnector(answering({ 2: 0x0b }));
    expect(await submit(LONG)).toEqual({
      kind: "lost",
      reason: expect.stringContaining("part 2"),
      operatorMessageIds: ["id1", "", "id3"],
    });
  });

  test("is lost when a later part's answer is, with the ids of the others", async () => {
    const { submit, lates, peer } = await startConnector(answering({ 3: "nothing" }));
    expect(await submit(LONG)).toEqual({
      kind: "lost",
      reason: "part 3: no answer in time",
      operatorMessageIds: ["id1", "id2", ""],
    });
    const link = await peer.link(0);
    link.answer(link.got.at(-1) as PeerPdu, 0, "late");
    await until(() => lates.length === 1);
    expect(lates).toEqual([{ kind: "accepted", operatorMessageIds: ["id1", "id2", "late"] }]);
  });

  test("goes on with a part that was throttled, after a pause", async () => {
    const { peer, submit } = await startConnector(answering({ 2: 0x58, 3: 0 }), { bind_window: 1 });
    expect(await submit(LONG)).toMatchObject({ kind: "accepted" });
    expect(submitted(peer).map(({ shortMessage }) => shortMessage[5])).toEqual([1, 2, 2, 3]);
  });

  test("goes on with a part that is refused for now, but doesn't repeat it as fast as it can", async () => {
    let seconds = 0;
    const { submit } = await startConnector((pdu, link) => {
      const isSecond = pdu.command === COMMAND.submitSm && decodeMessage(pdu.bytes).shortMessage[5] === 2;
      if (isSecond && ++seconds <= 5) link.answer(pdu, 0x08);
      else obliging(pdu, link);
    });
    const startedMs = performance.now();
    expect(await submit(LONG)).toMatchObject({ kind: "accepted" });
    expect(performance.now() - startedMs).toBeGreaterThan(450);
    expect(seconds).toBe(6);
  });

  test("goes on when its first part's answer comes late: it is then a report", async () => {
    const held: PeerPdu[] = [];
    const { peer, submit, lates } = await startConnector((pdu, link) => {
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
