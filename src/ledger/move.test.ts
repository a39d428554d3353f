// The text of the statements that write `messages`: what they set, and which rows they leave unchanged.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { allowSlowRuns, holds } from "../../test/support/seed.ts";
import { ACCEPTED, STATUSES, canMove } from "../core/message.ts";
import type { LaneRecord } from "../core/lane-record.ts";
import {
  ANY_OPERATOR,
  type Change,
  changesSql,
  moveSql,
  rescheduleSql,
  reservingMoveSql,
  statusRow,
  storeSql,
} from "./move.ts";
import { changeTo } from "./settle-plan.ts";

allowSlowRuns();

const AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 6);
const AT = "'2026-01-02 03:04:05.006'";
const record = (id: string, fields: Partial<LaneRecord> = {}): LaneRecord => ({
  id,
  customerId: 9,
  phone: "+989121234567",
  text: "it's",
  from: null,
  reference: null,
  lane: "normal",
  encoding: "gsm7",
  parts: 1,
  cost: 500,
  createdAtMs: AT_MS,
  attempt: 0,
  guaranteedByMs: null,
  validUntilMs: null,
  traceparent: "",
  ...fields,
});
const sent: Change = {
  record: record("a"),
  from: "sending",
  to: "sent",
  takenAtMs: 1,
  operator: "A",
  operatorMessageIds: ["a1"],
  reason: null,
};

const UPDATE = "UPDATE messages FORCE INDEX (PRIMARY)";

/** Up to updated_at. */
const PLAIN_COLUMNS = 16;
/** What an INSERT gives each row, by column; no value has a comma. */
function storedRows(sql: string): Record<string, string>[] {
  const [, columns = "", values = ""] = /^INSERT INTO \w+ \((.*?)\) VALUES \((.*)\)$/.exec(sql) ?? [];
  const names = columns.split(",");
  return values.split("),(").map((row) => {
    const each = row.split(",");
    expect(each).toHaveLength(names.length);
    return Object.fromEntries(names.map((name, at) => [name, each[at] as string]));
  });
}

test("a move changes only rows at its status and attempt, and sets the sequence of the status it leads to", () => {
  expect(moveSql({ from: "queued", to: "sending" }, 2, ["a", "b"], AT_MS)).toBe(
    `${UPDATE} SET status='sending',sequence=14,updated_at=${AT} ` +
      "WHERE id IN ('a','b') AND status='queued' AND attempt=2",
  );
});

test("a message is queued again under its next attempt, which no other move changes", () => {
  for (const from of ["queued", "sending"] as const)
    expect(moveSql({ from, to: "queued" }, 2, ["a"], AT_MS)).toBe(
      `${UPDATE} SET status='queued',attempt=3,sequence=19,updated_at=${AT} ` +
        `WHERE id IN ('a') AND status='${from}' AND attempt=2`,
    );
  expect(moveSql({ from: "scheduled", to: "queued" }, 0, ["a"], AT_MS)).not.toContain("SET attempt");
});

test("no statement is made for a move that the machine doesn't have", () => {
  for (const from of STATUSES) {
    for (const to of STATUSES) {
      const make = () => moveSql({ from, to }, 0, ["a"], AT_MS);
      if (canMove(from, to)) expect(make()).toContain(`status='${to}'`);
      else expect(make).toThrow(`${from} never becomes ${to}`);
    }
  }
  expect(() => changesSql([{ ...sent, from: "failed" }], AT_MS)).toThrow("failed never becomes sent");
});

test("a claim that reserves changes only unreserved messages, and no other move reserves", () => {
  const reserve = (from: Change["from"], to: Change["to"]) =>
    reservingMoveSql({ from, to }, 1, ["a", "b"], AT_MS);
  expect(reserve("queued", "sending")).toBe(
    `${UPDATE} SET unreserved=FALSE,status='sending',sequence=8,updated_at=${AT} ` +
      "WHERE id IN ('a','b') AND status='queued' AND attempt=1 AND unreserved=TRUE",
  );
  for (const from of STATUSES)
    for (const to of STATUSES)
      if (from !== "queued" || to !== "sending") expect(() => reserve(from, to)).toThrow();
  expect(() => reserve("queued", "failed")).toThrow("queued to failed reserves nothing");
});

test("values equal for all messages become constants; columns without a value stay unchanged", () => {
  const lost: Change = { ...sent, to: "unknown", operatorMessageIds: [], reason: "A: it's late\n" };
  expect(changesSql([lost, { ...lost, record: record("b") }], AT_MS)).toBe(
    `${UPDATE} SET operator=_ascii'A',operator_message_id=operator_message_id,` +
      `last_error=_ascii'A: it\\'s late?',settle_room='',status='unknown',sequence=3,updated_at=${AT} ` +
      "WHERE id IN ('a','b') AND status='sending' AND attempt=0",
  );
  const nobody: Change = { ...lost, to: "failed", operator: null, reason: "x".repeat(101) };
  expect(changesSql([nobody], AT_MS)).toBe(
    `${UPDATE} SET operator=operator,operator_message_id=operator_message_id,` +
      `last_error=_ascii'${"x".repeat(100)}',settle_room='',status='failed',sequence=5,` +
      `updated_at=${AT} WHERE id IN ('a') AND status='sending' AND attempt=0`,
  );
  expect(changesSql([sent], AT_MS)).toContain("operator_message_id=_ascii'a1',last_error=NULL,");
});

test("a sealed code is stored with its message, and goes once the message can't be submitted again", () => {
  const sealed = record("a", { sealedCode: "s" });
  expect(storeSql([sealed, record("b")], "queued")).toMatch(/,sealed_code\) VALUES \(.*,'s'\),\(.*,NULL\)$/);
  expect(storeSql([record("b")], "queued")).not.toContain("sealed_code");
  for (const to of ["sent", "unknown", "failed", "expired", "delivered"] as const)
    expect(changesSql([{ ...sent, to, record: sealed }], AT_MS)).toContain(",sealed_code=NULL,status=");
  expect(changesSql([sent, { ...sent, record: sealed }], AT_MS)).toContain(",sealed_code=NULL,status=");
  expect(changesSql([{ ...sent, to: "queued", record: sealed }], AT_MS)).not.toContain("sealed_code");
  expect(changesSql([sent], AT_MS)).not.toContain("sealed_code");
});

test("when an operator took express is stored with it, and with nothing else", () => {
  const express = record("a", { lane: "express", guaranteedByMs: 2 });
  const set = (...changes: Change[]) => /taken_at=.*?,(?=status)/.exec(changesSql(changes, AT_MS))?.[0];
  expect(set({ ...sent, record: express, takenAtMs: AT_MS })).toBe(`taken_at=${AT},`);
  expect(set({ ...sent, takenAtMs: AT_MS })).toBeUndefined();
  // A report on what was taken before leaves it as it is.
  expect(set({ ...sent, from: "sent", to: "delivered", record: express, takenAtMs: null })).toBeUndefined();
  const normal = { ...sent, record: record("b"), takenAtMs: AT_MS };
  expect(set({ ...sent, record: express, takenAtMs: AT_MS }, normal)).toBe(
    `taken_at=CASE id WHEN _ascii'a' THEN ${AT} ELSE taken_at END,`,
  );
});

test("values that differ between messages are chosen by id, under the same guard", () => {
  const other = { ...sent, record: record("b"), operatorMessageIds: [], operator: null, reason: "é" };
  expect(changesSql([sent, other], AT_MS)).toBe(
    `${UPDATE} SET operator=CASE id WHEN _ascii'a' THEN _ascii'A' ELSE operator END,` +
      "operator_message_id=CASE id WHEN _ascii'a' THEN _ascii'a1' ELSE operator_message_id END," +
      "last_error=CASE id WHEN _ascii'b' THEN _ascii'?' ELSE NULL END,settle_room=''," +
      `status='sent',sequence=4,updated_at=${AT} WHERE id IN ('a','b') AND status='sending' AND attempt=0`,
  );
});

test("an accepted message is stored with its status, its sequence and all its fields", () => {
  const times = { guaranteedByMs: AT_MS, validUntilMs: AT_MS };
  const express = record("b", { lane: "express", from: "shop", reference: "r", ...times });
  expect(storeSql([record("a"), express], "queued")).toBe(
    "INSERT INTO messages (id,customer_id,lane,status,sequence,phone,text,sender,reference,encoding,parts," +
      "cost,guaranteed_by,valid_until,created_at,updated_at) VALUES " +
      `('a',9,'normal','queued',1,'+989121234567','it\\'s',NULL,NULL,'gsm7',1,500,NULL,NULL,${AT},${AT}),` +
      `('b',9,'express','queued',1,'+989121234567','it\\'s','shop','r','gsm7',1,500,${AT},${AT},${AT},${AT})`,
  );
});

test("what few messages have are columns only if one of them has it, and empty for the others", () => {
  const url = "https://a.test/?it's";
  const told = record("b", { callback: { url, statuses: 18 } });
  const peer = record("c", { callback: { url: null, statuses: 16, form: "f" }, unreserved: true });
  const [columns, values] = storeSql([record("a"), told, peer], "queued").split(") VALUES ");
  expect(columns).toEndWith(",created_at,updated_at,callback_statuses,callback_url,callback_form,unreserved");
  expect(values?.split("),(").map((row) => row.slice(row.indexOf(AT)))).toEqual([
    `${AT},${AT},NULL,NULL,NULL,false`,
    `${AT},${AT},18,'https://a.test/?it\\'s',NULL,false`,
    `${AT},${AT},16,NULL,'f',true)`,
  ]);
});

test("whatever messages have, each value stands in its column, and no column is there for nothing", () => {
  const callback = {
    url: fc.constantFrom(null, "u", "v"),
    statuses: fc.nat(9),
    form: fc.constantFrom("f", "g"),
  };
  const rare = {
    callback: fc.record(callback, { requiredKeys: ["url", "statuses"] }),
    sealedCode: fc.constantFrom("s", "t"),
    unreserved: fc.constant(true as const),
  };
  const messages = fc
    .array(fc.record(rare, { requiredKeys: [] }), { minLength: 1, maxLength: 3 })
    .map((drawn) => drawn.map((fields, at) => record(String(at), { sendAtMs: AT_MS, ...fields })));
  const text = (value: string | null | undefined) => (typeof value === "string" ? `'${value}'` : "NULL");
  holds("stored columns", fc.tuple(messages, fc.constantFrom(...ACCEPTED)), ([all, status]) => {
    const some = (has: (one: LaneRecord) => boolean, ...columns: string[]) => (all.some(has) ? columns : []);
    const rows = storedRows(storeSql(all, status));
    expect(rows.map((row) => Object.keys(row).slice(PLAIN_COLUMNS))).toEqual(
      all.map(() => [
        ...some((one) => one.callback !== undefined, "callback_statuses", "callback_url"),
        ...some((one) => one.callback?.form !== undefined, "callback_form"),
        ...(status === "scheduled" ? ["send_at"] : []),
        ...some((one) => one.sealedCode !== undefined, "sealed_code"),
        ...some((one) => one.unreserved === true, "unreserved"),
      ]),
    );
    for (const [at, row] of rows.entries()) {
      const one = all[at] as LaneRecord;
      const absent = { callback_statuses: "NULL", callback_url: "NULL", callback_form: "NULL" };
      expect({ ...absent, send_at: AT, sealed_code: "NULL", unreserved: "false", ...row }).toMatchObject({
        id: text(one.id),
        status: text(status),
        callback_statuses: String(one.callback?.statuses ?? "NULL"),
        callback_url: text(one.callback?.url),
        callback_form: text(one.callback?.form),
        send_at: AT,
        sealed_code: text(one.sealedCode),
        unreserved: String(one.unreserved === true),
      });
    }
  });
});

test("a message that is to be sent later is stored with its time, and is put off with all that counts from it", () => {
  const later = record("a", { sendAtMs: AT_MS + 1_000, validUntilMs: AT_MS + 3_000 });
  const sql = storeSql([later], "scheduled");
  expect(sql).toContain("created_at,updated_at,send_at) VALUES ('a',9,'normal','scheduled',0,");
  expect(sql).toEndWith(`NULL,'2026-01-02 03:04:08.006',${AT},${AT},'2026-01-02 03:04:06.006')`);
  expect(rescheduleSql(later, AT_MS + 60_000)).toBe(
    `${UPDATE} SET send_at='2026-01-02 03:05:05.006',guaranteed_by=NULL,` +
      "valid_until='2026-01-02 03:05:07.006' WHERE id='a' AND status='scheduled'",
  );
});

test("a message whose time has come keeps the room for what its settlement writes; a canceled one gives it up", () => {
  const of = (to: Change["to"]) => changeTo(to, record("a"), "scheduled", null);
  const guard = "WHERE id IN ('a') AND status='scheduled' AND attempt=0";
  expect(changesSql([of("queued")], AT_MS)).toBe(
    `${UPDATE} SET status='queued',sequence=1,updated_at=${AT} ${guard}`,
  );
  expect(changesSql([of("canceled")], AT_MS)).toBe(
    `${UPDATE} SET operator=operator,operator_message_id=operator_message_id,last_error=NULL,` +
      `settle_room='',status='canceled',sequence=5,updated_at=${AT} ${guard}`,
  );
});

test("a message that is queued again says why, and has used up its room", () => {
  const again: Change = { ...sent, to: "queued", operatorMessageIds: [], reason: "A: busy" };
  expect(changesSql([again], AT_MS)).toBe(
    `${UPDATE} SET operator=_ascii'A',operator_message_id=operator_message_id,last_error=_ascii'A: busy',` +
      `settle_room='',status='queued',attempt=1,sequence=7,updated_at=${AT} ` +
      "WHERE id IN ('a') AND status='sending' AND attempt=0",
  );
});

test("an event has the status, attempt and sequence to which its message moved, and its operator", () => {
  const of = record("a", { reference: "r", parts: 2, lane: "express" });
  const row = {
    id: "a",
    customerId: 9,
    phone: "+989121234567",
    lane: "express",
    status: "queued",
    parts: 2,
    cost: 500,
    reference: "r",
    operator: null,
    operatorMessageId: null,
    attempt: 3,
    sequence: 19,
    createdAtMs: AT_MS,
    updatedAtMs: 7,
  } as const;
  expect(statusRow(of, { to: "queued", attempt: 3, atMs: 7 })).toEqual(row);
  expect(statusRow(of, { to: "queued", attempt: 3, atMs: 7 }, sent)).toEqual({
    ...row,
    operator: "A",
    operatorMessageId: "a1",
  });
  expect(statusRow(of, { to: "queued", attempt: 3, atMs: 7 }, sent)).not.toHaveProperty("why");
});

test("an event says why, and which operators refused first, in what its record has room for", () => {
  const refusals = [{ operator: "A", error: `\n${"x".repeat(100)}`, atMs: 5 }];
  const at = { to: "sent", attempt: 0, atMs: 7 } as const;
  expect(statusRow(record("a"), at, { ...sent, operator: "B", refusals }).why).toEqual({
    error: null,
    refusals: [{ operator: "A", error: `?${"x".repeat(59)}`, atMs: 5 }],
  });
  expect(statusRow(record("a"), at, { ...sent, reason: "y".repeat(101) }).why).toEqual({
    error: "y".repeat(100),
    refusals: [],
  });
});

test("the event of a claimed message says what passed before it, as far as anybody knows", () => {
  const at = { to: "sent", attempt: 0, atMs: 7 } as const;
  const passed = (fields: Partial<LaneRecord>, takenAtMs: number | null) =>
    statusRow(record("a", fields), at, { ...sent, claimedAtMs: 4, takenAtMs }).passed;
  expect(passed({ relayedAtMs: 3 }, 5)).toStrictEqual({ relayedAtMs: 3, claimedAtMs: 4, takenAtMs: 5 });
  expect(passed({}, 0)).toStrictEqual({ claimedAtMs: 4, takenAtMs: 0 });
  expect(passed({ relayedAtMs: 0 }, null)).toStrictEqual({ relayedAtMs: 0, claimedAtMs: 4 });
  expect(statusRow(record("a", { relayedAtMs: 3 }), at, sent)).not.toHaveProperty("passed");
});

test("the event of a message that nothing is reserved for says so", () => {
  const at = { to: "queued", attempt: 0, atMs: 7 } as const;
  expect(statusRow(record("a", { unreserved: true }), at).unreserved).toBe(true);
  expect(statusRow(record("a"), at)).not.toHaveProperty("unreserved");
});

test("the operator that nobody knows is stored under an empty name, as it always was", () => {
  expect(ANY_OPERATOR).toBe("");
});
