// deploy/systemd/: each role but the simulated operators has a unit that runs it as the table of roles says,
// on the port that the pages name; systemd itself accepts the files; the README's blocks do what they say.

import { afterAll, describe, expect, test } from "bun:test";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DRAIN_MS } from "../src/core/limits.ts";
import { healthPortOf, settings } from "../src/platform/config.ts";
import { type RoleKind, type RoleRow, ROLES } from "../src/stack/role-table.ts";
import { freePorts } from "./support/ports.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "deploy/systemd");
const read = (path: string): string => readFileSync(join(root, path), "utf8");
const readme = read("deploy/systemd/README.md");
const units = readdirSync(folder).filter((name) => /\.(service|target)$/.test(name));

/** Roles that a gateway has outside the local stack. */
const roles = (Object.keys(ROLES) as RoleKind[]).filter((role) => role !== "operator");
const portOf = (role: RoleKind): number =>
  healthPortOf(settings.healthPort.fallback, (ROLES[role] as RoleRow).healthOffset ?? Number.NaN, 1);
const unitOf = (role: RoleKind): string => `sluice-${role}${role === "admin" ? "" : "@"}.service`;
const commandOf = (role: RoleKind): string => {
  const { runtime, command }: RoleRow = ROLES[role];
  return `${runtime} src/main/${command.join(" ")}`;
};

/** The values of a unit file, by their keys. */
function valuesOf(unit: string): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const line of readFileSync(join(folder, unit), "utf8").split("\n")) {
    const [, key, value = ""] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (key !== undefined) values.set(key, [...(values.get(key) ?? []), value]);
  }
  return values;
}

const scratch = mkdtempSync(join(tmpdir(), "sluice-test-systemd-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("each role has a unit, and there is no other", () => {
  expect(units.toSorted()).toEqual([...roles.map(unitOf), "sluice.target"].toSorted());
});

describe.each(roles)("the unit of %s", (role) => {
  const unit = unitOf(role);
  const values = valuesOf(unit);
  const [start = ""] = values.get("ExecStart") ?? [];
  const script = /^\/bin\/bash -c '(.*)'$/.exec(start)?.[1] ?? "";

  test("runs the role's command, as the table says", () => {
    const { reloads, nice }: RoleRow = ROLES[role];
    expect(script).toBe(`. scripts/env.sh && exec ${commandOf(role)}`);
    expect(values.get("ExecReload")).toEqual(reloads ? ["/bin/kill -HUP $MAINPID"] : undefined);
    expect(values.get("Nice")).toEqual([String(nice)]);
    const numbered = values.get("Environment")?.includes("SLUICE_PROCESS_NUMBER=%i");
    expect(numbered).toBe(unit.includes("@"));
  });

  test("starts it again whatever ends it, and waits until it has drained", () => {
    expect(values.get("Restart")).toEqual(["always"]);
    expect(values.get("StartLimitIntervalSec")).toEqual(["0"]);
    expect(Number(values.get("TimeoutStopSec"))).toBeGreaterThan(DRAIN_MS / 1_000);
    expect(values.get("PartOf")).toEqual(["sluice.target"]);
    expect(values.get("WantedBy")).toEqual(["sluice.target"]);
    expect(values.has("MemoryDenyWriteExecute")).toBe(false); // neither runtime starts with it
  });

  test("its command takes the health port that the pages name", () => {
    const env = { ...process.env };
    delete env.SLUICE_HEALTH_PORT;
    const help = execFileSync("/bin/bash", ["-c", `${script} --help`], {
      cwd: root,
      env,
      encoding: "utf8",
    });
    const [, port] = /^ *SLUICE_HEALTH_PORT .* default (\d+)$/m.exec(help) ?? [];
    expect(Number(port)).toBe(portOf(role));
    const comment = readFileSync(join(folder, unit), "utf8").split("\n[Unit]")[0];
    const said = unit.includes("@") ? `${portOf(role) - 1} + N.` : `${portOf(role)}.`;
    expect(comment).toEndWith(`health port is ${said}`);
    expect(read("docs/OPERATIONS.md")).toContain(`| ${role} | \`${commandOf(role)}\` | ${portOf(role)} |`);
    expect(read("Makefile")).toContain(`$(in_env) ${commandOf(role)}\n`);
    expect(read("deploy/prometheus/prometheus.yml")).toContain(`"127.0.0.1:${portOf(role)}"`);
  }, 60_000);
});

test("no two processes of a machine have one health port", () => {
  const numbers = Array.from({ length: settings.processNumber.max }, (_, at) => at);
  const ports = roles.flatMap((role) => numbers.map((at) => portOf(role) + at));
  expect(new Set(ports).size).toBe(ports.length);
});

test("a role whose health port is taken ends with an error that names the setting", async () => {
  const port = await freePorts(1);
  const taken = Bun.serve({ port, hostname: "127.0.0.1", fetch: () => new Response("taken") });
  try {
    const env = { ...process.env, SLUICE_HEALTH_PORT: String(port), SLUICE_LOG_LEVEL: "info" };
    const { status, stdout } = spawnSync("node", ["src/main/relay.ts"], { cwd: root, env, encoding: "utf8" });
    expect(stdout).toContain(
      `no health port on 127.0.0.1:${port}: see SLUICE_HEALTH_HOST, SLUICE_HEALTH_PORT`,
    );
    expect(status).toBe(70);
  } finally {
    await taken.stop(true);
  }
}, 60_000);

// Debian has it wherever systemd is; a container may have neither.
const analyze = ["/usr/bin/systemd-analyze", "/bin/systemd-analyze"].find(existsSync);
const faultsOf = (files: string[]): string => {
  if (analyze === undefined) return "";
  const { stdout, stderr } = spawnSync(analyze, ["verify", "--man=no", ...files], { encoding: "utf8" });
  return (stdout + stderr)
    .split("\n")
    .filter((line) => line.includes("sluice"))
    .join("\n");
};

test("systemd accepts the files", () => {
  expect(faultsOf(units.map((unit) => join(folder, unit)))).toBe("");
  const unit = unitOf("admin");
  const planted = join(scratch, unit);
  writeFileSync(planted, readFileSync(join(folder, unit), "utf8").replace("Restart=always", "Restart=maybe"));
  expect(faultsOf([planted]).includes("restart specifier")).toBe(analyze !== undefined);
}, 60_000);

test("sluice.env names settings that exist, and no port or number that processes would share", () => {
  const known = Object.values(settings).map(({ env }) => env as string);
  const given = [...read("deploy/systemd/sluice.env").matchAll(/^([A-Z_]+)=/gm)].map(([, name = ""]) => name);
  expect(given.filter((name) => name !== "SLUICE_CACHE" && !known.includes(name))).toEqual([]);
  expect(given).not.toContain("SLUICE_HEALTH_PORT");
  expect(given).not.toContain("SLUICE_PROCESS_NUMBER");
  expect(given).toEqual(expect.arrayContaining(["SLUICE_OTP_SECRET", "SLUICE_EDGE_SECRET", "SLUICE_ROUTES"]));
});

test("migrate.env has only what sluice.env has too, with another value", () => {
  const rows = (file: string) => read(`deploy/systemd/${file}`).match(/^[A-Z_]+=.*$/gm) ?? [];
  const [own, all] = [rows("migrate.env"), rows("sluice.env")];
  const names = all.map((row) => row.split("=")[0]);
  expect(own.map((row) => row.split("=")[0]).filter((name) => !names.includes(name))).toEqual([]);
  expect(own.find((row) => row.startsWith("SLUICE_MYSQL_USER="))).toBe("SLUICE_MYSQL_USER=sluice_migrate");
  expect(all).toContain("SLUICE_MYSQL_USER=sluice");
  for (const migrating of readme.matchAll(/^.*\.\/sluice migrate\)?$/gm))
    expect(migrating[0]).toContain(". /etc/sluice/migrate.env;");
});

test("what another machine can't use is named where the README scales out", () => {
  const [, scaling = ""] = /## Scale out\n(.*?)\n## /s.exec(readme) ?? [];
  const local = [...read("deploy/systemd/sluice.env").matchAll(/^(\w+)=127\.0\.0\.1$/gm)];
  expect(local.length).toBeGreaterThan(3);
  for (const [, name = ""] of local) expect(scaling).toContain(`\`${name}\``);
  // ClickHouse follows Kafka only when it is told.
  expect(scaling).toContain("SLUICE_CLICKHOUSE_KAFKA");
  expect(read("deploy/systemd/sluice.env")).toMatch(/^SLUICE_CLICKHOUSE_KAFKA=$/m);
});

test("whoever is told to add a sender is told that operators get more by it", () => {
  const perSender = /window.*rate.*binds/s;
  expect(/## Scale out\n(.*?)\n## /s.exec(readme)?.[1]).toMatch(perSender);
  const adding = read("docs/OPERATIONS.md").match(/^\| `Sluice.*(?:more|add) senders.*$/gim) ?? [];
  expect(adding.length).toBeGreaterThan(1);
  for (const row of adding) expect(row).toContain("(reference/operator.md#terms)");
});

test("the README names units that exist, and every port and role that it starts", () => {
  const named = [...readme.matchAll(/\bsluice-([a-z-]+)(@?)(?=\d|[ '"\n])/g)];
  expect(named.length).toBeGreaterThan(roles.length);
  for (const [, role = "", at = ""] of named)
    if (role !== "sender-" && role !== "cache") expect(units).toContain(`sluice-${role}${at}.service`);
  const start = /## Start\n+```sh\n(.*?)```/s.exec(readme)?.[1] ?? "";
  for (const role of roles) {
    expect(start).toContain(` sluice-${role}${unitOf(role).includes("@") ? "@1" : ""}`);
    expect(start).toContain(String(portOf(role)));
  }
  const reload = /systemctl reload (.*)/.exec(readme)?.[1] ?? "";
  for (const role of roles) {
    const isTold =
      reload.includes(`sluice-${role}@*`) ||
      (role.startsWith("sender") && reload.includes("'sluice-sender-*'"));
    expect(`${role} ${isTold}`).toBe(`${role} ${(ROLES[role] as RoleRow).reloads}`);
  }
});

test("the README's second block puts files where the units look for them, and secrets out of sight", () => {
  const blocks = [...readme.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) => block);
  const install = (blocks[1] ?? "")
    .replaceAll("cd /opt/sluice", `cd '${root}'`)
    .replaceAll(/ (\/etc\/[\w/.]+)/g, (_, path: string) => ` ${scratch}${path}`)
    .replaceAll(/^(id|systemctl) .*$/gm, "true")
    .replaceAll("-o sluice -g sluice", "");
  execFileSync("bash", ["-euc", `mkdir -p ${scratch}/etc/systemd/system\n${install}`]);
  expect(readdirSync(join(scratch, "etc/systemd/system")).toSorted()).toEqual(units.toSorted());
  expect(statSync(join(scratch, "etc/sluice/sluice.env")).mode & 0o777).toBe(0o600);
  const env = readFileSync(join(scratch, "etc/sluice/sluice.env"), "utf8");
  const [, routes = ""] = /^SLUICE_ROUTES=(.*)$/m.exec(env) ?? [];
  expect(existsSync(join(scratch, routes))).toBe(true);
  for (const role of roles)
    expect(valuesOf(unitOf(role)).get("EnvironmentFile")).toEqual(["/etc/sluice/sluice.env"]);
  expect(valuesOf("sluice-admin.service").get("ReadWritePaths")).toEqual([
    `-${routes.replace(/\/[^/]*$/, "")}`,
  ]);
});
