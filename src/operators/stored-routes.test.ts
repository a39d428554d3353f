// The routes file as a text: its version, and that it is only ever replaced whole.

import { afterAll, beforeEach, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SluiceError } from "../core/errors.ts";
import { readStored, stage } from "./stored-routes.ts";

const folder = mkdtempSync(join(tmpdir(), "sluice-test-stored-"));
const path = join(folder, "routes.yaml");
const OLD = "operators:\n  A: { kind: http, url: http://a, price: 1 }\n";
const NEW = Buffer.from(`# ${"x".repeat(100_000)}\n${OLD}`);

beforeEach(() => {
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  writeFileSync(path, OLD);
});
afterAll(() => rmSync(folder, { recursive: true }));

test("its version is what sha256sum prints; without a file there is none", () => {
  const [printed] = spawnSync("sha256sum", [path], { encoding: "utf8" }).stdout.split(" ");
  expect(readStored({ path, env: {} })).toMatchObject({
    text: OLD,
    version: printed,
    loaded: { kind: "ok" },
  });
  writeFileSync(path, Buffer.from([0xff]));
  expect(readStored({ path, env: {} })).toMatchObject({ text: null, loaded: { kind: "bad" } });
  rmSync(path);
  expect(readStored({ path, env: {} })).toMatchObject({ text: null, version: null, loaded: { kind: "bad" } });
});

test("until it is placed the file is the one of before, then at once the new one; its mode stays", () => {
  chmodSync(path, 0o640);
  writeFileSync(`${path}.new`, "what a process that died left");
  const before = statSync(path).ino;
  const staged = stage(path, NEW);
  expect(readFileSync(path, "utf8")).toBe(OLD);
  expect(readFileSync(`${path}.new`)).toEqual(NEW);
  staged.place();
  expect(readFileSync(path)).toEqual(NEW);
  const { ino, mode } = statSync(path);
  expect(mode & 0o7777).toBe(0o640);
  // Another file that took its name, so nobody can read a part of it.
  expect(ino).not.toBe(before);
  expect(readdirSync(folder)).toEqual(["routes.yaml"]);
});

test("what is discarded leaves nothing", () => {
  stage(path, NEW).discard();
  expect(readFileSync(path, "utf8")).toBe(OLD);
  expect(readdirSync(folder)).toEqual(["routes.yaml"]);
});

test("a link stays a link: what it leads to is replaced", () => {
  const link = join(folder, "link.yaml");
  symlinkSync("routes.yaml", link);
  stage(link, NEW).place();
  expect(lstatSync(link).isSymbolicLink()).toBe(true);
  expect(readFileSync(path)).toEqual(NEW);
});

test("what the system refuses is named, whether before or at the exchange", () => {
  const problemOf = (body: () => unknown): string => {
    try {
      return String(body());
    } catch (error) {
      return error instanceof SluiceError ? `${error.code}: ${error.detail}` : String(error);
    }
  };
  const refused = "unavailable: The routes file can't be replaced (ENOENT).";
  const staged = stage(path, NEW);
  rmSync(`${path}.new`);
  expect(problemOf(() => staged.place())).toBe(refused);
  expect(readFileSync(path, "utf8")).toBe(OLD);
  rmSync(path);
  expect(problemOf(() => stage(path, NEW))).toBe(refused);
  expect(readdirSync(folder)).toEqual([]);
});
