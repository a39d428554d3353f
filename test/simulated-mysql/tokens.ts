// Splits SQL text into tokens, one at a time. Hand-written, because a simulated run spends most of its time
// here.

export type TokenKind = "number" | "string" | "hex" | "name" | "operator" | "end";

const ESCAPES: Record<string, string> = { n: "\n", r: "\r", t: "\t", b: "\b", "0": "\0", Z: "\x1a" };
const TWO = new Set(["<=", ">=", "<>", "!="]);
const QUOTE = 39;
const BACKSLASH = 92;
const BACKTICK = 96;
const SLASH = 47;

const isDigit = (c: number): boolean => c >= 48 && c <= 57;
const isWord = (c: number): boolean =>
  (c >= 97 && c <= 122) || (c >= 65 && c <= 90) || c === 95 || c === 36 || isDigit(c);

/** The current token and where it begins; `advance` goes to the next. */
export class Tokens {
  readonly text: string;
  kind: TokenKind = "end";
  value = "";
  start = 0;
  #at = 0;

  constructor(text: string) {
    this.text = text;
    this.advance();
  }

  advance(): void {
    const { text } = this;
    let at = this.#at;
    let c = text.charCodeAt(at);
    for (;;) {
      while (c === 32 || c === 10 || c === 9) c = text.charCodeAt(++at);
      // An optimizer hint changes which index is used, not which rows are found.
      if (c !== SLASH || !text.startsWith("/*+", at)) break;
      at = text.indexOf("*/", at) + 2;
      c = text.charCodeAt(at);
    }
    this.start = at;
    if (at >= text.length) {
      this.kind = "end";
      this.value = "";
      return;
    }
    if (isDigit(c))
      return this.#take(
        "number",
        this.#until(at, (d) => isDigit(d) || d === 46),
      );
    if (c === QUOTE) return this.#string(at + 1);
    if (c === BACKTICK) {
      const end = text.indexOf("`", at + 1);
      this.kind = "name";
      this.value = text.slice(at + 1, end);
      this.#at = end + 1;
      return;
    }
    if (isWord(c)) {
      const end = this.#until(at, isWord);
      if (text.charCodeAt(end) !== QUOTE) return this.#take("name", end);
      const isHex = end === at + 1 && (c | 32) === 120;
      if (!isHex && c !== 95) return this.#take("name", end);
      this.#string(end + 1); // _ascii'…', x'…'
      if (isHex) this.kind = "hex";
      return;
    }
    this.#take("operator", TWO.has(text.slice(at, at + 2)) ? at + 2 : at + 1);
  }

  #until(from: number, within: (c: number) => boolean): number {
    let at = from;
    while (within(this.text.charCodeAt(at))) at++;
    return at;
  }

  #take(kind: TokenKind, end: number): void {
    this.kind = kind;
    this.value = this.text.slice(this.start, end);
    this.#at = end;
  }

  #string(from: number): void {
    const { text } = this;
    let at = from;
    let isPlain = true;
    for (;;) {
      const c = text.charCodeAt(at);
      if (Number.isNaN(c))
        throw new Error(`the simulated database finds no end of ${text.slice(from, from + 60)}`);
      if (c === BACKSLASH) {
        isPlain = false;
        at += 2;
      } else if (c !== QUOTE) at++;
      else if (text.charCodeAt(at + 1) === QUOTE) {
        isPlain = false;
        at += 2;
      } else break;
    }
    const raw = text.slice(from, at);
    this.kind = "string";
    this.value = isPlain ? raw : unescape(raw);
    this.#at = at + 1;
  }
}

const unescape = (s: string): string =>
  s.replace(/\\([\s\S])|''/g, (_all, c: string | undefined) => (c === undefined ? "'" : (ESCAPES[c] ?? c)));
