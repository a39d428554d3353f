// In which language an error is told: what a caller prefers among those that there are. Leaves the words to
// errors.ts, persian-errors.ts and persian-phrases.ts.
// Source: RFC 9110, 12.5.4 (Accept-Language), with the matching of RFC 4647, 3.3.1.

import { ACCEPT_LANGUAGE_RANGES_MAX } from "./limits.ts";

export type Language = "en" | "fa";

type Range = { tag: string; quality: number };

const RANGE =
  /^\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*|\*)\s*(?:;\s*[qQ]\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?$/;

/**
 * English unless Persian is wanted more; of two that are wanted equally, the one named first. What is not a
 * language range is read over, and so is all beyond ACCEPT_LANGUAGE_RANGES_MAX ranges.
 */
export function languageOf(accepted: string | null): Language {
  if (accepted === null) return "en";
  const ranges = accepted.split(",", ACCEPT_LANGUAGE_RANGES_MAX).flatMap(rangeOf);
  const [persian, english] = [wish(ranges, "fa"), wish(ranges, "en")];
  if (persian.quality !== english.quality) return persian.quality > english.quality ? "fa" : "en";
  return persian.quality > 0 && persian.place < english.place ? "fa" : "en";
}

function rangeOf(text: string): Range[] {
  const match = RANGE.exec(text);
  if (match === null) return [];
  const [, tag = "", quality = "1"] = match;
  return [{ tag: tag.toLowerCase(), quality: Number(quality) }];
}

/** `*` is for the languages that no other range names, and names none itself. */
function wish(ranges: readonly Range[], language: Language): { quality: number; place: number } {
  const names = ({ tag }: Range) => tag === language || tag.startsWith(`${language}-`);
  const named = ranges.filter(names);
  const matching = named.length > 0 ? named : ranges.filter(({ tag }) => tag === "*");
  const place = ranges.findIndex(names);
  return {
    quality: Math.max(0, ...matching.map(({ quality }) => quality)),
    place: place < 0 ? Number.POSITIVE_INFINITY : place,
  };
}
