import { afterAll, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commitOf } from "./commit.ts";

const scratch = mkdtempSync(join(tmpdir(), "sluice-test-commit-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("the commit is git's: of a branch, loose or packed, of a worktree, and of none; empty without a checkout", () => {
  const root = join(scratch, "checkout");
  mkdirSync(root);
  expect(commitOf(root)).toBe("");
  const git = (folder: string, ...args: string[]) =>
    execFileSync("git", ["-c", "user.name=t", "-c", "user.email=t@example.com", ...args], {
      cwd: folder,
      encoding: "utf8",
    }).trim();
  git(root, "init", "--quiet", "--initial-branch", "some/branch");
  expect(commitOf(root)).toBe(""); // nothing is committed yet
  git(root, "commit", "--quiet", "--allow-empty", "--message", "one");
  const one = git(root, "rev-parse", "HEAD").slice(0, 12);
  expect(one).toMatch(/^[0-9a-f]{12}$/);
  expect(commitOf(root)).toBe(one);
  git(root, "pack-refs", "--all");
  expect(commitOf(root)).toBe(one);
  git(root, "commit", "--quiet", "--allow-empty", "--message", "two");
  const two = git(root, "rev-parse", "HEAD").slice(0, 12);
  expect(commitOf(root)).toBe(two);
  const other = join(scratch, "worktree");
  git(root, "worktree", "add", "--quiet", "-b", "other", other, one);
  expect(commitOf(other)).toBe(one);
  git(root, "checkout", "--quiet", "--detach", one);
  expect(commitOf(root)).toBe(one);
});
