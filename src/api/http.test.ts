// Problem answers in the language that a caller prefers. What routes and bodies get is tested on the running
// process (test/integration/persian.test.ts).

import { expect, test } from "bun:test";
import { ERRORS, type ErrorCode, SluiceError } from "../core/errors.ts";
import { PERSIAN } from "../core/persian-errors.ts";
import { respondProblem } from "./http.ts";

const told = async (error: SluiceError, accepted?: string) => {
  const answer = respondProblem(error, "r-1", {}, accepted);
  return { headers: answer.headers, body: (await answer.json()) as Record<string, unknown> };
};

test("each code is told in Persian with the same type, code, status and headers", async () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const english = await told(new SluiceError(code));
    const persian = await told(new SluiceError(code), "fa-IR, en;q=0.5");
    expect(persian.body).toEqual({
      ...english.body,
      title: PERSIAN[code].title,
      detail: PERSIAN[code].meaning,
    });
    expect(english.body.title).toBe(ERRORS[code].title);
    const names = [...english.headers.keys()];
    expect([...persian.headers.keys()]).toEqual(names);
    const differing = names.filter((name) => english.headers.get(name) !== persian.headers.get(name));
    expect(differing).toEqual(["content-language"]);
  }
});

test("every problem says its language, and that Accept-Language chose it", async () => {
  for (const [accepted, language] of [
    [undefined, "en"],
    ["de", "en"],
    ["en, fa", "en"],
    ["fa", "fa"],
  ] as const) {
    const { headers } = await told(new SluiceError("not_found"), accepted);
    expect([headers.get("content-language"), headers.get("vary")]).toEqual([language, "Accept-Language"]);
  }
});

test("figures that tools read are the same in both languages", async () => {
  const error = new SluiceError("insufficient_balance", { extra: { required: 700, balance: 300 } });
  expect((await told(error, "fa")).body).toMatchObject({ required: 700, balance: 300 });
});
