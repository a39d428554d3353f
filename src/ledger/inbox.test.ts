// Batching and bounds of the inbox, on writes that the test ends itself; the real table: test/integration/.

import { expect, test } from "bun:test";
import { SluiceError } from "../core/errors.ts";
import { INBOX_ROW_REPORTS_MAX, INBOX_WAITING_BYTES_MAX, REPORT_BYTES_MAX } from "../core/limits.ts";
import type { RawReport } from "../core/raw-report.ts";
import type { WriteResult } from "../platform/mysql.ts";
import { createInbox } from "./inbox.ts";

const report = (bytes = 1): RawReport => ({
  operator: "A",
  receivedAtMs: 0,
  via: "smpp",
  pdu: new Uint8Array(bytes),
});

function scripted() {
  const writes: PromiseWithResolvers<WriteResult>[] = [];
  const write = () => {
    const one = Promise.withResolvers<WriteResult>();
    writes.push(one);
    return one.promise;
  };
  let nowMs = 0; // an hour further at each look, so that no row waits for the one before
  return { writes, inbox: createInbox({ write }, () => (nowMs += 3_600_000)) };
}
const done = { affectedRows: 1, insertId: 1, info: "" };
const settled = async (promise: Promise<void>) => {
  await Bun.sleep(1);
  return Bun.peek.status(promise);
};

test("a report is stored only once its row is, and those that came meanwhile share the next row", async () => {
  const { writes, inbox } = scripted();
  const first = inbox.store(report());
  const others = Array.from({ length: INBOX_ROW_REPORTS_MAX + 1 }, () => inbox.store(report()));
  expect(await settled(first)).toBe("pending");
  writes[0]?.resolve(done);
  await first;
  expect(await settled(others[0] as Promise<void>)).toBe("pending");
  expect(writes).toHaveLength(2);
  writes[1]?.resolve(done);
  await others[INBOX_ROW_REPORTS_MAX - 1];
  expect(await settled(others[INBOX_ROW_REPORTS_MAX] as Promise<void>)).toBe("pending");
});

test("a write that fails rejects the reports of its row, and no others", async () => {
  const { writes, inbox } = scripted();
  const first = inbox.store(report());
  const second = inbox.store(report());
  writes[0]?.reject(new Error("away"));
  expect(await first.catch((error: Error) => error.message)).toBe("away");
  expect(await settled(second)).toBe("pending");
  writes[1]?.resolve(done);
  await second;
});

test("more bytes than may wait are refused as overloaded", async () => {
  const { inbox } = scripted();
  void inbox.store(report());
  for (let bytes = 0; bytes < INBOX_WAITING_BYTES_MAX; bytes += REPORT_BYTES_MAX)
    void inbox.store(report(REPORT_BYTES_MAX));
  const refused = await inbox.store(report()).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(SluiceError);
  expect((refused as SluiceError).code).toBe("overloaded");
});
