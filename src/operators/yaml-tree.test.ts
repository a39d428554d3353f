import { expect, test } from "bun:test";
import { FAULTS_MAX, FILE_BYTES_MAX, readTree, type Tree } from "./yaml-tree.ts";

const read = (text: string) => readTree(new TextEncoder().encode(text));
const faults = (text: string): string[] => {
  const found = read(text);
  if (found.kind === "tree") return [];
  return found.faults.map((f) => `${f.line}:${f.column} ${f.path}${f.path === "" ? "" : ": "}${f.what}`);
};
const plain = (tree: Tree): unknown =>
  tree.kind === "value"
    ? tree.value
    : tree.kind === "list"
      ? tree.items.map(plain)
      : [...tree.entries].map(([name, { value }]) => [name, plain(value)]);

test("every key and value has its line and column", () => {
  const found = read('a:\n  b: 1\n  c: [x, "y"]\n');
  if (found.kind !== "tree") throw new Error("it is readable");
  expect(plain(found.tree)).toEqual([
    [
      "a",
      [
        ["b", 1],
        ["c", ["x", "y"]],
      ],
    ],
  ]);
  const at = (tree: Tree, name: string) => (tree.kind === "map" ? tree.entries.get(name) : undefined);
  const c = at(at(found.tree, "a")?.value as Tree, "c");
  expect(c?.key).toMatchObject({ line: 3, column: 3 });
  expect(c?.value).toMatchObject({ line: 3, column: 6 });
  expect(c?.value.kind === "list" && c.value.items[1]).toMatchObject({ line: 3, column: 10 });
});

test("a file with nothing in it says what it needs, whatever the nothing is", () => {
  for (const text of ["", "\n\n", "# only a comment\n", "---\n", "\ufeff"])
    expect(faults(text)).toEqual(["1:1 the file is empty: it needs `operators:`"]);
});

test("a byte order mark and carriage returns are read over", () => {
  const found = read("\ufeffa: 1\r\nb: x\r\n");
  expect(found.kind === "tree" && plain(found.tree)).toEqual([
    ["a", 1],
    ["b", "x"],
  ]);
});

test("a key that is given twice is refused where it is given again", () => {
  expect(faults("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n")).toEqual([
    "5:3 b.c: is given twice: remove this or line 3",
    "6:1 a: is given twice: remove this or line 1",
  ]);
});

test("anchors and aliases are refused, so a bomb of them is never written out", () => {
  expect(faults("a: &x 1\nb: *x\n")).toEqual([
    "1:7 a: has an anchor: remove it, aliases are not read",
    "2:4 b: is an alias: write the value out, aliases are not read",
  ]);
  const bomb = Array.from(
    { length: 30 },
    (_, n) => `a${n}: &a${n} [${n === 0 ? "x" : `*a${n - 1}, *a${n - 1}`}]`,
  );
  const startedMs = performance.now();
  expect(faults(bomb.join("\n"))).toHaveLength(30);
  expect(performance.now() - startedMs).toBeLessThan(2_000);
});

test("tags, directives and a second document are refused", () => {
  expect(faults("a: !!binary aGk=\n")).toEqual(["1:13 a: has a tag: remove it"]);
  expect(faults("a: !!js/function x\n")[0]).toStartWith("1:4 can't be read as YAML: Unresolved tag");
  expect(faults("%YAML 1.1\n---\na: yes\n")).toEqual([
    "1:1 remove the %YAML directive: the file is read as YAML 1.2",
  ]);
  expect(faults("a: 1\n---\nb: 2\n")).toHaveLength(1);
});

test("a tab is refused as indentation; a blank that only looks like a space is refused anywhere, by its code", () => {
  expect(faults("a:\n\tb: 1\n")[0]).toStartWith(
    "2:1 can't be read as YAML: Tabs are not allowed as indentation",
  );
  expect(faults("a:\n\u00a0\u00a0b: 1\n")[0]).toContain("has the character U+00A0, which is not seen");
  expect(faults("a:\n  b: 1\n\u00a0\u00a0c: 1\n").join("\n")).toContain("U+00A0");
  expect(faults('a: "x\u200b"\n')).toEqual([
    "1:4 a: has the character U+200B, which is not seen: remove it or type a plain space",
  ]);
  expect(faults("a\u200c: 1\n")[0]).toStartWith("1:1 a<U+200C>: has the character U+200C");
  // In a comment they are text.
  expect(faults("a: 1 # می\u200cخواهد\n")).toEqual([]);
});

test("what isn't UTF-8 is refused", () => {
  const found = readTree(new Uint8Array([0x61, 0x3a, 0x20, 0xff]));
  expect(found).toMatchObject({ kind: "bad", faults: [{ what: "the file is not UTF-8: save it as UTF-8" }] });
});

test("a file of 10 MB is refused by its size, and the longest hostile ones in seconds", () => {
  const startedMs = performance.now();
  expect(faults("a: 1\n".repeat(2_000_000))).toEqual([
    `1:1 the file has 10000000 bytes; at most ${FILE_BYTES_MAX} are read`,
  ]);
  expect(performance.now() - startedMs).toBeLessThan(1_000);
  const hostile = ["[", "{a: ", "- ", "? ", '"', "&a ", "a: 1\n", "{a,", "!"].map((piece) =>
    piece.repeat(Math.floor(FILE_BYTES_MAX / piece.length)),
  );
  for (const text of hostile) {
    const found = faults(text);
    expect(found.length).toBeGreaterThan(0);
    expect(found.length).toBeLessThanOrEqual(FAULTS_MAX);
  }
}, 60_000);

test("nesting is bounded", () => {
  const deep = Array.from({ length: 40 }, (_, n) => `${" ".repeat(n)}a:`).join("\n");
  expect(faults(deep)[0]).toContain("is nested deeper than 16 levels");
});

test("yes and no are texts, as in YAML 1.2; a key is always text", () => {
  const found = read("1: yes\ntrue: no\n");
  expect(found.kind === "tree" && plain(found.tree)).toEqual([
    ["1", "yes"],
    ["true", "no"],
  ]);
});
