import { expect, test } from "bun:test";
import { respond } from "./http.ts";
import { answerVersioned, versioned } from "./versioned.ts";

const file = versioned("text");
const asked = (known: string | null) =>
  answerVersioned(
    new Request("http://sluice/x", known === null ? {} : { headers: { "if-none-match": known } }),
    file,
    { "content-type": "text/plain" },
  );

test("a caller that has this version gets a 304 without a body", async () => {
  for (const known of [file.etag, `W/${file.etag}`, `"other", ${file.etag}`, "*"]) {
    const answer = respond(asked(known), "r");
    expect([answer.status, await answer.text()]).toEqual([304, ""]);
    expect(answer.headers.get("etag")).toBe(file.etag);
    expect(answer.headers.get("cache-control")).toBe("no-cache");
  }
});

test("any other caller gets all of it, under a version that is the text's own", async () => {
  for (const known of [null, "", '"other"', file.etag.slice(1)]) {
    const answer = respond(asked(known), "r");
    expect([answer.status, await answer.text()]).toEqual([200, "text"]);
    expect(answer.headers.get("etag")).toMatch(/^"[\w-]{22}"$/);
    expect(answer.headers.get("content-type")).toBe("text/plain");
  }
  expect(versioned("text").etag).toBe(file.etag);
  expect(versioned("texts").etag).not.toBe(file.etag);
});
