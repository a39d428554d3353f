// Compares what the pages say with the code: links lead somewhere, tests named there exist under that title,
// limits, settings and metrics exist, and a value given after a limit's name is the limit's value.

import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { below, type Page, pages, read } from "../../test/support/pages.ts";
import * as accessLimits from "../core/access-limits.ts";
import * as batchLimits from "../core/batch-limits.ts";
import * as scheduleLimits from "../core/schedule-limits.ts";
import * as inboundLimits from "../core/inbound-limits.ts";
import * as limits from "../core/limits.ts";
import * as poolLimits from "../core/pool-limits.ts";
import * as streamLimits from "../core/stream-limits.ts";
import * as webhookLimits from "../core/webhook-limits.ts";
import { settings } from "../platform/config.ts";
import { REPORTS } from "../operators/reports/settings.ts";
import { METRICS } from "../platform/metrics-table.ts";
import { projectRoot } from "../stack/tools.ts";

const code = below("src", ".ts")
  .filter((path) => !path.endsWith(".test.ts"))
  .map(read)
  .join("\n");

/** The anchor that GitHub makes of a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
const anchorsOf = (text: string): string[] =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => anchorOf(heading));

function brokenLinks({ path, text }: Page): string[] {
  const broken: string[] = [];
  for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^(https?|mailto):/.test(target)) continue;
    const [file = "", anchor] = target.split("#");
    const at = normalize(join(dirname(path), file));
    if (!existsSync(join(projectRoot, at))) broken.push(`${path}: ${target}`);
    else if (anchor !== undefined && !anchorsOf(file === "" ? text : read(at)).includes(anchor))
      broken.push(`${path}: ${target} has no such heading`);
  }
  return broken;
}

const NAMED_TEST = /`([\w./-]+\.test\.ts)`(?:\s+"([^"]+)")?/g;

/** `…/x.test.ts` "title": the file must have a test of that title, not only one that begins so. */
function missingTests({ path, text }: Page): string[] {
  const missing: string[] = [];
  for (const [, file = "", title] of text.matchAll(NAMED_TEST)) {
    if (!file.includes("/")) continue;
    if (!existsSync(join(projectRoot, file))) missing.push(`${path}: ${file}`);
    else if (title !== undefined && !hasTest(read(file), title.replace(/\s+/g, " ")))
      missing.push(`${path}: ${file} has no test "${title}"`);
  }
  return missing;
}

const sources: Page[] = ["src", "test", "bench", "clients", "scripts"]
  .flatMap((folder) => below(folder, ".ts"))
  .map((path) => ({ path, text: read(path) }));

/** Files of ours that a comment names, by the end of their path, but that don't exist. */
function missingFiles({ path, text }: Page, known: readonly Page[] = sources): string[] {
  const comments = text.split("\n").filter((line) => /^\s*(\/\/|\/?\*)/.test(line));
  const named = [
    ...comments.join("\n").matchAll(/(?<![\w/.*-])(?:\.{1,2}\/)*(\w[\w.-]*(?:\/[\w.-]+)*\.ts)\b/g),
  ];
  return named
    .filter(([, name = ""]) => !known.some((file) => `/${file.path}`.endsWith(`/${name}`)))
    .map(([, name]) => `${path}: ${name}`);
}

/** Of a title that is put together in code, its end. */
const hasTest = (source: string, title: string): boolean =>
  source.includes(`${title}"`) || source.includes(`${title}\``);

/** Items under a heading "Guarantees" that name no test with its title. */
function unproven({ path, text }: Page): string[] {
  const sections = text.split(/^(?=#+ )/m).filter((section) => /^#+ Guarantees\n/.test(section));
  const items = sections.flatMap((section) => section.split(/^- /m).slice(1));
  return items
    .filter((item) => ![...item.matchAll(NAMED_TEST)].some(([, , title]) => title !== undefined))
    .map((item) => `${path}: no test shows "${item.split("\n")[0]}"`);
}

const UNITS: Record<string, number> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, KiB: 1_024 };
const valueOf = (number: string, unit: string | undefined): number =>
  Number(number.replaceAll(",", "")) * (unit === undefined ? 1 : (UNITS[unit] ?? Number.NaN));

/** `NAME` (30 s): names of limits and settings, with their value where one is given. */
function wrongLimits({ path, text }: Page, source = code): string[] {
  const known = new Map<string, number | string>([
    ...Object.entries(limits),
    ...Object.entries(webhookLimits),
    ...Object.entries(accessLimits),
    ...Object.entries(batchLimits),
    ...Object.entries(scheduleLimits),
    ...Object.entries(poolLimits),
    ...Object.entries(streamLimits),
    ...Object.entries(inboundLimits),
    ...Object.values(settings).map((s): [string, number | string] => [s.env, s.fallback]),
  ]);
  const wrong: string[] = [];
  const named = /`((?:SLUICE_)?[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`(?:\s+\(([\d,.]+)(?: (ms|s|min|h|KiB))?\))?/g;
  for (const [, name = "", number, unit] of text.matchAll(named)) {
    if (!/_(MAX|MS|DEFAULT)$|^SLUICE_/.test(name)) continue;
    const value = known.get(name);
    if (value === undefined) {
      // A constant of one file, or a setting under its environment name: known, but without a value to
      // compare.
      const isNamed = source.includes(`const ${name} =`) && number === undefined;
      if (!isNamed) wrong.push(`${path}: there is no ${name}`);
    } else if (number !== undefined && valueOf(number, unit) !== value)
      wrong.push(`${path}: ${name} is ${value}, not ${number} ${unit ?? ""}`);
  }
  return wrong;
}

/** Metrics that are missing from the table. */
function unknownMetrics({ path, text }: Page): string[] {
  return [...text.matchAll(/`(sluice_[a-z_]+)[`{]/g)]
    .filter(([, name = ""]) => !Object.hasOwn(METRICS, name))
    .map(([, name]) => `${path}: there is no metric ${name}`);
}

const inCode = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** Keys of an operator's `reports` by the names that they have in the code: the routes file refuses those. */
function wrongKeys({ path, text }: Page): string[] {
  return Object.keys(REPORTS.properties)
    .filter((key) => inCode(key) !== key && new RegExp(`\\b${inCode(key)}\\b`).test(text))
    .map((key) => `${path}: ${inCode(key)} is ${key} in the routes file`);
}

describe("the pages", () => {
  test("have no broken links", () => expect(pages.flatMap(brokenLinks)).toEqual([]));
  test("name tests that exist", () => expect(pages.flatMap(missingTests)).toEqual([]));
  test("name a test for each guarantee", () => expect(pages.flatMap(unproven)).toEqual([]));
  test("name limits and settings that exist, with their values", () =>
    expect(pages.flatMap((page) => wrongLimits(page))).toEqual([]));
  test("name an operator's settings as the routes file does", () =>
    expect(pages.flatMap(wrongKeys)).toEqual([]));
  test("name metrics that exist", () => expect(pages.flatMap((page) => unknownMetrics(page))).toEqual([]));
});

test("comments name files that exist", () =>
  expect(sources.flatMap((source) => missingFiles(source))).toEqual([]));

describe("planted mistakes are found", () => {
  test("a file that a comment names under a name that it doesn't have", () => {
    const text = "// gone.ts, cases.test.ts, ../core/money.ts\n/** money.ts */\nconst a = 'gone.ts';";
    const known = ["src/core/money.ts", "src/receipt-cases.test.ts"].map((path) => ({ path, text: "" }));
    expect(missingFiles({ path: "src/x.ts", text }, known)).toEqual([
      "src/x.ts: gone.ts",
      "src/x.ts: cases.test.ts",
    ]);
  });

  const page = (text: string): Page => ({ path: "docs/x.md", text });

  test("a link to a missing file or heading", () => {
    expect(brokenLinks(page("[a](nothing.md) [b](reference/errors.md#no-such) [c](#here)\n# Here"))).toEqual([
      "docs/x.md: nothing.md",
      "docs/x.md: reference/errors.md#no-such has no such heading",
    ]);
  });

  test("a test under another title, and a missing file", () => {
    expect(
      missingTests(page('`src/core/money.test.ts` "costs nothing" and `src/core/gone.test.ts`, `a.test.ts`')),
    ).toEqual([
      'docs/x.md: src/core/money.test.ts has no test "costs nothing"',
      "docs/x.md: src/core/gone.test.ts",
    ]);
    expect(missingTests(page('`src/core/money.test.ts` "a cost is exact or refused"'))).toEqual([]);
    expect(missingTests(page('`src/core/money.test.ts` "a cost is exact"'))).toEqual([
      'docs/x.md: src/core/money.test.ts has no test "a cost is exact"',
    ]);
  });

  test("a guarantee without a test, or with a file only", () => {
    const proven = '- One.\n  `a/b.test.ts` "one"\n';
    const unprovenItems = "- Two. `a/b.test.ts`\n- Three.\n";
    const others = ["# X\n\n- No guarantee.\n\n", "\n## Y\n- None either.\n"];
    const text = others.join(`## Guarantees\n\n${proven}${unprovenItems}`);
    expect(unproven(page(text))).toEqual([
      'docs/x.md: no test shows "Two. `a/b.test.ts`"',
      'docs/x.md: no test shows "Three."',
    ]);
    expect(unproven(page(`## Guarantees\n\n${proven}`))).toEqual([]);
  });

  test("a limit that doesn't exist, and one with another value, in any unit", () => {
    expect(
      wrongLimits(page("`CLAIM_TTL_MS` (31 s), `CLAIM_TTL_MS` (30 s), `UNKNOWN_TTL_MS` (24 h), `GONE_MAX`")),
    ).toEqual(["docs/x.md: CLAIM_TTL_MS is 30000, not 31 s", "docs/x.md: there is no GONE_MAX"]);
    expect(
      wrongLimits(page("`SLUICE_LEASE_TTL_MS` (20 s), `SLUICE_NOTHING`, `QUEUE_ROWS_MAX` (20,000)")),
    ).toEqual(["docs/x.md: there is no SLUICE_NOTHING"]);
  });

  test("a setting of an operator by its name in the code", () => {
    expect(wrongKeys(page("`id_form`, `idForm`, `vonageSignatureSecret`, `idKeys`"))).toEqual([
      "docs/x.md: idForm is id_form in the routes file",
      "docs/x.md: vonageSignatureSecret is vonage_signature_secret in the routes file",
    ]);
  });

  test("a metric that doesn't exist", () => {
    expect(unknownMetrics(page("`sluice_relay_rows_total` `sluice_relay_cows_total{lane}`"))).toEqual([
      "docs/x.md: there is no metric sluice_relay_cows_total",
    ]);
  });
});
