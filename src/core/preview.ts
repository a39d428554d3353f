// What is known about a text before it is sent: its encoding, the parts as operators get them, what is left
// in the last one, and the characters that make it UCS-2.
// Leaves to others: counting and splitting (parts.ts), what looks like a character (look-alikes.ts), prices
// and wallets (src/api/routes/preview.ts).
// Bound: a text has at most as many warnings as distinct characters, 670 in the longest one of UCS-2.

import { SEPTETS } from "./gsm7.ts";
import { lookAlikeOf } from "./look-alikes.ts";
import type { Encoding } from "./message.ts";
import { countParts, partRoom, splitParts } from "./parts.ts";

/** A character that makes its text UCS-2. */
export type TextWarning = {
  code: "not_gsm7";
  detail: string;
  /** Of its first occurrence: an index from 0, in code points. */
  position: number;
  /** One code point. */
  character: string;
  /** In the GSM 7-bit alphabet; "": it is invisible and may be left out; null: nothing looks like it. */
  replacement: string | null;
};
export type TextPreview = {
  encoding: Encoding;
  parts: number;
  /** The text of each part, in order. */
  segments: string[];
  /** Of the last segment, in septets (GSM-7, extension characters count two) or UTF-16 units (UCS-2). */
  lastSegment: { used: number; left: number };
  /** One for each distinct character outside GSM-7, in the order of the text; none if it is GSM-7. */
  warnings: TextWarning[];
  /**
   * The parts that it would have with each of these characters replaced, or left out where nothing looks like
   * it; may be more than before. Null if there are none, or if nothing else is in the text.
   */
  partsAsGsm7: number | null;
};

/** Of a text that passed textProblem. */
export function previewOf(text: string): TextPreview {
  const { encoding, parts } = countParts(text);
  const segments = splitParts(text);
  const last = segments.at(-1) ?? "";
  // A segment of a UCS-2 text may itself be GSM-7, and still goes as UCS-2.
  const used = encoding === "ucs2" ? last.length : countParts(last).units;
  const warnings = warningsOf(text);
  return {
    encoding,
    parts,
    segments,
    lastSegment: { used, left: partRoom({ encoding, parts }) - used },
    warnings,
    partsAsGsm7: partsAsGsm7(text, warnings),
  };
}

function warningsOf(text: string): TextWarning[] {
  const warnings = new Map<string, TextWarning>();
  let position = 0;
  for (const character of text) {
    if (!SEPTETS[character.charCodeAt(0)] && !warnings.has(character)) {
      const replacement = lookAlikeOf(character);
      const detail = detailOf(character, replacement);
      warnings.set(character, { code: "not_gsm7", detail, position, character, replacement });
    }
    position++;
  }
  return [...warnings.values()];
}

function detailOf(character: string, replacement: string | null): string {
  const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
  const said = `U+${code} is not in the GSM 7-bit alphabet, so the whole text is sent as UCS-2`;
  if (replacement === null) return `${said}.`;
  return replacement === "" ? `${said}; it is invisible and can be left out.` : `${said}; its look-alike is.`;
}

function partsAsGsm7(text: string, warnings: readonly TextWarning[]): number | null {
  if (warnings.length === 0) return null;
  const replacements = new Map(warnings.map((each) => [each.character, each.replacement ?? ""]));
  const replaced = Array.from(text, (character) => replacements.get(character) ?? character).join("");
  return replaced === "" ? null : countParts(replaced).parts;
}
