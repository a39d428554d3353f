// The SMPP connector against a server that isn't ours, npm `smpp`: messages arrive there as they were
// written, with the operator's own optional parameters, and its receipts arrive here.

import { expect, test } from "bun:test";
import { until } from "../../../test/support/smpp-peer.ts";
import { type NpmPdu, type NpmSession, npmSmpp } from "../../../test/support/npm-smpp.ts";
import { laneRecord, LEFT_MS, smppOperator } from "../../../test/support/smpp-operator.ts";
import { decodeDeliver, TAG } from "../../platform/smpp/pdu.ts";
import type { Answer } from "./connector.ts";
import { createSmppConnector } from "./smpp.ts";

const TEXTS = [
  "plain text, 1 part",
  "@_$ and €{}[]~\\| in GSM-7",
  "سلام دنیا، این یک پیام است",
  "😀".repeat(40),
  `${"a€".repeat(200)}`,
  "سلام ".repeat(60),
];

test("messages of one part and of many arrive as they were written, and each submit has its receipt", async () => {
  const inbox = new Map<string, string[]>();
  const sessions: NpmSession[] = [];
  const parameters: string[] = [];
  let last = 0;
  const server = npmSmpp.createServer((session) => {
    sessions.push(session);
    session.on("error", () => undefined);
    session.on("bind_transceiver", (pdu: NpmPdu) => session.send(pdu.response({ system_id: "npm" })));
    session.on("unbind", (pdu: NpmPdu) => session.send(pdu.response()));
    session.on("enquire_link", (pdu: NpmPdu) => session.send(pdu.response()));
    session.on("submit_sm", (pdu: NpmPdu) => {
      const id = `n${++last}`;
      session.send(pdu.response({ message_id: id }));
      // What it doesn't know by name it has under the tag.
      parameters.push([5120, 5121].map((tag) => (pdu[tag] as Buffer).toString("latin1")).join(" "));
      const { message, udh } = pdu.short_message as { message: string; udh?: Buffer[] };
      const [, , part = 1] = udh?.[0]?.subarray(2) ?? [];
      const parts = inbox.get(String(pdu.destination_addr)) ?? [];
      parts[part - 1] = message;
      inbox.set(String(pdu.destination_addr), parts);
      const receipt = { esm_class: 4, receipted_message_id: id, message_state: 2 };
      session.deliver_sm({ ...receipt, short_message: Buffer.from(`id:${id} stat:DELIVRD`) }, (answer) => {
        if (answer.command_status === 0) acknowledged++;
      });
    });
  });
  let acknowledged = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const delivered: string[] = [];
  const connector = createSmppConnector(
    smppOperator({
      port: server.address().port,
      binds: 2,
      tlvs: [
        { tag: 0x1400, type: "octets", value: "1101234567890123456" },
        { tag: 0x1401, type: "cstring", value: "{from}" },
      ],
    }),
    () => undefined,
    {
      onBinds: () => undefined,
      now: Date.now,
      onUnexpected: () => undefined,
      onNote: () => undefined,
      onDeliver(pdu) {
        const id = decodeDeliver(pdu).tlvs.find(([tag]) => tag === TAG.receiptedMessageId)?.[1];
        delivered.push(
          Buffer.from(id ?? [])
            .toString("latin1")
            .replace("\0", ""),
        );
        return Promise.resolve(true);
      },
    },
  );
  try {
    const ids: string[] = [];
    const answers = TEXTS.map(
      (text, i) =>
        new Promise<Answer>((resolve) =>
          connector.submit(laneRecord(text, { phone: `+9891200000${i}0`, from: "Shop" }), resolve, LEFT_MS),
        ),
    );
    for (const answer of await Promise.all(answers)) {
      if (answer.kind !== "accepted") throw new Error(JSON.stringify(answer));
      ids.push(...answer.operatorMessageIds);
    }
    expect(TEXTS.map((_, i) => inbox.get(`9891200000${i}0`)?.join(""))).toEqual(TEXTS);
    await until(() => acknowledged === last);
    expect(new Set(delivered)).toEqual(new Set(ids));
    expect(ids).toHaveLength(last);
    expect(parameters).toEqual(ids.map(() => "1101234567890123456 Shop\0"));
  } finally {
    await connector.close();
    for (const session of sessions) session.close();
    server.close();
  }
});
