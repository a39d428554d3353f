import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { csvLine, type ExportPage, formatOf, openExport } from "./exports.ts";

describe("CSV", () => {
  const cell = (value: string) => csvLine([value]).slice(0, -2);

  test("quotes what needs it, as RFC 4180 says, and ends with CRLF", () => {
    expect(csvLine(["a", null, undefined, 5, "x y"])).toBe("a,,,5,x y\r\n");
    expect(cell('say "hi", twice')).toBe('"say ""hi"", twice"');
    expect([cell("a\nb"), cell("a;b"), cell(" a")]).toEqual(['"a\nb"', '"a;b"', '" a"']);
  });

  test("has no formula: what a spreadsheet would evaluate begins with a quote, which can be taken away", () => {
    for (const formula of ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1", "'=1"])
      expect(cell(formula)).toMatch(/^"?'/);
    expect(cell('=HYPERLINK("http://x","y")')).toBe('"\'=HYPERLINK(""http://x"",""y"")"');
    const undone = (text: string) => text.replace(/^'/, "");
    for (const text of ["=a", "'a", "''a", "a'"]) expect(undone(cell(text))).toBe(text);
  });

  test("leaves phones and numbers as they are", () => {
    for (const number of ["+989121234567", "-5", "0"]) expect(cell(number)).toBe(number);
    expect(cell("+98 912")).toBe("'+98 912");
  });
});

test("the shell of docs/reference/export.md goes on with a CSV wherever within a row it was cut", () => {
  const page = readFileSync(new URL("../../docs/reference/export.md", import.meta.url), "utf8");
  const [, block = ""] = /```sh\n(# after an error[^]*?)```/.exec(page) ?? [];
  const rows = ["i1", "سفارش, ۲", 'say "3"', "i4"].map((name, n) => csvLine([n, "topup", name, `c${n}`]));
  const whole = Buffer.from(csvLine(["n", "op", "request_id", "cursor"]) + rows.join(""));
  const first = whole.indexOf(rows[1] as string);
  const folder = mkdtempSync(join(tmpdir(), "sluice-export-"));
  writeFileSync(join(folder, "whole.csv"), whole);
  // Stands for the gateway: what comes after the row with the cursor in the address.
  const gateway = 'curl() { local url="${!#}"; sed "1,/,${url##*cursor=}\\r$/d" whole.csv; }';
  const each = `for cut in $(seq ${first} ${whole.length}); do
    head -c $cut whole.csv >may.csv
    ${block}
    cmp -s whole.csv may.csv || echo $cut
  done`;
  const script = `${gateway}\nKEY=slk_test\n${each}`;
  const { stdout, stderr } = spawnSync("bash", ["-c", script], { cwd: folder, encoding: "utf8" });
  rmSync(folder, { recursive: true });
  expect([block === "", stderr, stdout]).toEqual([false, "", ""]);
}, 60_000);

describe("an export", () => {
  type Row = { id: number; name: string | null };
  const PAGES = [[1, 2], [], [3]];
  let read: (string | null)[] = [];
  const page = (cursor: string | null): Promise<ExportPage<Row>> => {
    read.push(cursor);
    const at = cursor === null ? 0 : Number(cursor);
    const rows = (PAGES[at] ?? []).map((id) => ({
      row: { id, name: id === 2 ? null : "=x" },
      cursor: `c${id}`,
    }));
    return Promise.resolve({ rows, next: at < 2 ? String(at + 1) : null, as_of: "now" });
  };
  const open = (format: "csv" | "ndjson", cursor: string | null = null, isStopping = () => false) => {
    read = [];
    return openExport(page, { format, columns: ["id", "name"], cursor, isStopping });
  };
  const all = async (pieces: AsyncIterable<string>) => (await Array.fromAsync(pieces)).join("");

  test("in NDJSON has every row with its cursor", async () => {
    const { pieces, as_of } = await open("ndjson");
    expect(as_of).toBe("now");
    expect(await all(pieces)).toBe(
      '{"id":1,"name":"=x","cursor":"c1"}\n{"id":2,"name":null,"cursor":"c2"}\n' +
        '{"id":3,"name":"=x","cursor":"c3"}\n',
    );
  });

  test("in CSV begins with the names of the columns, but not where it goes on", async () => {
    const head = "id,name,cursor\r\n";
    const rows = "1,'=x,c1\r\n2,,c2\r\n3,'=x,c3\r\n";
    expect(await all((await open("csv")).pieces)).toBe(head + rows);
    expect(await all((await open("csv", "2")).pieces)).toBe("3,'=x,c3\r\n");
  });

  test("reads a page only when those before were taken", async () => {
    const { pieces } = await open("ndjson");
    expect(read).toEqual([null]);
    await pieces.next();
    expect(read).toEqual([null]);
    await pieces.next();
    expect(read).toEqual([null, "1", "2"]);
  });

  test("of a process that stops is cut off, not ended", async () => {
    const { pieces } = await open("ndjson", null, () => true);
    await pieces.next();
    expect(await pieces.next().catch((error: unknown) => String(error))).toContain("unavailable");
  });

  test("has a format, or is a page; with a limit it is neither", () => {
    const query = (text: string) => new Map(new URLSearchParams(text));
    expect([formatOf(query("format=csv")), formatOf(query("limit=5"))]).toEqual(["csv", null]);
    expect(() => formatOf(query("format=xml"))).toThrow("csv, ndjson");
    expect(() => formatOf(query("format=csv&limit=5"))).toThrow("limit");
  });
});
