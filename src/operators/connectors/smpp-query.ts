// Asks an operator by SMPP what became of submits whose ids it has named (query_sm), and writes what it says
// as the receipts that it would have sent: so it is read and settled where receipts are. Leaves who is asked
// about, and when, to src/sender/look-ups.ts.
// Invariant: only a final state gives a receipt. Bound: one request for each id, within the bind's window.

import type { Binds, Job } from "../../platform/smpp/binds.ts";
import { encodePdu, message, query } from "../../platform/smpp/encode.ts";
import { COMMAND, decodeQueryAnswer, readHeader, TAG } from "../../platform/smpp/pdu.ts";
import { STATUS } from "../../platform/smpp/status.ts";
import type { Asked } from "./connector.ts";
import type { Address } from "./smpp-address.ts";

type Deps = {
  binds: Pick<Binds, "submit">;
  /** To begin, and as much again to answer. */
  timeoutMs: number;
  deliver(receipt: Uint8Array): void;
  /** The operator doesn't know the command. */
  unsupported(): void;
};

/** esm_class of a receipt (5.2.12). */
const RECEIPT = 0x04;
/** message_state (5.2.28): delivered, expired, deleted, undeliverable, rejected. */
const FINAL_STATES = new Set([2, 3, 4, 5, 8]);

/** `source` is that of the submits: an operator finds them by it and the id. */
export function querySubmits(
  { binds, timeoutMs, deliver, unsupported }: Deps,
  source: Address,
  asked: Asked,
): void {
  const nowMs = performance.now();
  const jobs = asked.operatorMessageIds.map(
    (id): Job => ({
      draft: query(id, source),
      startByMs: nowMs + timeoutMs,
      answerMs: timeoutMs,
      endByMs: nowMs + 2 * timeoutMs,
      raw(pdu) {
        const { command, status } = readHeader(pdu);
        if (command === COMMAND.genericNack || status === STATUS.invalidCommand) return unsupported();
        // What stands beside an error is no state: peers fill it with ids and parameters.
        if (status !== STATUS.ok) return;
        const { state } = decodeQueryAnswer(pdu);
        if (FINAL_STATES.has(state)) deliver(receiptOf(id, asked.phone, state));
      },
      done: () => undefined,
      late: () => undefined,
    }),
  );
  binds.submit(jobs, false);
}

function receiptOf(id: string, phone: string, state: number): Uint8Array {
  const draft = message({
    command: COMMAND.deliverSm,
    serviceType: "",
    sourceTon: 1,
    sourceNpi: 1,
    sourceAddr: phone.replace("+", ""),
    destTon: 0,
    destNpi: 0,
    destAddr: "",
    esmClass: RECEIPT,
    validityPeriod: "",
    registeredDelivery: 0,
    dataCoding: 0,
    shortMessage: new Uint8Array(0),
    tlvs: [
      [TAG.receiptedMessageId, Buffer.from(`${id}\0`, "latin1")],
      [TAG.messageState, Uint8Array.of(state)],
    ],
  });
  return encodePdu(draft, 0);
}
