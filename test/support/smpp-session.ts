// One SMPP session to a peer that a test plays, over a real TCP connection.

import { type Draft, message } from "../../src/platform/smpp/encode.ts";
import { COMMAND, type ShortMessage } from "../../src/platform/smpp/pdu.ts";
import type { SubmitResult, UnexpectedAnswer } from "../../src/platform/smpp/pending.ts";
import { openSession, type SessionHooks, type SessionOptions } from "../../src/platform/smpp/session.ts";
import { type Peer, type PeerLink, startPeer, until } from "./smpp-peer.ts";

const FIELDS: ShortMessage = {
  command: COMMAND.submitSm,
  serviceType: "",
  sourceTon: 5,
  sourceNpi: 0,
  sourceAddr: "Shop",
  destTon: 1,
  destNpi: 1,
  destAddr: "98912",
  esmClass: 0,
  validityPeriod: "",
  registeredDelivery: 1,
  dataCoding: 0,
  shortMessage: Buffer.from("hi"),
  tlvs: [],
};
const SUBMIT: Draft = message(FIELDS);
export const DELIVER: Draft = message({ ...FIELDS, command: COMMAND.deliverSm, esmClass: 4 });

const ends: (() => unknown)[] = [];
/** Call it in afterEach. */
export async function endSessions(): Promise<void> {
  for (const end of ends.splice(0)) await end();
}

export type Behaviour = Parameters<typeof startPeer>[0];

export async function open(
  behave: Behaviour,
  { connects = true, ...options }: Partial<SessionOptions> & { connects?: boolean } = {},
  onDeliver: SessionHooks["onDeliver"] = () => Promise.resolve(true),
) {
  const peer: Peer = await startPeer(behave);
  type Log = { bound: number; end: [string, number | null] | null; unexpected: UnexpectedAnswer[] };
  const log: Log = { bound: 0, end: null, unexpected: [] };
  const session = openSession(
    {
      host: "127.0.0.1",
      port: peer.port,
      tls: null,
      bindAs: "transceiver",
      login: { systemId: "us", password: "secret", systemType: "", addressRange: "" },
      window: 10,
      lateMs: 5_000,
      enquireMs: 60_000,
      enquireAnswerMs: 60_000,
      ...options,
    },
    {
      onBound: () => void log.bound++,
      onRoom: () => undefined,
      onDeliver,
      onUnexpected: (answer) => void log.unexpected.push(answer),
      onEnd: (reason, status) => {
        if (log.end !== null) throw new Error("a session ends once");
        log.end = [reason, status];
      },
    },
  );
  ends.push(
    () => session.close(),
    () => peer.stop(),
  );
  return { peer, session, log, link: connects ? await peer.link(0) : (undefined as never) };
}

/** The same, bound; what its submits get is in `results`, in their order. */
export async function openBound(
  behave: Behaviour,
  options?: Partial<SessionOptions>,
  onDeliver?: SessionHooks["onDeliver"],
) {
  const opened = await open(behave, options, onDeliver);
  await until(() => opened.log.bound === 1);
  const results: SubmitResult[] = [];
  const lates: [number, string][] = [];
  const submit = (answerMs = 5_000) => {
    const at = submitted++;
    opened.session.submit(SUBMIT, performance.now() + answerMs, {
      done: (result) => void (results[at] = result),
      late: (status, id) => lates.push([status, id]),
    });
  };
  let submitted = 0;
  return { ...opened, results, lates, submit };
}

/** The first so many submits that came on this link. */
export const submitsOf = (link: PeerLink, count: number) =>
  until(() => {
    const submits = link.got.filter(({ command }) => command === COMMAND.submitSm);
    return submits.length >= count ? submits : null;
  });
