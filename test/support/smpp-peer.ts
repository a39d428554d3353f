// The other end of an SMPP session for tests: a TCP server whose behaviour is a function of each PDU, with
// raw bytes where a PDU would be too well-formed. Its reading of the stream is its own, the simplest that
// works.

import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { answerTo, type Draft, encodePdu } from "../../src/platform/smpp/encode.ts";
import { COMMAND, type Header, readHeader } from "../../src/platform/smpp/pdu.ts";

export type PeerPdu = Header & { bytes: Uint8Array };
export type PeerLink = {
  /** Everything that came on this connection. */
  got: PeerPdu[];
  send(draft: Draft, sequence: number): void;
  answer(pdu: PeerPdu, status?: number, text?: string | null): void;
  raw(bytes: Uint8Array | string): void;
  cut(): void;
  /** The next PDU of this command, or one that came already and was not asked for. */
  next(command: number): Promise<PeerPdu>;
};
export type Peer = {
  port: number;
  links: PeerLink[];
  link(n: number): Promise<PeerLink>;
  stop(): Promise<void>;
};

/** Answers a bind and an enquire_link, and a submit_sm with the id "id-<sequence>". */
export function obliging(pdu: PeerPdu, link: PeerLink): void {
  if (isBind(pdu)) link.answer(pdu, 0, "peer");
  else if (pdu.command === COMMAND.submitSm) link.answer(pdu, 0, `id-${pdu.sequence}`);
  else if (pdu.command === COMMAND.enquireLink || pdu.command === COMMAND.unbind) link.answer(pdu, 0, null);
}

/** The same, but leaves submits to the test. */
export function binding(pdu: PeerPdu, link: PeerLink): void {
  if (pdu.command !== COMMAND.submitSm) obliging(pdu, link);
}

const isBind = ({ command }: Header) =>
  command === COMMAND.bindTransceiver ||
  command === COMMAND.bindReceiver ||
  command === COMMAND.bindTransmitter;

/** With `tls`, key and certificate in PEM, over TLS. */
export async function startPeer(
  behave: (pdu: PeerPdu, link: PeerLink) => void,
  tls: { key: string; cert: string } | null = null,
): Promise<Peer> {
  const links: PeerLink[] = [];
  const sockets: Socket[] = [];
  const onSocket = (socket: Socket) => {
    sockets.push(socket);
    links.push(linkOf(socket, behave));
  };
  const server: Server = tls === null ? createServer(onSocket) : createTlsServer(tls, onSocket);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    links,
    link: (n) => until(() => links[n]),
    stop() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function linkOf(socket: Socket, behave: (pdu: PeerPdu, link: PeerLink) => void): PeerLink {
  const asked = new Set<PeerPdu>();
  const link: PeerLink = {
    got: [],
    send: (draft, sequence) => void socket.write(encodePdu(draft, sequence)),
    answer: (pdu, status = 0, text = null) => link.send(answerTo(pdu.command, status, text), pdu.sequence),
    raw: (bytes) => void socket.write(bytes),
    cut: () => socket.destroy(),
    async next(command) {
      const pdu = await until(() => link.got.find((each) => each.command === command && !asked.has(each)));
      asked.add(pdu);
      return pdu;
    },
  };
  let held = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 4 && held.length >= held.readUInt32BE(0)) {
      const bytes = Uint8Array.from(held.subarray(0, held.readUInt32BE(0)));
      held = held.subarray(bytes.length);
      const pdu = { ...readHeader(bytes), bytes };
      link.got.push(pdu);
      behave(pdu, link);
    }
  });
  socket.on("error", () => undefined);
  return link;
}

const WAIT_MAX_MS = 30_000;

/** Waits until `find` finds something. */
export async function until<T>(find: () => T | undefined | null | false): Promise<T> {
  const end = performance.now() + WAIT_MAX_MS;
  for (;;) {
    const found = find();
    if (found !== undefined && found !== null && found !== false) return found;
    if (performance.now() > end) throw new Error("waited in vain");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
