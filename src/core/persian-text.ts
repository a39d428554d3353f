// Persian text that was typed on an Arabic keyboard: the letters yeh and kaf, and the digits, have code
// points of their own there, look alike or nearly so, and are found by no search. Replaced only where it is
// asked for (`normalize`), and told in the preview and the answer. Pure.
// Invariant: a replacement is one UTF-16 unit for one, outside GSM-7 like what it replaces, so encoding,
// parts and the places of all other characters stay the same. Nothing else is touched: not the ZWNJ
// (U+200C), which divides words in Persian, nor alef maksura (U+0649), which is a letter of Arabic's own.

/** Arabic to Persian: yeh, kaf, and the digits 0 to 9. */
const PAIRS: readonly (readonly [arabic: string, persian: string])[] = [
  ["\u064a", "\u06cc"],
  ["\u0643", "\u06a9"],
  ...Array.from({ length: 10 }, (_, digit) => {
    const [arabic, persian] = [String.fromCharCode(0x0660 + digit), String.fromCharCode(0x06f0 + digit)];
    return [arabic, persian] as const;
  }),
];
export const PERSIAN_OF: ReadonlyMap<string, string> = new Map(PAIRS);
const REPLACED = /[\u0643\u064a\u0660-\u0669]/g;

/** `position`: of the first one, an index from 0 in code points. */
export type Replacement = { character: string; replacement: string; count: number; position: number };

/** The text in Persian letters and digits; the same string if there is nothing to replace. */
export const toPersian = (text: string): string =>
  text.replace(REPLACED, (character) => PERSIAN_OF.get(character) as string);

/** How many characters toPersian replaces. */
export const countReplaced = (text: string): number => text.match(REPLACED)?.length ?? 0;

/** One for each distinct character that toPersian replaces, in the order of the text. */
export function replacementsIn(text: string): Replacement[] {
  const found = new Map<string, Replacement>();
  let position = 0;
  for (const character of text) {
    const replacement = PERSIAN_OF.get(character);
    const earlier = found.get(character);
    if (earlier !== undefined) earlier.count++;
    else if (replacement !== undefined) found.set(character, { character, replacement, count: 1, position });
    position++;
  }
  return [...found.values()];
}
