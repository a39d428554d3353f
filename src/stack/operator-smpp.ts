// A simulated operator's SMPP port: binds, takes submit_sm, answers as the profile says, and sends a receipt
// for each submit that asked for one. Shares the codec with the client, nothing else; the client's tests also
// run against servers that aren't ours. Some phones have a fixed answer or end, for demonstrations and tests.
// Invariants: a submit is in `<folder>/<name>.smpp.log`, as "<its id> <phone> <part>/<parts>", before its
// answer or its receipt is sent; a receipt is sent again, on any bind of its account, until it is
// acknowledged. Bound: RECEIPTS_MAX receipts in memory, UNACKNOWLEDGED_MAX of them on the way on each link.

import { createServer, type Socket } from "node:net";
import { answerTo, type Draft, encodePdu, message, nack } from "../platform/smpp/encode.ts";
import { createFramer } from "../platform/smpp/framing.ts";
import {
  COMMAND,
  decodeBind,
  decodeMessage,
  readHeader,
  RESPONSE,
  type ShortMessage,
  TAG,
} from "../platform/smpp/pdu.ts";
import { STATUS } from "../platform/smpp/status.ts";
import { createRate, FIXED_PHONES, isDown, isRefusedFor, openRecord, type Profile } from "./operator.ts";

export type SmppOperatorOptions = {
  name: string;
  profile: () => Profile;
  host: string;
  port: number;
  folder: string;
};

/** Of every account; another one is refused, for tests of that. */
export const SMPP_PASSWORD = "sluice";

const INVALID_DESTINATION = 0x0b;
const RECEIPTS_MAX = 200_000;
const UNACKNOWLEDGED_MAX = 200;
/** A receipt without an acknowledgement is sent again. */
const AGAIN_MS = 5_000;
const RECEIPT_AFTER_MS = 1_000;
const TICK_MS = 20;
const UDH_INDICATOR = 0x40;

type End = { word: string; state: number; afterMs: number } | null;
const DELIVERED = { word: "DELIVRD", state: 2, afterMs: RECEIPT_AFTER_MS };
const FIXED_ENDS: Record<string, End> = {
  "989129990004": DELIVERED,
  "989129990005": { word: "UNDELIV", state: 5, afterMs: RECEIPT_AFTER_MS },
  "989129990006": { word: "EXPIRED", state: 3, afterMs: RECEIPT_AFTER_MS },
  "989129990007": null,
  "989129990008": { ...DELIVERED, afterMs: 60_000 },
};

type Receipt = { draft: Draft; account: string; dueMs: number };
type Link = {
  socket: Socket;
  account: string;
  submits: boolean;
  receives: boolean;
  sequence: number;
  unacknowledged: Map<number, { receipt: Receipt; sentMs: number }>;
};

export async function startSmppOperator({ name, profile, host, port, folder }: SmppOperatorOptions) {
  const record = openRecord(folder, `${name}.smpp`);
  const links = new Set<Link>();
  const rate = createRate();
  const run = Date.now().toString(36);
  let receipts: Receipt[] = [];
  let serial = 0;

  const send = ({ socket }: Link, draft: Draft, sequence: number) => {
    if (socket.writable) socket.write(encodePdu(draft, sequence));
  };

  function onBind(link: Link, pdu: Uint8Array, command: number): number {
    const { systemId, password } = decodeBind(pdu);
    if (systemId === "") return STATUS.invalidSystemId;
    if (password !== SMPP_PASSWORD) return STATUS.invalidPassword;
    link.account = systemId;
    link.submits = command !== COMMAND.bindReceiver;
    link.receives = command !== COMMAND.bindTransmitter;
    return STATUS.ok;
  }

  function onSubmit(link: Link, pdu: Uint8Array, sequence: number) {
    const behaves = profile();
    const [least, most] = behaves.delayMs;
    const answer = (status: number, id: string | null) => {
      const reply = () => send(link, answerTo(COMMAND.submitSm, status, id), sequence);
      record.write();
      const delayMs = least + Math.random() * (most - least);
      if (delayMs < 1) reply();
      else setTimeout(reply, delayMs);
    };
    if (!link.submits) return answer(STATUS.wrongBindState, null);
    const submit = decodeMessage(pdu);
    const phone = `+${submit.destAddr}`;
    if (isRefusedFor(name, phone) || submit.destAddr === "") return answer(INVALID_DESTINATION, null);
    if (rate.isOver(behaves)) return answer(STATUS.throttled, null);
    if (isDown(behaves)) return answer(STATUS.systemError, null);
    if (Math.random() < behaves.refused)
      return answer(Math.random() < 0.5 ? STATUS.throttled : STATUS.queueFull, null);
    const isCut = Math.random() < (behaves.drops ?? 0);
    // Half of the links end before the message is taken.
    if (isCut && Math.random() < 0.5) return void link.socket.destroy();
    const id = `${name}${run}${(++serial).toString(36)}`;
    record.add(`${id} ${phone} ${partOf(submit)}`);
    plan(link.account, submit, id);
    if (isCut) return void link.socket.destroy();
    if (phone !== FIXED_PHONES.hangs && Math.random() >= behaves.hangs) answer(STATUS.ok, id);
  }

  function plan(account: string, submit: ShortMessage, id: string) {
    const fixed = FIXED_ENDS[submit.destAddr];
    const end = fixed === undefined ? DELIVERED : fixed;
    if ((submit.registeredDelivery & 1) === 0 || end === null || receipts.length >= RECEIPTS_MAX) return;
    const dueMs = performance.now() + end.afterMs;
    receipts.push({ account, dueMs, draft: receiptOf(submit, id, end) });
  }

  function sendReceipts() {
    record.write();
    const nowMs = performance.now();
    for (const { unacknowledged } of links)
      for (const [sequence, { receipt, sentMs }] of unacknowledged) {
        if (nowMs - sentMs < AGAIN_MS) break; // they are in the order in which they were sent
        unacknowledged.delete(sequence);
        receipts.push(receipt);
      }
    const receivers = [...links].filter(({ receives }) => receives);
    if (receivers.length === 0) return;
    receipts = receipts.filter((receipt) => {
      if (receipt.dueMs > nowMs) return true;
      const link = receivers.find(
        ({ account, unacknowledged }) =>
          account === receipt.account && unacknowledged.size < UNACKNOWLEDGED_MAX,
      );
      if (link === undefined) return true;
      const sequence = ++link.sequence;
      link.unacknowledged.set(sequence, { receipt, sentMs: nowMs });
      send(link, receipt.draft, sequence);
      return false;
    });
  }

  function onPdu(link: Link, pdu: Uint8Array) {
    const { command, status, sequence } = readHeader(pdu);
    switch (command) {
      case COMMAND.bindReceiver:
      case COMMAND.bindTransmitter:
      case COMMAND.bindTransceiver:
        return send(link, answerTo(command, onBind(link, pdu, command), name), sequence);
      case COMMAND.submitSm:
        return onSubmit(link, pdu, sequence);
      case COMMAND.unbind:
      case COMMAND.enquireLink:
        return send(link, answerTo(command, STATUS.ok, null), sequence);
      case (COMMAND.deliverSm | RESPONSE) >>> 0:
        // Anything but OK is tried again, like silence, after AGAIN_MS.
        if (status === STATUS.ok) link.unacknowledged.delete(sequence);
        return;
      default:
        if (command < RESPONSE) send(link, nack(STATUS.invalidCommand), sequence);
    }
  }

  const server = createServer((socket) => {
    const link: Link = {
      socket,
      account: "",
      submits: false,
      receives: false,
      sequence: 0,
      unacknowledged: new Map(),
    };
    const framer = createFramer();
    links.add(link);
    socket.setNoDelay(true);
    socket.on("data", (chunk: Uint8Array) => {
      try {
        for (const pdu of framer.push(chunk)) onPdu(link, pdu);
      } catch {
        socket.destroy(); // no SMPP
      }
    });
    socket.on("error", () => undefined);
    socket.on("close", () => {
      links.delete(link);
      for (const { receipt } of link.unacknowledged.values()) receipts.push(receipt);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  const timer = setInterval(sendReceipts, TICK_MS);
  return {
    port: (server.address() as { port: number }).port,
    async stop() {
      clearInterval(timer);
      for (const { socket } of links) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      record.close();
    },
  };
}

/** "2/3" of a message whose parts have a header or SAR TLVs. */
function partOf({ esmClass, shortMessage, tlvs }: ShortMessage): string {
  const [length, element, , , of, part] = shortMessage;
  if ((esmClass & UDH_INDICATOR) !== 0 && length === 5 && element === 0) return `${part}/${of}`;
  const octet = (tag: number) => tlvs.find(([own]) => own === tag)?.[1][0] ?? 1;
  return `${octet(TAG.sarSegmentSeqnum)}/${octet(TAG.sarTotalSegments)}`;
}

function receiptOf(submit: ShortMessage, id: string, { word, state }: NonNullable<End>): Draft {
  const minute = new Date().toISOString().replaceAll(/\D/g, "").slice(2, 12);
  const isDelivered = word === DELIVERED.word;
  const text =
    `id:${id} sub:001 dlvrd:${isDelivered ? "001" : "000"} submit date:${minute} done date:${minute} ` +
    `stat:${word} err:${isDelivered ? "000" : "001"} text:`;
  return message({
    ...submit,
    command: COMMAND.deliverSm,
    sourceTon: submit.destTon,
    sourceNpi: submit.destNpi,
    sourceAddr: submit.destAddr,
    destTon: submit.sourceTon,
    destNpi: submit.sourceNpi,
    destAddr: submit.sourceAddr,
    esmClass: 4,
    validityPeriod: "",
    registeredDelivery: 0,
    dataCoding: 0,
    shortMessage: Buffer.from(text, "latin1"),
    tlvs: [
      [TAG.receiptedMessageId, Buffer.from(`${id}\0`, "latin1")],
      [TAG.messageState, Uint8Array.of(state)],
    ],
  });
}
