// The simulated operator's SMPP port, used by the connector over real connections.

import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { laneRecord, LEFT_MS, smppOperator } from "../../test/support/smpp-operator.ts";
import { until } from "../../test/support/smpp-peer.ts";
import type { Answer } from "../operators/connectors/connector.ts";
import { createSmppConnector, type SmppOperator } from "../operators/connectors/smpp.ts";
import { WAITS } from "../platform/smpp/binds.ts";
import { readReport } from "../operators/reports/read.ts";
import { DEFAULT_TERMS } from "../operators/reports/report.ts";
import { ALL_DELIVERED, PROFILES, type Profile } from "./operator-behaviour.ts";
import { SMPP_PASSWORD, startSmppOperator } from "./operator-smpp.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function start(profile: Profile, settings: Partial<SmppOperator> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "operator-smpp-"));
  const own = { name: "B", host: "127.0.0.1", port: 0, folder };
  let behaves = profile;
  let operator = await startSmppOperator({ ...own, profile: () => behaves });
  const { port } = operator;
  const reports: { id: string; status: string }[] = [];
  const notes: string[] = [];
  let isStoring = true;
  const connector = createSmppConnector(
    smppOperator({ port: operator.port, password: SMPP_PASSWORD, binds: 2, bind_window: 50, ...settings }),
    () => undefined,
    {
      onDeliver(pdu) {
        if (!isStoring) return Promise.resolve(false);
        const raw = { operator: "B", receivedAtMs: Date.now(), via: "smpp", pdu } as const;
        for (const { operatorMessageIds, status } of readReport(raw, { ...DEFAULT_TERMS, shape: "smpp" }))
          reports.push({ id: operatorMessageIds[0] ?? "", status });
        return Promise.resolve(true);
      },
      onBinds: () => undefined,
      now: Date.now,
      onUnexpected: () => undefined,
      onNote: ({ text }) => void notes.push(text),
    },
    { ...WAITS, link: { firstMs: 40, mostMs: 40 } },
  );
  ends.push(
    () => connector.close(),
    () => operator.stop(),
    () => rmSync(folder, { recursive: true }),
  );
  const submit = (text: string, phone = "+989121234567") =>
    new Promise<Answer>((resolve) => connector.submit(laneRecord(text, { phone }), resolve, LEFT_MS));
  const logOf = (name: string) =>
    readFileSync(join(folder, `${name}.log`), "latin1")
      .split("\n")
      .slice(0, -1);
  const log = () => logOf("B.smpp");
  return {
    submit,
    log,
    tlvs: () => logOf("B.smpp-tlvs"),
    reports,
    notes,
    store: (is: boolean) => void (isStoring = is),
    behave: (next: Profile) => void (behaves = next),
    cut: () => operator.cut(),
    async restart() {
      await operator.stop();
      operator = await startSmppOperator({ ...own, port, profile: () => behaves });
    },
  };
}

const idsOf = (answer: Answer) => (answer.kind === "accepted" ? answer.operatorMessageIds : []);

test("what it accepts is in its log part by part, and each submit gets its receipt", async () => {
  const { submit, log, reports } = await start(PROFILES.fast);
  const ids = [...idsOf(await submit("hi")), ...idsOf(await submit("a".repeat(320)))];
  const cut = ["a".repeat(40), "a".repeat(40), "a".repeat(320 - 2 * 153)];
  const parts = ["1/1 hi", ...cut.map((text, i) => `${i + 1}/3 ${text}`)];
  expect(log()).toEqual(parts.map((part, i) => `${ids[i]} +989121234567 ${part}`));
  await until(() => reports.length === 4);
  expect(new Set(reports.map(({ id }) => id))).toEqual(new Set(ids));
  expect(reports.every(({ status }) => status === "delivered")).toBe(true);
});

test("phones have fixed answers and ends", async () => {
  const { submit, reports } = await start(PROFILES.fast);
  expect(await submit("hi", "+989129990001")).toMatchObject({ kind: "refused", permanent: true });
  expect((await submit("hi", "+989129990002")).kind).toBe("accepted");
  expect((await submit("hi", "+989129990003")).kind).toBe("lost");
  const none = idsOf(await submit("hi", "+989129990007"));
  const undelivered = idsOf(await submit("hi", "+989129990005"));
  const expired = idsOf(await submit("hi", "+989129990006"));
  const statusOf = ([id]: readonly string[]) => reports.find((report) => report.id === id)?.status;
  expect(await until(() => statusOf(undelivered))).toBe("undelivered");
  expect(await until(() => statusOf(expired))).toBe("expired");
  expect(statusOf(none)).toBeUndefined();
});

test("a receipt that isn't stored comes again", async () => {
  const { submit, reports, store } = await start(PROFILES.fast);
  store(false);
  const ids = idsOf(await submit("hi"));
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  store(true);
  await until(() => reports.length === 1);
  expect(reports[0]?.id).toBe(ids[0] as string);
}, 15_000);

test("a receipt that was not acknowledged before a restart comes after it", async () => {
  const { submit, reports, store, restart } = await start(PROFILES.fast);
  store(false);
  const ids = idsOf(await submit("hi"));
  await restart();
  store(true);
  await until(() => reports.length === 1);
  expect(reports[0]).toEqual({ id: ids[0] as string, status: "delivered" });
}, 15_000);

test("receipts come as it was told: twice, with an intermediate one after the final one, or not at all", async () => {
  const told = (reports: Partial<typeof ALL_DELIVERED> | null): Profile => ({
    ...PROFILES.fast,
    reports: reports && { ...ALL_DELIVERED, ...reports },
    reportAfterMs: [0, 0],
  });
  const { submit, reports, behave } = await start(told({ undelivered: 1, duplicate: 1, reordered: 1 }));
  await submit("hi");
  await until(() => reports.length === 3);
  expect(reports.map(({ status }) => status).toSorted()).toEqual(["none", "undelivered", "undelivered"]);
  expect(reports[0]?.status).toBe("undelivered");
  for (const nothing of [told({ lost: 1 }), told(null)]) {
    behave(nothing);
    await submit("hi");
  }
  behave(told({}));
  const [last] = idsOf(await submit("hi"));
  await until(() => reports.length === 4);
  expect(reports[3]).toEqual({ id: last as string, status: "delivered" });
}, 15_000);

test("optional parameters that SMPP doesn't name are in a log of their own, of each submit that has some", async () => {
  const { submit, tlvs } = await start(PROFILES.fast, {
    split: "sar",
    tlvs: [
      { tag: 0x1400, type: "octets", value: "12" },
      { tag: 0x1401, type: "uint16", value: 1 },
    ],
  });
  const ids = [...idsOf(await submit("hi")), ...idsOf(await submit("a".repeat(161)))];
  expect(ids).toHaveLength(3);
  expect(tlvs().toSorted()).toEqual(ids.map((id) => `${id} 0x1400=3132 0x1401=0001`).toSorted());
});

test("all links cut with a window of submits outstanding: each is lost, though some were taken; then they are back", async () => {
  const { submit, log, cut, behave, reports } = await start({ ...PROFILES.fast, delayMs: [1_500, 1_500] });
  const answers = Array.from({ length: 60 }, (_, i) => submit("hi", `+98912${String(i).padStart(7, "0")}`));
  await until(() => log().length === 60);
  cut();
  const kinds = (await Promise.all(answers)).map(({ kind }) => kind);
  expect(new Set(kinds)).toEqual(new Set(["lost"]));
  behave(PROFILES.fast);
  await until(() => reports.length === 60); // on the new links
  expect((await submit("hi")).kind).toBe("accepted");
}, 15_000);

test("a wrong password is refused", async () => {
  const { notes } = await start(PROFILES.fast, { password: "wrong" });
  expect(await until(() => notes[0])).toContain("RINVPASWD");
});

test("throttling and refusing profiles refuse for now", async () => {
  const throttling = await start(PROFILES.throttling);
  const answers = await Promise.all(Array.from({ length: 80 }, () => throttling.submit("hi")));
  expect(answers.some(({ kind }) => kind === "accepted")).toBe(true);
  expect(answers.filter(({ kind }) => kind === "refused").length).toBeGreaterThan(0);
  const refusing = await start(PROFILES.refusing);
  expect(await refusing.submit("hi")).toMatchObject({ kind: "refused", permanent: false });
});

test("links that are cut in mid-window: what is accepted was taken, what was not sent or refused was not", async () => {
  const { submit, log, reports, notes } = await start({ ...PROFILES.drops, drops: 0.01 });
  const answers: Answer[] = [];
  // Links that were cut before their first answer are not waited for: each answers some first.
  for (let i = 0; i < 5; i++)
    answers.push(...(await Promise.all([1, 2].map((n) => submit("hi", `+98913000000${n}`)))));
  await Promise.all(
    Array.from({ length: 40 }, async (_, n) => {
      for (let i = 0; i < 25; i++)
        answers.push(await submit("hi", `+98912${String(n * 25 + i).padStart(7, "0")}`));
    }),
  );
  const count = (kind: Answer["kind"]) => answers.filter((answer) => answer.kind === kind).length;
  const taken = new Set(log().map((line) => line.split(" ")[0]));
  for (const id of answers.flatMap(idsOf)) expect(taken.has(id)).toBe(true);
  expect(notes.some((text) => text.includes("closed"))).toBe(true);
  expect(count("lost")).toBeGreaterThan(0);
  expect(taken.size).toBeLessThanOrEqual(count("accepted") + count("lost"));
  // Every taken one is reported on, whether or not its answer was lost.
  await until(() => new Set(reports.map(({ id }) => id)).size === taken.size);
});
