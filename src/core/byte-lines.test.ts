import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { allowSlowRuns, holdsAsync } from "../../test/support/seed.ts";
import { byteLines } from "./byte-lines.ts";
import { SluiceError } from "./errors.ts";

allowSlowRuns();

async function* pieces(...all: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const each of all) yield await Promise.resolve(Buffer.from(each as string));
}
const lines = async (...all: (string | Uint8Array)[]): Promise<string[]> => {
  const found: string[] = [];
  for await (const line of byteLines(pieces(...all), 16)) found.push(Buffer.from(line).toString());
  return found;
};
const codeOf = (running: Promise<unknown>): Promise<string> =>
  running.then(
    () => "read",
    (error: unknown) => (error instanceof SluiceError ? error.code : String(error)),
  );

describe("lines", () => {
  test("end with LF or CRLF, the last one also with the stream", async () => {
    expect(await lines("a\nb\r\nc")).toEqual(["a", "b", "c"]);
    expect(await lines("a\n")).toEqual(["a"]);
    expect(await lines()).toEqual([]);
  });

  test("of nothing but blanks are left out; a CR within a line stays", async () => {
    expect(await lines("\n\r\n \t\r\na\rb\n\n")).toEqual(["a\rb"]);
  });

  test("begin after a byte order mark, which is only read over at the very beginning", async () => {
    expect(await lines("\ufeffa\n\ufeffb\n")).toEqual(["a", "\ufeffb"]);
    expect(await lines("\ufeff\na")).toEqual(["a"]);
  });

  test("have at most so many bytes, whatever they end with; a longer one is refused before it ends", async () => {
    const longest = "x".repeat(16);
    expect(await lines(`\ufeff${longest}\r\n${longest}`)).toEqual([longest, longest]);
    expect(await codeOf(lines(`${longest}y\n`))).toBe("payload_too_large");
    expect(await codeOf(lines(`a\n${longest}y\r\n`))).toBe("payload_too_large");
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield await Promise.resolve(Buffer.from("x"));
    }
    expect(await codeOf(byteLines(endless(), 16).next())).toBe("payload_too_large");
  });

  test("do not depend on how the bytes are divided", async () => {
    const body = '\ufeff{"ی":1}\r\n\n  \nab\r\n\r\ncd\ne';
    const bytes = Buffer.from(body);
    const whole = await lines(body);
    await holdsAsync("pieces", fc.array(fc.nat(bytes.length)), async (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      expect(await lines(...at.slice(1).map((to, n) => bytes.subarray(at[n], to)))).toEqual(whole);
    });
  });

  test("are read only as they are asked for, and let others have their turn", async () => {
    let read = 0;
    async function* counted(): AsyncGenerator<Uint8Array> {
      for (;;) {
        read++;
        yield await Promise.resolve(Buffer.from("a\nb\n"));
      }
    }
    const found = byteLines(counted(), 16);
    for (let n = 0; n < 3; n++) await found.next();
    expect(read).toBe(2);
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    for await (const line of byteLines(pieces("\n".repeat(3_000_000)), 16)) expect(line).toBeUndefined();
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
  });
});
