// deploy/prometheus/, checked by promtool itself: the files are valid, each alert fires when it should and
// doesn't otherwise, it asks only for metrics that exist, and the page for the person on call has an entry
// for it.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ROWS } from "../src/platform/metrics-table.ts";
import { ALERT_CASES } from "./support/alert-cases.ts";
import { promtool } from "./support/promtool.ts";

type Rule = { alert: string; expr: string; labels: { severity: string }; annotations?: { summary: string } };
type Rules = { groups: { name: string; rules: Rule[] }[] };

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "deploy/prometheus");
const rulesFile = join(folder, "alerts.yml");
const rules = Bun.YAML.parse(readFileSync(rulesFile, "utf8")) as Rules;
const alerts = rules.groups.flatMap((group) => group.rules);
const names = [...new Set(alerts.map(({ alert }) => alert))].sort();

/** The options of every startPeriodic in the sources, with the longest pace that its constant holds. */
function periodicJobs(): { name: string; everyMs: number }[] {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
    .map((path) => readFileSync(join(root, "src", path), "utf8"));
  const valueIn = (text: string, constant: string): string | undefined =>
    new RegExp(`^(?:export )?const ${constant}\\b[^=]*= (.+?);`, "ms").exec(text)?.[1];
  const jobs = files.flatMap((text) =>
    [...text.matchAll(/\bname: ["`]([^"`]+)["`], everyMs(?:: (\w+)|\b)/g)].map(([, name = "", given]) => {
      const constant = given ?? /const everyMs = (\w+);/.exec(text)?.[1] ?? "";
      const value = valueIn(text, constant) ?? valueIn(files.join("\n"), constant) ?? "";
      const times = [...value.matchAll(/\d[\d_]*/g)].map(([digits]) => Number(digits.replaceAll("_", "")));
      return { name, everyMs: times.length === 0 ? Number.NaN : Math.max(...times) };
    }),
  );
  // No job is left out because its options are written in another way.
  expect(jobs).toHaveLength(files.join("\n").match(/(?<!function )startPeriodic\(/g)?.length ?? 0);
  return jobs;
}

const scratch = mkdtempSync(join(tmpdir(), "sluice-test-alerts-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("promtool accepts the rules and the sample configuration", () => {
  expect(promtool(["check", "rules", rulesFile])).toMatchObject({ status: 0 });
  expect(promtool(["check", "config", join(folder, "prometheus.yml")])).toMatchObject({ status: 0 });
});

test("each alert fires for its series, and doesn't for series just within the limits", () => {
  // promtool also compares annotations and expects their templates filled in, so they are left out.
  const bare = rules.groups.map((group) => ({
    ...group,
    rules: group.rules.map(({ annotations: _, ...rule }) => rule),
  }));
  writeFileSync(join(scratch, "rules.json"), JSON.stringify({ groups: bare }));
  const looked = (alert: string, series: Record<string, string>, at: string, expected: object[]) => ({
    interval: "30s",
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    alert_rule_test: [{ eval_time: at, alertname: alert, exp_alerts: expected }],
  });
  const tests = ALERT_CASES.flatMap(({ alert, labels = {}, fires, quiet, at = "20m" }) => {
    const severity = alerts.find((each) => each.alert === alert)?.labels.severity;
    return [
      looked(alert, fires, at, [{ exp_labels: { severity, ...labels } }]),
      looked(alert, quiet, at, []),
    ];
  });
  const file = join(scratch, "tests.json");
  writeFileSync(file, JSON.stringify({ rule_files: ["rules.json"], evaluation_interval: "30s", tests }));
  const { status, said } = promtool(["test", "rules", file]);
  expect(said).toContain("SUCCESS");
  expect(status).toBe(0);
});

test("every alert has such a case, and every case belongs to an alert", () => {
  expect([...new Set(ALERT_CASES.map(({ alert }) => alert))].sort()).toEqual(names);
});

test("every alert says how urgent it is and what is wrong", () => {
  for (const { alert, labels, annotations } of alerts) {
    expect(`${alert} ${labels.severity}`).toMatch(/ (page|ticket)$/);
    expect(`${alert} ${annotations?.summary ?? ""}`).toMatch(/ \S+ /);
  }
});

test("alerts use metrics that exist, with labels that they have", () => {
  const foreign = ["up", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"];
  const target = ["instance", "job", "role"];
  for (const { alert, expr } of alerts) {
    for (const [, name = "", selector = ""] of expr.matchAll(
      /\b((?:sluice|process|node)_\w+|up)\b(?:\{([^}]*)\})?/g,
    )) {
      if (foreign.includes(name)) continue;
      const row = ROWS[name] ?? ROWS[name.replace(/_(bucket|sum|count)$/, "")];
      expect(`${alert}: ${name} ${row !== undefined}`).toBe(`${alert}: ${name} true`);
      for (const [, label = "", value = ""] of selector.matchAll(/(\w+)=~?"([^"]*)"/g)) {
        if (target.includes(label)) continue;
        const values = row?.labels[label];
        expect(`${alert}: ${label} ${values !== undefined}`).toBe(`${alert}: ${label} true`);
        if (values === undefined || "max" in values || /[.*]/.test(value)) continue;
        for (const one of value.split("|")) expect(values).toContain(one);
      }
    }
  }
});

test("docs/OPERATIONS.md says what every alert means and what to do, and describes no other alert", () => {
  const page = readFileSync(join(root, "docs/OPERATIONS.md"), "utf8");
  const section = page.slice(
    page.indexOf("\n## Alerts"),
    page.indexOf("\n## ", page.indexOf("\n## Alerts") + 1),
  );
  const told = [...section.matchAll(/^\| `(\w+)` \| (?:page|ticket) \|/gm)].map(([, name = ""]) => name);
  expect([...new Set(told)].sort()).toEqual(names);
  for (const { alert, labels } of alerts) expect(section).toContain(`| \`${alert}\` | ${labels.severity} |`);
});

test("every periodic job that SluiceJobStuck watches runs well within the time it is given", () => {
  const { expr = "" } = alerts.find(({ alert }) => alert === "SluiceJobStuck") ?? {};
  const [, exempt = "", ageS = ""] = /\{name!~"([^"]+)"\} > (\d+)/.exec(expr) ?? [];
  const jobs = periodicJobs();
  expect(jobs.map(({ name }) => name)).toContain("webhook-purge");
  const watched = jobs.filter(({ name }) => !new RegExp(`^(?:${exempt})$`).test(name));
  const rare = watched.filter(({ everyMs }) => !(everyMs <= 0.8 * 1_000 * Number(ageS)));
  expect(rare).toEqual([]);
});
