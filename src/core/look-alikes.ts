// What looks like a character that the GSM 7-bit alphabet lacks, and is in the alphabet. Only ever suggested:
// Sluice replaces nothing in a text. Leaves to others: which characters the alphabet has (gsm7.ts), and what
// is said about a text (preview.ts).
// Sources: Unicode CLDR, transform Latin-ASCII (common/transforms/Latin-ASCII.xml), for blanks, dashes,
// marks, symbols, full-width forms and letters without their accents; where CLDR doubles a quotation mark
// (<<, ,,), and for accents that stand alone, Twilio's "List of characters replaced by Smart Encoding".
// Ours are the bullets, × as x, ™ as TM, and that what is invisible is left out.

import { SEPTETS } from "./gsm7.ts";

const ROWS: readonly (readonly [lookAlike: string, characters: string])[] = [
  [" ", "\t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"],
  ["\n", "\u0085\u2028\u2029"],
  // Soft hyphen, zero-width space, marks of direction, word joiner, byte order mark.
  ["", "\u00ad\u200b\u200e\u200f\u2060\ufeff"],
  ["'", "`´ʹʻʼʽˈˊˋ‘’‚‛′‵❛❜｀"],
  ['"', "«»ʺˮ“”„‟″‶❝❞〝〞"],
  ["<", "‹"],
  [">", "›"],
  ["-", "‐‑‒–—―−﹘﹣"],
  [".", "․"],
  ["..", "‥"],
  ["...", "…"],
  ["!!", "‼"],
  ["?!", "⁈"],
  ["!?", "⁉"],
  ["/", "⁄∕"],
  ["|", "∣"],
  ["~", "˜"],
  ["^", "ˆ"],
  ["*", "•⁎"],
  ["x", "×"],
  ["+/-", "±"],
  ["<-", "←"],
  ["->", "→"],
  ["(C)", "©"],
  ["(R)", "®"],
  ["TM", "™"],
  ["No", "№"],
  [" 1/4", "¼"],
  [" 1/2", "½"],
  [" 3/4", "¾"],
  ["fi", "ﬁ"],
  ["fl", "ﬂ"],
  ["oe", "œ"],
  ["OE", "Œ"],
  ["d", "đ"],
  ["D", "Đ"],
  ["i", "ı"],
  ["l", "ł"],
  ["L", "Ł"],
];

const LOOK_ALIKES = new Map<string, string>();
for (const [lookAlike, characters] of ROWS) for (const c of characters) LOOK_ALIKES.set(c, lookAlike);
// The full-width forms stand in the order of ASCII, from ! to ~.
const FULL_WIDTH = 0xff01 - 0x21;
for (let code = 0x21; code <= 0x7e; code++)
  if (SEPTETS[code]) LOOK_ALIKES.set(String.fromCharCode(FULL_WIDTH + code), String.fromCharCode(code));

const LETTER = /^\p{L}$/u;

/**
 * What may stand for a character (one code point) that the alphabet lacks: characters of the alphabet, or ""
 * for one that is invisible; null if nothing looks like it.
 */
export function lookAlikeOf(character: string): string | null {
  const known = LOOK_ALIKES.get(character);
  if (known !== undefined) return known;
  // Without its accents; not for signs, of which ≠ would become =.
  if (!LETTER.test(character)) return null;
  const [base = ""] = character.normalize("NFD");
  return base !== character && SEPTETS[base.charCodeAt(0)] ? base : null;
}
