// Reads YAML text into a tree in which every key and value knows its line and column, or into what is wrong
// with it. Takes the plain part of YAML 1.2 only: no anchors and aliases (a bomb of them is a few lines), no
// tags, no directives, no second document, no key twice, no blanks that only look like spaces. Leaves what
// the values mean to read-schema.ts.
// Bound: FILE_BYTES_MAX of text, DEPTH_MAX levels, FAULTS_MAX faults.

import { isAlias, isMap, isScalar, LineCounter, type ParsedNode, parseDocument } from "yaml";

/** Counted from 1, in UTF-16 units, as editors do. */
export type Place = { line: number; column: number };
/** Something wrong in the file: where, in which value, and what to do about it. */
export type Fault = Place & { path: string; what: string };
export type Tree = Place &
  (
    | { kind: "map"; entries: ReadonlyMap<string, Entry> }
    | { kind: "list"; items: readonly Tree[] }
    | { kind: "value"; value: string | number | boolean | null }
  );
export type Entry = { key: Place; value: Tree };
export type ReadTree = { kind: "tree"; tree: Tree } | { kind: "bad"; faults: Fault[] };

/** Some thousand operators and routes. The slowest text of this size takes a second to refuse. */
export const FILE_BYTES_MAX = 256 * 1024;
/** The documented file has 5. */
const DEPTH_MAX = 16;
export const FAULTS_MAX = 100;

// Blanks and marks that an editor shows as nothing or as a space. Copied from a web page they make another
// key of a key. A no-break space before a key is part of it too.
const LOOKALIKE = new RegExp(
  "[\u0000-\u0008\u000b-\u001f\u007f-\u00a0\u00ad\u061c\u1680\u2000-\u200f\u2028-\u202f" +
    "\u205f-\u206f\u3000\ufeff]",
);

export function readTree(bytes: Uint8Array): ReadTree {
  const at = (line: number, column: number, what: string): ReadTree => ({
    kind: "bad",
    faults: [{ line, column, path: "", what }],
  });
  if (bytes.length > FILE_BYTES_MAX)
    return at(1, 1, `the file has ${bytes.length} bytes; at most ${FILE_BYTES_MAX} are read`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes); // drops a byte order mark
  } catch {
    return at(1, 1, "the file is not UTF-8: save it as UTF-8");
  }
  const lines = new LineCounter();
  // Keys given twice are found below: the library compares each with all others.
  const document = parseDocument(text, {
    lineCounter: lines,
    uniqueKeys: false,
    stringKeys: true,
    prettyErrors: false,
    logLevel: "error", // with "silent" it would drop a second document without a word
  });
  const reader = createReader(lines, text);
  const problems = [...document.errors, ...document.warnings].slice(0, FAULTS_MAX);
  for (const { pos, message } of problems) reader.syntax(pos[0], message);
  if (document.directives.yaml.explicit)
    reader.fault(0, "", "remove the %YAML directive: the file is read as YAML 1.2");
  if (reader.faults.length > 0) return { kind: "bad", faults: reader.faults };
  const { contents } = document;
  if (contents === null || (isScalar(contents) && contents.value === null))
    return at(1, 1, "the file is empty: it needs `operators:`");
  const tree = reader.read(contents as ParsedNode, "", 1);
  return reader.faults.length > 0 ? { kind: "bad", faults: reader.faults } : { kind: "tree", tree };
}

function createReader(lines: LineCounter, text: string) {
  const faults: Fault[] = [];
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const fault = (offset: number, path: string, what: string) => {
    if (faults.length < FAULTS_MAX) faults.push({ ...placeOf(offset), path, what });
  };
  const read = (node: ParsedNode, path: string, depth: number): Tree => {
    const from = node.range[0];
    const place = placeOf(from);
    const none: Tree = { ...place, kind: "value", value: null };
    const refuse = (what: string) => {
      fault(from, path, what);
      return none;
    };
    if (depth > DEPTH_MAX) return refuse(`is nested deeper than ${DEPTH_MAX} levels`);
    if (isAlias(node)) return refuse("is an alias: write the value out, aliases are not read");
    if (node.anchor !== undefined) return refuse("has an anchor: remove it, aliases are not read");
    if (node.tag !== undefined) return refuse("has a tag: remove it");
    if (isScalar(node)) {
      const value = node.value as string | number | boolean | null;
      if (typeof value === "string" && LOOKALIKE.test(value)) fault(from, path, lookalike(value));
      return { ...place, kind: "value", value };
    }
    if (!isMap(node))
      return {
        ...place,
        kind: "list",
        items: node.items.map((item, n) => read(item, `${path}[${n}]`, depth + 1)),
      };
    const entries = new Map<string, Entry>();
    for (const { key, value } of node.items) {
      const name = String(isScalar(key) ? key.value : "");
      const own = path === "" ? name : `${path}.${name}`;
      const keyAt = key.range[0];
      const before = entries.get(name);
      if (LOOKALIKE.test(name)) fault(keyAt, visible(own), lookalike(name));
      if (key.anchor !== undefined) fault(keyAt, own, "has an anchor: remove it, aliases are not read");
      if (before !== undefined) fault(keyAt, own, `is given twice: remove this or line ${before.key.line}`);
      else
        entries.set(name, {
          key: placeOf(keyAt),
          value: value === null ? none : read(value, own, depth + 1),
        });
    }
    return { ...place, kind: "map", entries };
  };
  const syntax = (offset: number, message: string) => {
    const end = text.indexOf("\n", offset);
    const line = text.slice(text.lastIndexOf("\n", offset - 1) + 1, end < 0 ? text.length : end);
    const hint = LOOKALIKE.test(line) ? `; ${lookalike(line)}` : "";
    fault(offset, "", `can't be read as YAML: ${message}${hint}`);
  };
  return { faults, fault, read, syntax };
}

const codeOf = (character: string): string =>
  `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;

function lookalike(text: string): string {
  const [character = ""] = LOOKALIKE.exec(text) ?? [];
  return `has the character ${codeOf(character)}, which is not seen: remove it or type a plain space`;
}

const visible = (path: string): string =>
  path.replace(new RegExp(LOOKALIKE.source, "g"), (character) => `<${codeOf(character)}>`);
