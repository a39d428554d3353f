// The receipts of a simulated operator's SMPP port: sends each when it is due, on any bind of its account,
// and again until it is acknowledged, also after a restart. `<folder>/<name>.smpp.reports` has each submit's
// end, each acknowledgement (ack) and each contradiction (but); the fault suite reads it. Leaves links and
// PDUs to operator-smpp.ts.
// Bound: RECEIPTS_MAX receipts in memory, UNACKNOWLEDGED_MAX of them on the way on each link.

import { type Draft, message } from "../platform/smpp/encode.ts";
import { COMMAND, type ShortMessage, TAG } from "../platform/smpp/pdu.ts";
import { type Follow, type PlannedEnd, unacknowledged, type Word, WORDS } from "./operator-ends.ts";
import { openLines } from "./operator-reports.ts";

/** A submit that was taken: what its receipts need. */
type Taken = { id: string; phone: string; account: string; from: Source };
type Source = Pick<ShortMessage, "sourceTon" | "sourceNpi" | "sourceAddr">;
type Receipt = { taken: Taken; word: Word; dueMs: number; next: readonly Follow[] };
type OnItsWay = { receipt: Receipt; sentMs: number };

type ReceiptsOptions<Link> = {
  folder: string;
  file: string;
  /** The links that receive. */
  receivers: () => Link[];
  /** Sends it, and returns its sequence number. */
  deliver: (link: Link, draft: Draft) => number;
};

const RECEIPTS_MAX = 200_000;
const UNACKNOWLEDGED_MAX = 200;
/** A receipt without an acknowledgement is sent again. */
const AGAIN_MS = 5_000;
const TICK_MS = 20;
/** After a restart the address that a message came from is no longer known. */
const NOWHERE: Source = { sourceTon: 0, sourceNpi: 0, sourceAddr: "" };

export function createReceipts<Link extends { account: string }>({
  folder,
  file,
  receivers,
  deliver,
}: ReceiptsOptions<Link>) {
  const record = openLines(folder, file);
  const underWay = new Map<Link, Map<number, OnItsWay>>();
  let waiting: Receipt[] = [];

  const add = (receipt: Receipt) => {
    if (waiting.length < RECEIPTS_MAX) waiting.push(receipt);
  };
  const onItsWay = (link: Link) => {
    const known = underWay.get(link) ?? new Map<number, OnItsWay>();
    underWay.set(link, known);
    return known;
  };
  const again = (nowMs: number) => {
    for (const all of underWay.values())
      for (const [sequence, { receipt, sentMs }] of all) {
        if (nowMs - sentMs < AGAIN_MS) break; // they are in the order in which they were sent
        all.delete(sequence);
        add(receipt);
      }
  };
  const sendDue = () => {
    record.write();
    const nowMs = performance.now();
    again(nowMs);
    const links = receivers();
    if (links.length === 0) return;
    waiting = waiting.filter((receipt) => {
      if (receipt.dueMs > nowMs) return true;
      const link = links.find(
        (each) => each.account === receipt.taken.account && onItsWay(each).size < UNACKNOWLEDGED_MAX,
      );
      if (link === undefined) return true;
      onItsWay(link).set(deliver(link, draftOf(receipt)), { receipt, sentMs: nowMs });
      return false;
    });
  };
  for (const { end, id, more } of unacknowledged(record.text)) {
    const [phone = "", account = ""] = more;
    const taken = { id, phone, account: decodeURIComponent(account), from: NOWHERE };
    add({ taken, word: end, dueMs: 0, next: [] });
  }
  const timer = setInterval(sendDue, TICK_MS);
  return {
    plan(taken: Taken, { end, afterMs, next }: PlannedEnd) {
      record.add(`${end} ${taken.id} ${taken.phone} ${encodeURIComponent(taken.account)}`);
      record.write(); // as its submit was: a message whose parts all have an answer has all their ends
      for (const [n, ms] of afterMs.entries())
        add({ taken, word: end, dueMs: performance.now() + ms, next: n === 0 ? next : [] });
    },
    acknowledged(link: Link, sequence: number) {
      const found = onItsWay(link).get(sequence);
      if (found === undefined) return;
      onItsWay(link).delete(sequence);
      const { taken, next } = found.receipt;
      record.add(`ack ${taken.id}`);
      for (const { word, afterMs } of next) {
        if (word !== "ENROUTE") record.add(`but ${taken.id}`);
        add({ taken, word, dueMs: performance.now() + afterMs, next: [] });
      }
    },
    /** What was on its way on this link is sent on another one. */
    closed(link: Link) {
      for (const { receipt } of underWay.get(link)?.values() ?? []) add(receipt);
      underWay.delete(link);
    },
    waiting: () => [...underWay.values()].reduce((sum, all) => sum + all.size, waiting.length),
    stop() {
      clearInterval(timer);
      record.close();
    },
  };
}

function draftOf({ taken: { id, phone, from }, word }: Receipt): Draft {
  const minute = new Date().toISOString().replaceAll(/\D/g, "").slice(2, 12);
  const { code, state } = WORDS[word];
  const text =
    `id:${id} sub:001 dlvrd:${word === "DELIVRD" ? "001" : "000"} submit date:${minute} ` +
    `done date:${minute} stat:${word} err:${code} text:`;
  return message({
    command: COMMAND.deliverSm,
    serviceType: "",
    sourceTon: 1,
    sourceNpi: 1,
    sourceAddr: phone.slice(1),
    destTon: from.sourceTon,
    destNpi: from.sourceNpi,
    destAddr: from.sourceAddr,
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
