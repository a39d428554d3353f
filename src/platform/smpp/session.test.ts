// One session against peers that behave, and peers that don't, over a real TCP connection.

import { afterEach, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { binding, obliging, startPeer, until } from "../../../test/support/smpp-peer.ts";
import {
  type Behaviour,
  DELIVER,
  endSessions,
  open,
  openBound,
  submitsOf,
} from "../../../test/support/smpp-session.ts";
import { answerTo, bare, encodePdu, nack } from "./encode.ts";
import { COMMAND, decodeAnswerText, decodeBind, RESPONSE } from "./pdu.ts";
import type { SubmitResult } from "./pending.ts";
import { STATUS } from "./status.ts";

afterEach(endSessions);

const lost = (results: SubmitResult[]) => results.map((result) => result.kind);

test("it binds with what was asked for and interface version 3.4, and a submit gets its id", async () => {
  const { link, submit, results } = await openBound(obliging);
  const [first] = link.got;
  expect(first?.command).toBe(COMMAND.bindTransceiver);
  const bytes = (first as { bytes: Uint8Array }).bytes;
  expect(decodeBind(bytes)).toEqual({ systemId: "us", password: "secret", systemType: "" });
  expect(Buffer.from(bytes.subarray(16)).toString("latin1")).toBe("us\0secret\0\0\x34\0\0\0");
  submit();
  await until(() => results[0]);
  expect(results).toEqual([{ kind: "answered", status: 0, id: "id-2" }]);
});

test("answers out of order go to their submits, a second one and one for nothing to nobody", async () => {
  const { link, session, submit, results, log } = await openBound(binding);
  for (let i = 0; i < 3; i++) submit();
  const submits = await submitsOf(link, 3);
  link.send(answerTo(COMMAND.submitSm, 0, "stray"), 999);
  link.send(answerTo(COMMAND.querySm, 0, "other command"), (submits[0] as { sequence: number }).sequence);
  for (const pdu of submits.toReversed()) {
    link.answer(pdu, 0, `of ${pdu.sequence}`);
    link.answer(pdu, 8, "twice");
  }
  await until(() => results.filter(Boolean).length === 3);
  expect(results.map((result) => (result.kind === "answered" ? result.id : result))).toEqual(
    submits.map(({ sequence }) => `of ${sequence}`),
  );
  expect([session.underWay(), log.end]).toEqual([0, null]);
  await until(() => log.unexpected.length === 5);
  expect(new Set(log.unexpected)).toEqual(new Set(["stray"]));
});

test("an error answer is read with and without a body, an OK without one too", async () => {
  const { link, submit, results } = await openBound(binding);
  for (let i = 0; i < 3; i++) submit();
  const submits = await submitsOf(link, 3);
  for (const [i, [status, text]] of (
    [
      [0x58, null],
      [0x0b, ""],
      [0, null],
    ] as const
  ).entries())
    link.answer(submits[i] as (typeof submits)[0], status, text);
  await until(() => results.filter(Boolean).length === 3);
  expect(results).toEqual([0x58, 0x0b, 0].map((status) => ({ kind: "answered", status, id: "" })));
});

const REFUSALS: [string, Behaviour][] = [
  ["with a body", (pdu, link) => link.answer(pdu, STATUS.invalidPassword, "")],
  ["without a body", (pdu, link) => link.answer(pdu, STATUS.invalidPassword)],
  ["by a generic_nack", (pdu, link) => link.send(nack(STATUS.invalidPassword), pdu.sequence)],
  ["by a generic_nack without its number", (_, link) => link.send(nack(STATUS.invalidPassword), 0)],
];
for (const [how, behave] of REFUSALS)
  test(`a bind refused ${how} ends the session with its status`, async () => {
    const { log, session } = await open(behave);
    expect(await until(() => log.end)).toEqual(["the bind was refused: 0x0E RINVPASWD", 0x0e]);
    expect([log.bound, session.hasRoom(), log.unexpected]).toEqual([0, false, []]);
  });

const NO_SMPP: [string, Uint8Array | string][] = [
  ["HTTP", "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n"],
  ["a TLS alert", Uint8Array.of(0x15, 3, 1, 0, 2, 2, 0x46)],
  ["a length below 16", Uint8Array.of(0, 0, 0, 15, 0x80, 0, 0, 4)],
  ["a length of 0", new Uint8Array(64)],
  ["a PDU of 1 MB", Buffer.concat([Uint8Array.of(0, 0x10, 0, 0, 0, 0, 0, 5), new Uint8Array(1 << 20)])],
];
for (const [what, bytes] of NO_SMPP)
  test(`${what} on the port ends the session at once, with what was outstanding lost`, async () => {
    const { log, link, submit, results } = await openBound(binding);
    submit();
    await submitsOf(link, 1);
    link.raw(bytes);
    const [reason] = await until(() => log.end);
    expect(reason).toContain("command_length");
    expect(results).toEqual([{ kind: "lost", reason }]);
    // By 4.3 the peer is told why.
    expect((await link.next(COMMAND.genericNack)).status).toBe(STATUS.invalidLength);
  });

test("answers before a length that is refused count, also if they come with it", async () => {
  const { log, link, submit, results } = await openBound(binding);
  for (let i = 0; i < 3; i++) submit();
  const answers = (await submitsOf(link, 3)).map(({ sequence }) =>
    encodePdu(answerTo(COMMAND.submitSm, 0, `id-${sequence}`), sequence),
  );
  const tooLong = Buffer.alloc(16);
  tooLong.writeUInt32BE(1 << 20, 0);
  link.raw(Buffer.concat([...answers.slice(0, 2), tooLong]));
  const [reason] = await until(() => log.end);
  expect(reason).toContain("command_length");
  expect(lost(results)).toEqual(["answered", "answered", "lost"]);
});

test("a PDU that comes octet by octet, and several in one piece, are the same PDUs", async () => {
  const { link, submit, results } = await openBound(binding);
  for (let i = 0; i < 3; i++) submit();
  const answers = (await submitsOf(link, 3)).map(({ sequence }) =>
    encodePdu(answerTo(COMMAND.submitSm, 0, `id-${sequence}`), sequence),
  );
  for (const octet of answers[0] as Uint8Array) {
    link.raw(Uint8Array.of(octet));
    await new Promise((resolve) => setImmediate(resolve));
  }
  link.raw(Buffer.concat(answers.slice(1)));
  await until(() => results.filter(Boolean).length === 3);
  expect(new Set(lost(results))).toEqual(new Set(["answered"]));
});

test("a link cut in the middle of a window loses every outstanding submit, once", async () => {
  const { link, session, log, submit, results } = await openBound(binding);
  for (let i = 0; i < 10; i++) submit();
  expect(session.hasRoom()).toBe(false);
  const submits = await submitsOf(link, 10);
  link.answer(submits[4] as (typeof submits)[0], 0, "taken");
  await until(() => results[4]);
  link.cut();
  await until(() => log.end);
  expect(lost(results)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => (i === 4 ? "answered" : "lost")));
});

test("an unbind in the middle of a window is answered; nothing new starts, what is still answered counts", async () => {
  const { link, session, log, submit, results } = await openBound(binding);
  submit();
  submit();
  const submits = await submitsOf(link, 2);
  link.send(bare(COMMAND.unbind), 77);
  expect((await link.next((COMMAND.unbind | RESPONSE) >>> 0)).sequence).toBe(77);
  expect(session.hasRoom()).toBe(false);
  link.answer(submits[0] as (typeof submits)[0], 0, "late but good");
  await until(() => results[0]);
  expect(log.end).toBeNull();
  const [reason] = await until(() => log.end);
  expect(results).toEqual([
    { kind: "answered", status: 0, id: "late but good" },
    { kind: "lost", reason },
  ]);
});

test("a session that is closed unbinds after its last answer", async () => {
  const { link, session, log, submit, results } = await openBound(binding);
  submit();
  const [only] = await submitsOf(link, 1);
  session.close();
  expect(session.hasRoom()).toBe(false);
  link.answer(only as { sequence: number } as never, 0, "x");
  await link.next(COMMAND.unbind);
  expect(await until(() => log.end)).toEqual(["closed", null]);
  expect(lost(results)).toEqual(["answered"]);
});

test("a submit without an answer in time is lost, keeps its place, and its late answer is handed on once", async () => {
  const { link, session, submit, results, lates } = await openBound(binding, { window: 1 });
  submit(100);
  const [only] = await submitsOf(link, 1);
  expect(await until(() => results[0])).toEqual({ kind: "lost", reason: "no answer in time" });
  expect(session.hasRoom()).toBe(false);
  link.answer(only as never, 0, "late");
  link.answer(only as never, 0, "again");
  await until(() => lates.length > 0 && session.hasRoom());
  expect(lates).toEqual([[0, "late"]]);
});

test("answers that nobody waits for are counted: late ones once, any more and those after that as stray", async () => {
  const { link, log, submit, results, lates } = await openBound(binding);
  submit(100);
  const [only] = await submitsOf(link, 1);
  await until(() => results[0]);
  expect(log.unexpected).toEqual([]);
  link.answer(only as never, 0, "late");
  link.answer(only as never, 0, "again");
  link.send(nack(STATUS.systemError), 999);
  await until(() => log.unexpected.length === 3);
  expect(log.unexpected).toEqual(["late", "stray", "stray"]);
  const given = await openBound(binding, { window: 1, lateMs: 100 });
  given.submit(100);
  const [gone] = await submitsOf(given.link, 1);
  await until(() => given.session.hasRoom());
  given.link.answer(gone as never, 0, "too late");
  await until(() => given.log.unexpected.length === 1);
  expect([given.log.unexpected, given.lates, lates]).toEqual([["stray"], [], [[0, "late"]]]);
});

test("a process that slept reads the answers that have come before it gives up on any", () => {
  const program = join(import.meta.dir, "../../../test/support/slept-tool.ts");
  const { stdout, stderr } = spawnSync("node", [program], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(JSON.parse(stdout)).toEqual({ kind: "answered", status: 0, id: "here" });
});

test("after the time for late answers a place in the window is free again", async () => {
  const { session, submit } = await openBound(binding, { window: 1, lateMs: 200 });
  submit(100);
  expect(session.hasRoom()).toBe(false);
  await until(() => session.hasRoom());
});

test("numbers wrap to 1 and skip those that are still outstanding", async () => {
  const { link, submit, results } = await openBound(binding, { firstSequence: 0x7fff_fffe });
  submit(); // 0x7FFFFFFF; the bind had the one before
  for (let i = 0; i < 3; i++) submit();
  const submits = await submitsOf(link, 4);
  expect(submits.map(({ sequence }) => sequence)).toEqual([0x7fff_ffff, 1, 2, 3]);
  for (const pdu of submits) link.answer(pdu, 0, `${pdu.sequence}`);
  await until(() => results.filter(Boolean).length === 4);
});

test("a delivery is acknowledged only once it is stored, with an empty id, whatever its number", async () => {
  const stored = Promise.withResolvers<boolean>();
  const pdus: Uint8Array[] = [];
  const { link } = await openBound(binding, {}, (pdu) => {
    pdus.push(pdu);
    return stored.promise;
  });
  // The peer counts on its own, may use 0, and may use a number twice.
  for (const sequence of [0, 5, 5, 0xffff_ffff]) link.send(DELIVER, sequence);
  await until(() => pdus.length === 4);
  expect(pdus[1]).toEqual(Uint8Array.from(encodePdu(DELIVER, 5)));
  const answers = () => link.got.filter(({ command }) => command === (COMMAND.deliverSm | RESPONSE) >>> 0);
  expect(answers()).toEqual([]);
  stored.resolve(true);
  await until(() => answers().length === 4);
  expect(answers().map(({ sequence, status }) => [sequence, status])).toEqual(
    [0, 5, 5, 0xffff_ffff].map((sequence) => [sequence, 0]),
  );
  for (const { length, bytes } of answers()) expect([length, decodeAnswerText(bytes)]).toEqual([17, ""]);
});

test("a delivery that can't be stored is answered: try again", async () => {
  let calls = 0;
  const { link, log } = await openBound(binding, {}, () => {
    calls++;
    if (calls === 1) return Promise.resolve(false);
    if (calls === 2) return Promise.reject(new Error("no database"));
    throw new Error("a bug");
  });
  for (const sequence of [1, 2, 3]) link.send(DELIVER, sequence);
  const answers = await until(() => {
    const got = link.got.filter(({ command }) => command === (COMMAND.deliverSm | RESPONSE) >>> 0);
    return got.length === 3 ? got : null;
  });
  expect(answers.map(({ sequence }) => sequence).toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
  expect(answers.map(({ status }) => status)).toEqual([0x64, 0x64, 0x64]);
  expect(log.end).toBeNull();
});

test("more deliveries than may wait are answered at once: try again", async () => {
  const { link } = await openBound(binding, {}, () => new Promise(() => undefined));
  for (let sequence = 1; sequence <= 1_003; sequence++) link.send(DELIVER, sequence);
  const refused = await until(() => {
    const answers = link.got.filter(({ command }) => command === (COMMAND.deliverSm | RESPONSE) >>> 0);
    return answers.length === 3 ? answers : null;
  });
  expect(refused.map(({ sequence, status }) => [sequence, status])).toEqual([
    [1_001, 0x64],
    [1_002, 0x64],
    [1_003, 0x64],
  ]);
});

test("an enquire_link is answered; requests we don't know are nacked with their number", async () => {
  const { link, log } = await openBound(binding);
  link.send(bare(COMMAND.outbind), 5);
  link.send(bare(COMMAND.alertNotification), 6);
  link.send(bare(0x7777), 7);
  link.send(bare(COMMAND.enquireLink), 8);
  await link.next((COMMAND.enquireLink | RESPONSE) >>> 0);
  const [, ...after] = link.got;
  expect(after.map(({ command, status, sequence }) => [command, status, sequence])).toEqual([
    [COMMAND.genericNack, STATUS.invalidCommand, 7],
    [(COMMAND.enquireLink | RESPONSE) >>> 0, 0, 8],
  ]);
  expect(log.end).toBeNull();
});

test("a silent peer is asked for a sign of life, and given up without one", async () => {
  const times = { enquireMs: 100, enquireAnswerMs: 200 };
  const alive = await openBound(binding, times);
  await alive.link.next(COMMAND.enquireLink);
  await alive.link.next(COMMAND.enquireLink);
  expect(alive.log.end).toBeNull();
  const dead = await openBound((pdu, link) => {
    if (pdu.command !== COMMAND.enquireLink) binding(pdu, link);
  }, times);
  dead.submit();
  expect(await until(() => dead.log.end)).toEqual(["no sign of life", null]);
  expect(lost(dead.results)).toEqual(["lost"]);
});

test("a submit that is nacked failed as the nack says; nacks of nothing end the session after several", async () => {
  const { link, log, submit, results } = await openBound(binding);
  submit();
  const [only] = await submitsOf(link, 1);
  link.send(nack(STATUS.throttled), (only as { sequence: number }).sequence);
  expect(await until(() => results[0])).toEqual({ kind: "answered", status: STATUS.throttled, id: "" });
  for (let i = 0; i < 4; i++) link.send(nack(STATUS.systemError), 0);
  submit();
  await submitsOf(link, 2);
  expect(log.end).toBeNull();
  link.send(nack(STATUS.systemError), 0);
  expect((await until(() => log.end))[0]).toContain("generic_nack");
});

test("a peer that says we aren't bound is left, and the submit counts as refused", async () => {
  const { link, log, submit, results } = await openBound(binding);
  submit();
  const [only] = await submitsOf(link, 1);
  link.answer(only as never, STATUS.wrongBindState);
  expect((await until(() => log.end))[0]).toBe("the operator doubts the bind");
  expect(results).toEqual([{ kind: "answered", status: 0x04, id: "" }]);
});

test("a peer that closes instead of answering the bind ends the session", async () => {
  const { log } = await open((_, link) => link.cut());
  expect((await until(() => log.end))[1]).toBeNull();
});

test("a port that nobody listens on ends the session", async () => {
  const gone = await startPeer(binding);
  await gone.stop();
  const { log } = await open(binding, { port: gone.port, connects: false });
  expect((await until(() => log.end))[0]).toContain("ECONNREFUSED");
});
