// npm `smpp` 0.5.1, an SMPP codec and server that isn't ours, for tests: as much of its shape as they use. It
// comes without types.

import { createRequire } from "node:module";
import type { EventEmitter } from "node:events";

export type NpmPdu = {
  command: string;
  command_status: number;
  sequence_number: number;
  short_message?: { message: string | Buffer; udh?: Buffer[] };
  message_payload?: { message: string | Buffer };
  response(fields?: Record<string, unknown>): NpmPdu;
  toBuffer(): Buffer;
} & Record<string, unknown>;
export type NpmSession = EventEmitter & {
  send(pdu: NpmPdu): boolean;
  deliver_sm(fields: Record<string, unknown>, answered: (pdu: NpmPdu) => void): boolean;
  close(): void;
};
type NpmServer = EventEmitter & {
  listen(port: number, host: string, done: () => void): void;
  address(): { port: number };
  close(): void;
};

export const npmSmpp = createRequire(import.meta.url)("smpp") as {
  PDU: new (command: string | Buffer, fields?: Record<string, unknown>) => NpmPdu;
  createServer(onSession: (session: NpmSession) => void): NpmServer;
};
