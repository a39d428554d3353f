// What an operator's answer means, by the usual rules and by those of national providers.

import { describe, expect, test } from "bun:test";
import { type AnswerSettings, compileAnswer, OWN_ANSWER } from "./http-answer.ts";

function reader(settings: AnswerSettings, secrets: readonly string[] = []) {
  const warned: string[] = [];
  const read = compileAnswer(settings, { secrets, warn: (reason) => void warned.push(reason) });
  return { read, warned };
}
const accepted = (...operatorMessageIds: string[]) => ({ kind: "accepted", operatorMessageIds });
const refused = (permanent: boolean, reason: string) => ({ kind: "refused", permanent, reason });

describe("an entry that says nothing", () => {
  const { read } = reader(OWN_ANSWER);

  test("200 with an id is accepted; 200 without a usable one is lost, because it may have been accepted", () => {
    expect(read(200, '{"operator_message_id":"a-1"}')).toEqual(accepted("a-1") as never);
    expect(read(200, '{"operator_message_id":7}')).toEqual(accepted("7") as never);
    const long = read(200, JSON.stringify({ operator_message_id: "x".repeat(300) }));
    expect(long).toEqual(accepted("x".repeat(255)) as never);
    const without = ["", "null", "[]", "{}", '{"operator_message_id":{}}', '{"operator_message_id":"a b"}'];
    for (const body of without)
      expect(read(200, body)).toEqual({ kind: "lost", reason: "200 without an id" });
  });

  test("a refusal says whether it is for good; if it doesn't, 429 and 503 are for now", () => {
    expect(read(503, '{"code":"busy","permanent":true}')).toEqual(refused(true, "503 busy") as never);
    expect(read(503, '{"code":"busy","permanent":false}')).toEqual(refused(false, "503 busy") as never);
    expect(read(503, "")).toEqual(refused(false, "503 refused") as never);
    expect(read(429, "not json")).toEqual(refused(false, "429 refused") as never);
    expect(read(429, '{"permanent":true}')).toEqual(refused(true, "429 refused") as never);
    expect(read(400, '{"code":"number_refused"}')).toEqual(refused(true, "400 number_refused") as never);
    expect(read(400, '{"permanent":false}')).toEqual(refused(false, "400 refused") as never);
  });

  test("any other status leaves open whether the message was accepted", () => {
    for (const status of [100, 201, 204, 301, 302, 307, 500, 502, 504])
      expect(read(status, '{"operator_message_id":"a-1"}')).toEqual({
        kind: "lost",
        reason: `status ${status}`,
      });
  });
});

describe("rules", () => {
  test("the first that fits decides; none leaves the message lost", () => {
    const { read } = reader({
      id: "id",
      rules: [
        { status: 200, field: "error", is: [0], means: "accepted" },
        { status: 200, field: "error", is: [5, "busy"], means: "later" },
        { status: 200, field: "error", matches: "^[67]", means: "for_good" },
        { field: "error", means: "perhaps_taken" },
      ],
    });
    expect(read(200, '{"error":0,"id":"x"}')).toEqual(accepted("x") as never);
    expect(read(200, '{"error":"0","id":"x"}')).toEqual(accepted("x") as never);
    expect(read(200, '{"error":"busy"}')).toEqual(refused(false, "200 refused") as never);
    expect(read(200, '{"error":6}')).toEqual(refused(true, "200 refused") as never);
    expect(read(200, '{"error":9}')).toEqual({ kind: "lost", reason: "200 refused, perhaps taken" });
    for (const body of ['{"id":"x"}', '{"error":null}', '{"error":[0]}', "<html>", '{"error":0'])
      expect(read(200, body)).toEqual({ kind: "lost", reason: "status 200" });
  });

  test("a number is an id as it is written, of any size and form", () => {
    const { read } = reader({ id: "a.id", rules: [{ status: 200, means: "accepted" }] });
    for (const id of ["9007199254740993", "123456789012345678901234567890", "-7", "1.0", "1e3", "0"])
      expect(read(200, `{"a":{"id":${id}}}`)).toEqual(accepted(id) as never);
  });

  test("of several parts with one answer each, all must be accepted; a mixture is lost", () => {
    const { read } = reader({
      id: "messages.*.message-id",
      reason: "messages.*.error-text",
      rules: [
        { status: 200, field: "messages.*.status", is: ["0"], means: "accepted" },
        { status: 200, field: "messages.*.status", is: ["1"], means: "later" },
      ],
    });
    const answer = (...statuses: string[]) =>
      JSON.stringify({
        messages: statuses.map((status, n) => ({ status, "message-id": `m${n}`, "error-text": "Throttled" })),
      });
    expect(read(200, answer("0", "0"))).toEqual(accepted("m0", "m1") as never);
    expect(read(200, answer("1"))).toEqual(refused(false, "200 Throttled") as never);
    expect(read(200, answer("0", "1")).kind).toBe("lost");
    expect(read(200, answer()).kind).toBe("lost");
    expect(read(200, answer(...Array<string>(41).fill("0"))).kind).toBe("lost");
    // Where a single part is no list.
    const one = '{"messages":{"status":"0","message-id":"only"}}';
    expect(read(200, one)).toEqual(accepted("only") as never);
  });

  test("an answer that is no JSON is read by expressions", () => {
    const { read } = reader({
      id: { matches: "<id>(\\d+)</id>|^OK:(\\S+)$" },
      reason: { matches: "<error>(.*?)</error>" },
      rules: [
        { status: 200, matches: "<id>|^OK", means: "accepted" },
        { status: 200, is: ["BUSY"], means: "later" },
        { matches: "<error>", means: "for_good" },
      ],
    });
    expect(read(200, "<r><id>9007199254740993</id></r>")).toEqual(accepted("9007199254740993") as never);
    expect(read(200, "OK:ab-1")).toEqual(accepted("ab-1") as never);
    expect(read(200, "OK:")).toEqual({ kind: "lost", reason: "200 without an id" });
    expect(read(200, "BUSY\r\n")).toEqual(refused(false, "200 refused") as never);
    expect(read(500, "<error>no such number</error>")).toEqual(refused(true, "500 no such number") as never);
  });

  test("an operator that gives no ids is believed without", () => {
    const { read } = reader({ rules: [{ status: 204, means: "accepted" }] });
    expect(read(204, "")).toEqual(accepted("") as never);
  });

  test("a refusal that is not the message's fault is refused for now, and someone is told", () => {
    const { read, warned } = reader({ reason: "m", rules: [{ status: 402, means: "elsewhere" }] });
    expect(read(402, '{"m":"no credit"}')).toEqual(refused(false, "402 no credit") as never);
    expect(warned).toEqual(["402 no credit"]);
  });

  test("a reason is short, printable, and has no secret of ours in it", () => {
    const { read, warned } = reader({ reason: "m", rules: [{ status: 403, means: "elsewhere" }] }, [
      "hunter2",
      "",
    ]);
    const said = `key hunter2\n${"کلید".repeat(50)} ${"x".repeat(500)}`;
    const answer = read(403, JSON.stringify({ m: said }));
    const reason = answer.kind === "refused" ? answer.reason : "";
    expect(reason).toStartWith("403 key ***? xxx");
    expect(reason.length).toBe(64);
    expect(warned.join()).not.toContain("hunter2");
  });

  test("names that JavaScript has a meaning for are only names", () => {
    const { read } = reader({ id: "constructor.name", rules: [{ status: 200, means: "accepted" }] });
    expect(read(200, "{}").kind).toBe("lost");
    expect(read(200, '{"constructor":{"name":"x"}}')).toEqual(accepted("x") as never);
  });

  test("whatever comes is read as something, without an exception", () => {
    const { read } = reader(OWN_ANSWER);
    for (const body of ["[".repeat(16_000), "\0", "\ud800", '{"__proto__":{"operator_message_id":"x"}}', "1"])
      expect(read(200, body).kind).toBe("lost");
  });
});
