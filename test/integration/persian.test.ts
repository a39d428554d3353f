// Persian on a real gateway: problems in the language that a caller prefers, and text whose Arabic letters
// and digits are replaced for those who ask for it.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { UPLOAD_LINE_BYTES_MAX } from "../../src/core/batch-limits.ts";
import { type ErrorCode, ERRORS } from "../../src/core/errors.ts";
import { PERSIAN } from "../../src/core/persian-errors.ts";
import { toPersian } from "../../src/core/persian-text.ts";
import { BAD_MESSAGES } from "../support/bad-messages.ts";
import { type Answer, type Api, message, type Problem, refused, startApi } from "../support/refusals.ts";

const ZWNJ = "\u200c";
/** "I go, 12 books", as an Arabic keyboard types it. */
const ARABIC = `\u0645\u064a${ZWNJ}\u0631\u0648\u0645 \u0661\u0662 \u0643\u062a\u0627\u0628`;

let api: Api;
beforeAll(async () => {
  api = await startApi();
}, 60_000);
// No relay runs here: what stays in the outbox would make the express lane look slow.
afterEach(() => api.db.pool.query("DELETE FROM outbox"));
afterAll(() => api.stop(), 30_000);

const PERSIAN_FIRST = { "accept-language": "fa-IR,fa;q=0.9,en;q=0.8" };
const bodyOf = ({ text }: Answer) => JSON.parse(text) as Problem;
const languageOf = ({ headers }: Answer) => [headers.get("content-language"), headers.get("vary")];
const posted = (path: string, body: unknown) => api.ask(path, { method: "POST", body: JSON.stringify(body) });
const textOf = async (id: string): Promise<string | undefined> => {
  const [row] = await api.db.pool.query<{ text: string }[]>("SELECT text FROM messages WHERE id=?", [id]);
  return row?.text;
};

describe("problems", () => {
  const inBoth = async (ask: (headers: Record<string, string>) => Promise<Answer>, code: ErrorCode) => {
    const [english, persian] = [await ask({}), await ask(PERSIAN_FIRST)];
    refused(english, code);
    expect(languageOf(english)).toEqual(["en", "Accept-Language"]);
    expect(languageOf(persian)).toEqual(["fa", "Accept-Language"]);
    const { title, detail, errors, request_id, ...others } = bodyOf(persian);
    expect(title).toBe(PERSIAN[code].title);
    expect(detail).toMatch(/[\u0600-\u06ff]/);
    expect(request_id).toMatch(/^[0-9a-f]{32}$/);
    expect(bodyOf(english)).toMatchObject(others);
    expect(errors?.map(({ field }) => field)).toEqual(
      bodyOf(english).errors?.map(({ field }) => field) as string[],
    );
    return errors ?? [];
  };

  test("of a route that doesn't exist, of a method, of a key", async () => {
    await inBoth((headers) => api.ask("/v2/nothing", { headers }), "not_found");
    await inBoth((headers) => api.ask("/v1/wallet", { method: "DELETE", headers }), "method_not_allowed");
    await inBoth((headers) => api.ask("/v1/wallet", { headers }, "x"), "api_key_invalid");
    await inBoth((headers) => api.send("{", headers), "malformed_json");
  });

  for (const [name, body, field] of BAD_MESSAGES)
    test(`of ${name}: the reason is Persian too`, async () => {
      const errors = await inBoth((headers) => api.send(body, headers), "validation_failed");
      expect(errors.map((error) => error.field)).toEqual([field]);
      for (const { reason } of errors) expect(reason).toMatch(/[\u0600-\u06ff]/);
    });

  test("that end an upload after its first results; the results themselves are English", async () => {
    const tooLong = JSON.stringify({ ...message, text: "x".repeat(UPLOAD_LINE_BYTES_MAX) });
    const lines = `${JSON.stringify(message)}\n{"phone":"12"}\n${tooLong}\n`;
    const ended = async (language: Record<string, string>) => {
      const headers = { ...language, "content-type": "application/x-ndjson" };
      const answer = await api.ask("/v1/sms/batches", { method: "POST", body: lines, headers });
      const [, refusedLine, last] = answer.text.trim().split("\n");
      expect(answer.status).toBe(200);
      expect(refusedLine).not.toMatch(/[\u0600-\u06ff]/);
      return JSON.parse(last ?? "") as Problem;
    };
    const [english, persian] = [await ended({}), await ended(PERSIAN_FIRST)];
    expect(english).toMatchObject({ code: "payload_too_large", title: ERRORS.payload_too_large.title });
    expect(persian).toMatchObject({ code: "payload_too_large", title: PERSIAN.payload_too_large.title });
    expect(persian.detail).toMatch(/[\u0600-\u06ff]/);
  });

  test("a success has no language", async () => {
    const answer = await api.ask("/v1/wallet", { headers: PERSIAN_FIRST });
    expect(languageOf(answer)).toEqual([null, null]);
  });
});

describe("normalize", () => {
  test("is off: a text is stored as it came", async () => {
    for (const fields of [{}, { normalize: false }, { normalize: null }]) {
      const sent = bodyOf(await api.send({ ...message, text: ARABIC, ...fields }));
      expect(sent.normalized).toBeUndefined();
      expect(await textOf(sent.id as string)).toBe(ARABIC);
    }
  });

  test("replaces letters and digits, keeps the ZWNJ, costs the same, and says how much it replaced", async () => {
    const body = { ...message, text: ARABIC, normalize: true };
    const key = { "idempotency-key": "normalize-1" };
    const answer = await api.send(body, key);
    const sent = bodyOf(answer);
    const stored = await textOf(sent.id as string);
    expect(stored).toBe(toPersian(ARABIC));
    expect(stored).toContain(ZWNJ);
    expect(sent).toMatchObject({ encoding: "ucs2", parts: 1, cost: 500, normalized: 4 });
    expect((await api.send(body, key)).text).toBe(answer.text);
    expect(bodyOf(await api.send({ ...body, text: "Hello" }))).toMatchObject({ normalized: 0 });
  });

  test("in a batch replaces each text after its parameters were put in, and counts it for each message", async () => {
    const answer = await posted("/v1/sms/batches", {
      phones: ["+989121234567", "12", "+989121234568"],
      text: "\u0643\u062f {code}",
      parameters: [{ code: "\u0661\u0662" }, { code: "1" }, { code: "12" }],
      normalize: true,
    });
    expect(answer.status).toBe(202);
    const { accepted } = JSON.parse(answer.text) as {
      accepted: { index: number; id: string; normalized: number }[];
    };
    expect(accepted.map(({ index, normalized }) => [index, normalized])).toEqual([
      [0, 3],
      [2, 1],
    ]);
    expect(await textOf(accepted[0]?.id ?? "")).toBe("\u06a9\u062f \u06f1\u06f2");
    const plain = await posted("/v1/sms/batches", { messages: [{ phone: "+989121234567", text: ARABIC }] });
    const [only] = (JSON.parse(plain.text) as { accepted: { id: string; normalized?: number }[] }).accepted;
    expect([only?.normalized, await textOf(only?.id ?? "")]).toEqual([undefined, ARABIC]);
  });

  test("in a preview shows what it replaces, or would replace, and that this saves no part", async () => {
    const told = async (fields: object) =>
      JSON.parse((await posted("/v1/sms/preview", { ...message, ...fields })).text) as Record<
        string,
        unknown
      >;
    const normalization = {
      text: toPersian(ARABIC),
      replacements: [
        { character: "\u064a", replacement: "\u06cc", count: 1, position: 1 },
        { character: "\u0661", replacement: "\u06f1", count: 1, position: 7 },
        { character: "\u0662", replacement: "\u06f2", count: 1, position: 8 },
        { character: "\u0643", replacement: "\u06a9", count: 1, position: 10 },
      ],
      parts_saved: 0,
    };
    const asIs = await told({ text: ARABIC });
    expect(asIs).toMatchObject({ segments: [ARABIC], normalization: { ...normalization, applied: false } });
    const persian = await told({ text: ARABIC, normalize: true });
    expect(persian).toMatchObject({
      segments: [toPersian(ARABIC)],
      normalization: { ...normalization, applied: true },
    });
    expect(persian.parts).toBe(asIs.parts);
    expect(await told({ text: "سلام", normalize: true })).toMatchObject({ normalization: null });
  });
});
