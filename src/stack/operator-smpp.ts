// A simulated operator's SMPP port: binds, takes submit_sm, answers as the profile says, and sends a receipt
// for each submit that asked for one. Shares the codec with the client, nothing else; the client's tests also
// run against servers that aren't ours. Leaves which receipts are sent, and when, to operator-ends.ts, and
// sending them to operator-receipts.ts. Invariant: a submit is in `<folder>/<name>.smpp.log`, as "<its id>
// <phone> <part>/<parts> <beginning of its text>", before its answer or a receipt on it is sent; and, if it
// has optional parameters beside the codec's own, in `<name>.smpp-tlvs.log`, as "<its id> 0x1400=<hex> …".

import { createServer, type Socket } from "node:net";
import { answerTo, type Draft, encodePdu, nack } from "../platform/smpp/encode.ts";
import { createFramer } from "../platform/smpp/framing.ts";
import {
  COMMAND,
  decodeBind,
  decodeMessage,
  hex,
  readHeader,
  RESPONSE,
  type ShortMessage,
  TAG,
} from "../platform/smpp/pdu.ts";
import { STATUS } from "../platform/smpp/status.ts";
import { createRate, isDown, openRecord } from "./operator.ts";
import { ALL_DELIVERED, type Profile } from "./operator-behaviour.ts";
import { FIXED_PHONES, isRefusedFor, planEnd } from "./operator-ends.ts";
import { createReceipts } from "./operator-receipts.ts";

export type SmppOperatorOptions = {
  name: string;
  profile: () => Profile;
  random?: () => number;
  host: string;
  port: number;
  folder: string;
};

/** Of every account; another one is refused, for tests of that. */
export const SMPP_PASSWORD = "sluice";

const INVALID_DESTINATION = 0x0b;
const UDH_INDICATOR = 0x40;
const UCS2 = 8;
const TEXT_BYTES_MAX = 40;

type Link = {
  socket: Socket;
  account: string;
  submits: boolean;
  receives: boolean;
  sequence: number;
};

export async function startSmppOperator({
  name,
  profile,
  random = Math.random,
  host,
  port,
  folder,
}: SmppOperatorOptions) {
  const record = openRecord(folder, `${name}.smpp`);
  const tlvs = openRecord(folder, `${name}.smpp-tlvs`);
  const links = new Set<Link>();
  const rate = createRate();
  const run = Date.now().toString(36);
  let serial = 0;

  const send = ({ socket }: Link, draft: Draft, sequence: number) => {
    if (socket.writable) socket.write(encodePdu(draft, sequence));
  };
  const receipts = createReceipts<Link>({
    folder,
    file: `${name}.smpp.reports`,
    receivers: () => [...links].filter(({ receives }) => receives),
    deliver(link, draft) {
      const sequence = ++link.sequence;
      send(link, draft, sequence);
      return sequence;
    },
  });

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
      const delayMs = least + random() * (most - least);
      if (delayMs < 1) reply();
      else setTimeout(reply, delayMs);
    };
    if (!link.submits) return answer(STATUS.wrongBindState, null);
    const submit = decodeMessage(pdu);
    const phone = `+${submit.destAddr}`;
    if (isRefusedFor(name, phone) || submit.destAddr === "") return answer(INVALID_DESTINATION, null);
    if (rate.isOver(behaves)) return answer(STATUS.throttled, null);
    if (isDown(behaves)) return answer(STATUS.systemError, null);
    // Throttling is a rate's answer only: at random it would stop a whole bind each time.
    if (random() < behaves.refused)
      return answer(random() < 0.5 ? STATUS.tryAgain : STATUS.systemError, null);
    const isCut = random() < (behaves.drops ?? 0);
    // Half of the links end before the message is taken.
    if (isCut && random() < 0.5) return void link.socket.destroy();
    const id = `${name}${run}${(++serial).toString(36)}`;
    record.add(`${id} ${phone} ${partOf(submit)} ${beginningOf(submit)}`);
    record.write();
    const vendors = vendorTlvs(submit);
    if (vendors !== "") tlvs.add(`${id} ${vendors}`);
    tlvs.write();
    if ((submit.registeredDelivery & 1) !== 0) {
      const { reports = ALL_DELIVERED } = behaves;
      const planned = planEnd(phone, behaves, reports, random);
      const { sourceTon, sourceNpi, sourceAddr } = submit;
      const from = { sourceTon, sourceNpi, sourceAddr };
      if (planned !== null) receipts.plan({ id, phone, account: link.account, from }, planned);
    }
    if (isCut) return void link.socket.destroy();
    if (phone !== FIXED_PHONES.hangs && random() >= behaves.hangs) answer(STATUS.ok, id);
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
        // Anything but OK is tried again, like silence.
        if (status === STATUS.ok) receipts.acknowledged(link, sequence);
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
      receipts.closed(link);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  const cut = () => {
    for (const { socket } of links) socket.destroy();
  };
  return {
    port: (server.address() as { port: number }).port,
    /** Submits that it took. */
    taken: () => record.count(),
    /** Receipts that are not acknowledged yet. */
    waiting: () => receipts.waiting(),
    /** Closes every link, whatever is under way on it. */
    cut,
    async stop() {
      cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      receipts.stop();
      record.close();
      tlvs.close();
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

const KNOWN_TAGS = new Set<number>(Object.values(TAG));

/** "0x1400=3132 0x1401=01" of those that are no part of the message itself, in their order. */
const vendorTlvs = ({ tlvs }: ShortMessage): string =>
  tlvs
    .filter(([tag]) => !KNOWN_TAGS.has(tag))
    .map(([tag, value]) => `${hex(tag)}=${Buffer.from(value).toString("hex")}`)
    .join(" ");

/** The first characters of its text, as far as they are ASCII: enough to find the message again. */
function beginningOf({ esmClass, dataCoding, shortMessage, tlvs }: ShortMessage): string {
  const payload = tlvs.find(([tag]) => tag === TAG.messagePayload)?.[1] ?? shortMessage;
  const header = (esmClass & UDH_INDICATOR) === 0 ? 0 : 1 + (payload[0] ?? 0);
  const bytes = Buffer.from(payload.subarray(header, header + TEXT_BYTES_MAX));
  const text = dataCoding === UCS2 ? asUcs2(bytes) : bytes.toString("latin1");
  return text.replace(/[^\x20-\x7e]/g, "?");
}

const asUcs2 = (bytes: Buffer): string =>
  bytes
    .subarray(0, bytes.length & ~1)
    .swap16()
    .toString("utf16le");
