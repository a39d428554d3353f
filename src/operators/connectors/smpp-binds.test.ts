// The SMPP connector's binds against peers over real connections: which are open, who gets a submit, what a
// bind that is refused, throttled or cut means.

import { afterEach, describe, expect, test } from "bun:test";
import {
  answering,
  endConnectors,
  SOON,
  startConnector,
  submitted,
} from "../../../test/support/smpp-connector.ts";
import { laneRecord, LEFT_MS, smppOperator } from "../../../test/support/smpp-operator.ts";
import {
  binding,
  obliging,
  type Peer,
  type PeerLink,
  type PeerPdu,
  until,
} from "../../../test/support/smpp-peer.ts";
import { SUBMIT_TIMEOUT_MS } from "../../core/limits.ts";
import { bare, message as messageDraft } from "../../platform/smpp/encode.ts";
import { COMMAND, decodeBind, decodeMessage, RESPONSE, type ShortMessage } from "../../platform/smpp/pdu.ts";
import type { Answer } from "./connector.ts";
import { createSmppConnector, type SmppOperator } from "./smpp.ts";

afterEach(endConnectors);

/** An operator that allows one bind, and leaves the submits on its first link to the test. */
function onlyOneBind(held: PeerPdu[]) {
  let bound: PeerLink | null = null;
  let first: PeerLink | null = null;
  return (pdu: PeerPdu, link: PeerLink) => {
    first ??= link;
    if (pdu.command === COMMAND.bindTransceiver) {
      if (bound !== null) return link.answer(pdu, 0x05);
      bound = link;
    }
    if (pdu.command === COMMAND.unbind) bound = null;
    if (pdu.command === COMMAND.submitSm && link === first) held.push(pdu);
    else obliging(pdu, link);
  };
}

/** A connector for the same peer and account, as a change of the routes file makes one. */
function nextConnector(peer: Peer, settings: Partial<SmppOperator>) {
  const notes: { level: string; text: string }[] = [];
  const link = {
    onDeliver: () => Promise.resolve(true),
    onBinds: () => undefined,
    now: Date.now,
    onUnexpected: () => undefined,
    onNote: (note: { level: string; text: string }) => void notes.push(note),
  };
  const operator = smppOperator({ port: peer.port, ...settings });
  return { next: createSmppConnector(operator, () => undefined, link, SOON), notes };
}

describe("binds", () => {
  test("a transmitter and a receiver for each of them, or transceivers; submits never go to a receiver", async () => {
    const { peer, submit, delivered, open } = await startConnector(obliging, { mode: "tx_rx", binds: 2 });
    await until(() => peer.links.length === 4 && open() === 4);
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
    const { peer, submit } = await startConnector(binding, { binds: 2, bind_window: 2 });
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
    const { submit } = await startConnector(binding, { bind_window: 1 });
    const first = submit("hi");
    expect(await submit("hi")).toEqual({ kind: "not-connected", reason: "no room in the window" });
    expect((await first).kind).toBe("lost");
  });

  test("express that finds no room before its last moment to begin is not sent", async () => {
    const held: PeerPdu[] = [];
    const { peer, submit } = await startConnector(
      (pdu, link) => {
        if (pdu.command === COMMAND.submitSm) held.push(pdu);
        else obliging(pdu, link);
      },
      { bind_window: 1 },
    );
    const first = submit("one");
    await until(() => held.length === 1);
    const startedMs = performance.now();
    const guaranteedByMs = Date.now() + SUBMIT_TIMEOUT_MS + 300;
    const express = await submit("two", { lane: "express", guaranteedByMs });
    expect(express).toEqual({ kind: "not-connected", reason: "no room in the window" });
    expect(performance.now() - startedMs).toBeLessThan(SUBMIT_TIMEOUT_MS - 500);
    (await peer.link(0)).answer(held[0] as PeerPdu, 0, "x");
    expect((await first).kind).toBe("accepted");
    expect(submitted(peer)).toHaveLength(1);
  });

  test("what waited while the process slept is not sent late", async () => {
    const { peer, submit } = await startConnector(binding, { bind_window: 1 });
    const first = submit("one");
    const second = submit("two");
    const link = await peer.link(0);
    const only = await link.next(COMMAND.submitSm);
    link.answer(only, 0, "x"); // makes room
    for (const end = performance.now() + 2_100; performance.now() < end; );
    expect(await second).toMatchObject({ kind: "not-connected" });
    expect((await first).kind).toBe("accepted");
    expect(submitted(peer)).toHaveLength(1);
  });

  test("wrong credentials are an error to look at, not tried again soon, and name no password", async () => {
    const { peer, submit, notes } = await startConnector((pdu, link) => link.answer(pdu, 0x0e));
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
    const failing = await startConnector((pdu, link) => link.answer(pdu, 0x0d));
    await until(() => failing.peer.links.length >= 4);
    const bound = await startConnector((pdu, link) => link.answer(pdu, 0x05));
    await until(() => bound.notes.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(bound.peer.links).toHaveLength(1);
    expect(failing.notes.every(({ level }) => level === "warn")).toBe(true);
  });

  test("an unbind in the middle of a window: what is outstanding is lost, and a new session takes over", async () => {
    const { peer, submit } = await startConnector(answering({ 1: "nothing" }));
    const first = submit("hi");
    const link = await peer.link(0);
    await link.next(COMMAND.submitSm);
    link.send(bare(COMMAND.unbind), 1);
    expect((await first).kind).toBe("lost");
    await until(() => peer.links.length === 2);
    expect((await submit("again")).kind).toBe("accepted");
  });

  test("a throttled bind pauses: no submit until the pause is over", async () => {
    const { peer, submit } = await startConnector(answering({ 1: 0x58 }));
    expect(await submit("hi")).toMatchObject({ kind: "refused", permanent: false });
    const startedMs = performance.now();
    expect((await submit("again")).kind).toBe("accepted");
    expect(performance.now() - startedMs).toBeGreaterThan(150);
    expect(submitted(peer)).toHaveLength(2);
  });

  test("a full queue at the operator pauses its bind for longer, whatever its entry says of the status", async () => {
    const { submit } = await startConnector(answering({ 1: 0x14 }), { statuses: { "0x14": "elsewhere" } });
    expect(await submit("hi")).toMatchObject({ kind: "refused", permanent: false });
    const startedMs = performance.now();
    expect((await submit("again")).kind).toBe("accepted");
    expect(performance.now() - startedMs).toBeGreaterThan(350);
  });

  test("no answer for a message is left open when the connector closes, and it says goodbye", async () => {
    const { peer, connector, submit, open } = await startConnector(binding, { bind_window: 1 });
    const answers = [submit("one"), submit("two")];
    const link = await peer.link(0);
    await link.next(COMMAND.submitSm);
    await connector.close();
    expect((await Promise.all(answers)).map(({ kind }) => kind)).toEqual(["lost", "not-connected"]);
    await link.next(COMMAND.unbind);
    expect(open()).toBe(0);
    expect(await submit("three")).toMatchObject({ kind: "not-connected" });
  });

  test("a connector with other terms takes over the binds of the one before it; the last one closes them", async () => {
    const { peer, connector, submit } = await startConnector(obliging);
    expect((await submit("hi")).kind).toBe("accepted");
    const link = {
      onDeliver: () => Promise.resolve(true),
      onBinds: () => undefined,
      now: Date.now,
      onUnexpected: () => undefined,
      onNote: () => undefined,
    };
    const next = createSmppConnector(
      smppOperator({ port: peer.port, price: 2 }),
      () => undefined,
      link,
      SOON,
    );
    await connector.close();
    const answer = await new Promise<Answer>((resolve) => next.submit(laneRecord("hi"), resolve, LEFT_MS));
    expect([answer.kind, peer.links.length]).toEqual(["accepted", 1]);
    await next.close();
    await (await peer.link(0)).next(COMMAND.unbind);
  });

  test("other connection settings for an account: its old bind ends before the new one opens, submits wait", async () => {
    const held: PeerPdu[] = [];
    const { peer, connector, submit } = await startConnector(onlyOneBind(held));
    const first = submit("hi");
    const link = await peer.link(0);
    await until(() => held.length === 1);
    connector.retire?.();
    const { next, notes } = nextConnector(peer, { bind_window: 20 });
    const second = new Promise<Answer>((resolve) => next.submit(laneRecord("again"), resolve, LEFT_MS));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(peer.links).toHaveLength(1); // its submit has no answer yet
    link.answer(held[0] as PeerPdu, 0, "x");
    expect([(await first).kind, (await second).kind]).toEqual(["accepted", "accepted"]);
    await link.next(COMMAND.unbind);
    expect(peer.links).toHaveLength(2);
    expect(notes.filter(({ level }) => level !== "info")).toEqual([]);
    // The sender closes it later, when it would have closed it anyway.
    await connector.close();
    expect(await submit("three")).toMatchObject({ kind: "not-connected" });
    await next.close();
  });

  test("a message of two parts is whole before its binds make room", async () => {
    const held: PeerPdu[] = [];
    const { peer, connector, submit } = await startConnector(onlyOneBind(held));
    const long = submit("a".repeat(200));
    const link = await peer.link(0);
    await until(() => held.length === 1);
    connector.retire?.();
    const { next } = nextConnector(peer, { system_type: "other" });
    link.answer(held[0] as PeerPdu, 0, "x");
    await until(() => held.length === 2);
    link.answer(held[1] as PeerPdu, 0, "y");
    expect(await long).toEqual({ kind: "accepted", operatorMessageIds: ["x", "y"] });
    await until(() => peer.links.length === 2);
    await next.close();
  });

  test("a bind that may still get messages makes no room: two operators may have one account", async () => {
    const { peer, submit } = await startConnector(obliging);
    await until(() => peer.links.length === 1);
    const { next } = nextConnector(peer, { bind_window: 20 });
    await until(() => peer.links.length === 2);
    expect((await submit("hi")).kind).toBe("accepted");
    await next.close();
  });

  test("the password and the other fields are what the settings say", async () => {
    const { peer } = await startConnector(obliging, { system_type: "OTA", address_range: "^98" });
    const bind = await (await peer.link(0)).next(COMMAND.bindTransceiver);
    expect(decodeBind(bind.bytes)).toEqual({ systemId: "us", password: "secret", systemType: "OTA" });
    expect(Buffer.from(bind.bytes).toString("latin1")).toEndWith("^98\0");
  });

  test("a password of more than eight characters is sent as it is, and warned of without being shown", async () => {
    const { peer, notes } = await startConnector(obliging, { password: "longsecret" });
    const bind = await (await peer.link(0)).next(COMMAND.bindTransceiver);
    expect(decodeBind(bind.bytes).password).toBe("longsecret");
    const warnings = notes.filter(({ level }) => level === "warn").map(({ text }) => text);
    expect(warnings).toEqual([expect.stringContaining("more than 8 characters")]);
    expect(JSON.stringify(notes)).not.toContain("longsecret");
  });
});
