// Answers whose text changes only with the program, or with the day: revalidated by their version, so that a
// caller that has it already gets a 304 without a body.

import { createHash } from "node:crypto";
import type { Written } from "./route.ts";

export type Versioned = { text: string; etag: string };

/** Makes the version from the text. */
export const versioned = (text: string): Versioned => ({
  text,
  etag: `"${createHash("sha256").update(text).digest("base64url").slice(0, 22)}"`,
});

/** 200 with the text, or 304 if If-None-Match names its version; further headers are those of either. */
export function answerVersioned(
  request: Request,
  { text, etag }: Versioned,
  further: Record<string, string> = {},
): Written<200 | 304> {
  const headers = { ...further, etag, "cache-control": "no-cache" };
  const known = request.headers.get("if-none-match") ?? "";
  const has = known.split(",").some((each) => ["*", etag, `W/${etag}`].includes(each.trim()));
  return has ? { status: 304, body: "", headers } : { status: 200, body: text, headers };
}
