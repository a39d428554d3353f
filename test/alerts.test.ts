// deploy/prometheus/, checked by promtool itself: the files are valid, each alert fires when it should and
// doesn't otherwise, it asks only for metrics that exist, and the page for the person on call has an entry
// for it.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
