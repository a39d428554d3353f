// One session against what real SMSCs do beside the specification: numbers used twice, pings before the bind
// is answered, PDUs that are cut short or of another command than usual.

import { afterEach, expect, test } from "bun:test";
import { binding, type PeerPdu, until } from "../../../test/support/smpp-peer.ts";
import { DELIVER, endSessions, open, openBound, submitsOf } from "../../../test/support/smpp-session.ts";
import { answerTo, bare, type Draft, encodePdu, nack } from "./encode.ts";
import { COMMAND, RESPONSE } from "./pdu.ts";
import { STATUS } from "./status.ts";

afterEach(endSessions);

const answerOf = (command: number): number => (command | RESPONSE) >>> 0;
const isBind = ({ command }: PeerPdu): boolean => command === COMMAND.bindTransceiver;

test("a ping and a report that come before the bind is answered are answered: alive, and try again", async () => {
  let stored = 0;
  const binds: PeerPdu[] = [];
  const { link, log } = await open(
    (pdu) => {
      if (isBind(pdu)) binds.push(pdu);
    },
    {},
    () => Promise.resolve(++stored > 0),
  );
  const bind = await until(() => binds[0]);
  link.send(bare(COMMAND.enquireLink), 3);
  link.send(DELIVER, 4);
  expect(await link.next(answerOf(COMMAND.enquireLink))).toMatchObject({ status: 0, sequence: 3 });
  expect(await link.next(answerOf(COMMAND.deliverSm))).toMatchObject({
    status: STATUS.tryAgain,
    sequence: 4,
  });
  link.answer(bind, 0, "peer");
  await until(() => log.bound === 1);
  link.send(DELIVER, 5);
  expect(await link.next(answerOf(COMMAND.deliverSm))).toMatchObject({ status: 0, sequence: 5 });
  expect([stored, log.end]).toEqual([1, null]);
});

test("any PDU proves life, not only the answer to our enquire_link", async () => {
  let sequence = 0;
  const { link, log } = await openBound(
    (pdu, peer) => {
      if (pdu.command === COMMAND.enquireLink) peer.send(bare(COMMAND.enquireLink), ++sequence);
      else binding(pdu, peer);
    },
    { enquireMs: 100, enquireAnswerMs: 200 },
  );
  const asked = () => link.got.filter(({ command }) => command === COMMAND.enquireLink).length;
  await until(() => asked() >= 5);
  expect(log.end).toBeNull();
});

test("a peer counts on its own: its requests with the numbers of our submits are only requests", async () => {
  const { link, submit, results } = await openBound(binding);
  submit();
  const [only] = (await submitsOf(link, 1)) as [PeerPdu];
  link.send(bare(COMMAND.enquireLink), only.sequence);
  link.send(DELIVER, only.sequence);
  await link.next(answerOf(COMMAND.enquireLink));
  await link.next(answerOf(COMMAND.deliverSm));
  expect(results).toEqual([]);
  link.answer(only, 0, "its own");
  expect(await until(() => results[0])).toEqual({ kind: "answered", status: 0, id: "its own" });
});

test("two answers under one number answer one submit; the other one is lost in time, not taken", async () => {
  const { link, submit, results } = await openBound(binding);
  submit(300);
  submit(300);
  const [first] = (await submitsOf(link, 2)) as [PeerPdu];
  link.answer(first, 0, "first");
  link.answer(first, 0, "second");
  await until(() => results[1]);
  expect(results).toEqual([
    { kind: "answered", status: 0, id: "first" },
    { kind: "lost", reason: "no answer in time" },
  ]);
});

test("answers for nothing, nacks and answers of unknown commands are never nacked, and end nothing", async () => {
  const { link, log, submit, results } = await openBound(binding);
  link.send(answerTo(COMMAND.submitSm, 0, "for nothing"), 999);
  link.send(answerTo(0x7777, 0, null), 998);
  link.send(nack(STATUS.systemError), 997);
  submit();
  const [only] = (await submitsOf(link, 1)) as [PeerPdu];
  link.answer(only, 0, "x");
  await until(() => results[0]);
  expect(link.got.filter(({ command }) => command === COMMAND.genericNack)).toEqual([]);
  expect(log.end).toBeNull();
});

test("a report may come as data_sm, and has the answer of that", async () => {
  const pdus: Uint8Array[] = [];
  const { link } = await openBound(binding, {}, (pdu) => Promise.resolve(pdus.push(pdu) > 0));
  // 1/1 "12" to "55", esm_class 4, message_payload "ok"
  const body = Buffer.from("0001013132000000353500040108042400026f6b", "hex");
  const report: Draft = { command: COMMAND.dataSm, status: 0, body };
  link.send(report, 6);
  expect(await link.next(answerOf(COMMAND.dataSm))).toMatchObject({ status: 0, sequence: 6, length: 17 });
  expect(pdus).toEqual([Uint8Array.from(encodePdu(report, 6))]);
});

test("a malformed report is stored as it came; malformed answers are read as far as they go", async () => {
  const pdus: Uint8Array[] = [];
  const { link, log, submit, results } = await openBound(binding, {}, (pdu) =>
    Promise.resolve(pdus.push(pdu) > 0),
  );
  const cut: Draft = { ...DELIVER, body: DELIVER.body.subarray(0, 9) };
  link.send(cut, 8);
  expect(await link.next(answerOf(COMMAND.deliverSm))).toMatchObject({ status: 0, sequence: 8 });
  expect(pdus).toEqual([Uint8Array.from(encodePdu(cut, 8))]);

  const answer = (status: number, body: string): Draft => ({
    command: answerOf(COMMAND.submitSm),
    status,
    body: Buffer.from(body, "latin1"),
  });
  for (let i = 0; i < 3; i++) submit();
  const submits = await submitsOf(link, 3);
  const drafts = [answer(0, "no NUL"), answer(0xffff_ffff, "\0\u0004\u0024"), answer(0, "id\0\u0004")];
  for (const [i, draft] of drafts.entries()) link.send(draft, (submits[i] as PeerPdu).sequence);
  await until(() => results.filter(Boolean).length === 3);
  expect(results).toEqual([
    { kind: "answered", status: 0, id: "no NUL" },
    { kind: "answered", status: 0xffff_ffff, id: "" },
    { kind: "answered", status: 0, id: "id" },
  ]);
  expect(log.end).toBeNull();
});
