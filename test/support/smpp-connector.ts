// The SMPP connector and a peer for it, with waits that are short, for tests.

import type { LaneRecord } from "../../src/core/lane-record.ts";
import type { Answer, CertainAnswer } from "../../src/operators/connectors/connector.ts";
import { createSmppConnector, type SmppOperator } from "../../src/operators/connectors/smpp.ts";
import type { Waits } from "../../src/platform/smpp/binds.ts";
import { COMMAND, decodeMessage, type ShortMessage } from "../../src/platform/smpp/pdu.ts";
import { laneRecord, LEFT_MS, smppOperator } from "./smpp-operator.ts";
import { obliging, type Peer, type PeerLink, type PeerPdu, startPeer } from "./smpp-peer.ts";

export const SOON: Waits = {
  again: { firstMs: 40, mostMs: 40 },
  link: { firstMs: 40, mostMs: 80 },
  alreadyBound: { firstMs: 600, mostMs: 600 },
  credentials: { firstMs: 60_000, mostMs: 60_000 },
  throttled: { firstMs: 400, mostMs: 800 },
};
const ends: (() => unknown)[] = [];
/** Call it in afterEach. */
export async function endConnectors(): Promise<void> {
  for (const end of ends.splice(0)) await end();
}

export async function startConnector(
  behave: Parameters<typeof startPeer>[0],
  settings: Partial<SmppOperator> = {},
) {
  const peer = await startPeer(behave);
  const notes: { level: string; text: string }[] = [];
  let open = 0;
  const lates: CertainAnswer[] = [];
  const delivered: Uint8Array[] = [];
  const connector = createSmppConnector(
    smppOperator({ port: peer.port, ...settings }),
    (_, answer) => void lates.push(answer),
    {
      onDeliver: (pdu) => Promise.resolve(delivered.push(pdu) > 0),
      onBinds: (change) => void (open += change),
      now: Date.now,
      onUnexpected: () => undefined,
      onNote: (note) => void notes.push(note),
    },
    SOON,
  );
  ends.push(
    () => connector.close(),
    () => peer.stop(),
  );
  const submit = (text: string, more: Partial<LaneRecord> = {}) =>
    new Promise<Answer>((resolve) => connector.submit(laneRecord(text, more), resolve, LEFT_MS));
  return { peer, connector, submit, notes, lates, delivered, open: () => open };
}

/** Binds, and answers the n-th submit_sm (from 1) of all links as `answers` says; without one, with an id. */
export function answering(answers: Record<number, number | "nothing" | "cut">) {
  let n = 0;
  return (pdu: PeerPdu, link: PeerLink) => {
    if (pdu.command !== COMMAND.submitSm) return obliging(pdu, link);
    const how = answers[++n] ?? 0;
    if (how === "cut") link.cut();
    else if (how !== "nothing") link.answer(pdu, how, how === 0 ? `id${n}` : null);
  };
}

export const submitted = (peer: Peer): ShortMessage[] =>
  peer.links.flatMap(({ got }) =>
    got.filter(({ command }) => command === COMMAND.submitSm).map(({ bytes }) => decodeMessage(bytes)),
  );
