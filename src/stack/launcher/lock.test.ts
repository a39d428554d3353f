import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identify } from "../process.ts";
import { lockHolder, releaseLock, takeLock } from "./lock.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-lock-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("a state folder held by a living launcher is refused with its pid; once released, it is free", () => {
  const own = takeLock(folder);
  expect(() => takeLock(folder)).toThrow(`in use by a running ./sluice up, pid ${process.pid}`);
  expect(lockHolder(folder)).toEqual(own);
  releaseLock(folder, own);
  expect(lockHolder(folder)).toBeNull();
  releaseLock(folder, takeLock(folder));
});

test("a dead launcher's lock, and a damaged one, are taken over and nothing is left beside it", () => {
  const dead = { ...identify(process.pid), startTicks: 1 };
  for (const content of [JSON.stringify(dead), "{half"]) {
    writeFileSync(join(folder, "launcher.json"), content);
    expect(lockHolder(folder)).toBeNull();
    const own = takeLock(folder);
    expect(readdirSync(folder)).toEqual(["launcher.json"]);
    releaseLock(folder, own);
  }
});
