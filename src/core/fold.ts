// Texts that people type, folded so that what means the same is equal: letter case, accents, full-width and
// presentation forms, Arabic and Persian letters and digits, blanks and marks. For comparing with words and
// keywords only; nothing folded is ever shown or sent. Pure.
// Invariant: folding what is folded changes nothing.

const ONE_FOR_ONE: Readonly<Record<string, string>> = {
  "\u064a": "\u06cc", // Arabic yeh
  "\u0649": "\u06cc", // alef maksura
  "\u06d2": "\u06cc", // Urdu yeh barree
  "\u0643": "\u06a9", // Arabic kaf
  "\u0629": "\u0647", // teh marbuta
  "\u06c1": "\u0647", // Urdu heh goal
  "\u0131": "i", // Turkish dotless i
  "\u00df": "ss",
};
const FOLDED = new RegExp(`[${Object.keys(ONE_FOR_ONE).join("")}]`, "g");
const ZEROS = [0x0660, 0x06f0, 0x0966]; // Arabic-Indic, Persian, Devanagari
const DIGITS = /[\u0660-\u0669\u06f0-\u06f9\u0966-\u096f]/g;
/** Accents and Arabic vowel signs, once they stand alone, and the tatweel that stretches a word. */
const MARKS = /[\p{M}\u0640]/gu;
/** Blanks of every kind, the ZWNJ that divides words in Persian, and other invisible characters. */
const BLANKS = /[\s\p{Z}\p{Cf}\p{Cc}]+/gu;
const EDGES = /^[\p{P}\p{S}\p{Z}]+|[\p{P}\p{S}\p{Z}]+$/gu;

/** The text without what surrounds its first and last letter or digit, and with single blanks in it. */
export function fold(text: string): string {
  return text
    .normalize("NFKD")
    .replaceAll(MARKS, "")
    .toLowerCase()
    .normalize("NFKD")
    .replaceAll(MARKS, "")
    .replaceAll(FOLDED, (letter) => ONE_FOR_ONE[letter] as string)
    .replaceAll(DIGITS, asciiDigit)
    .replaceAll(BLANKS, " ")
    .replaceAll(EDGES, "");
}

/** The text with ASCII digits in place of Arabic, Persian and Devanagari ones. */
export const foldDigits = (text: string): string => text.replaceAll(DIGITS, asciiDigit);

function asciiDigit(digit: string): string {
  const code = digit.charCodeAt(0);
  const zero = ZEROS.find((start) => code >= start && code < start + 10) as number;
  return String(code - zero);
}
