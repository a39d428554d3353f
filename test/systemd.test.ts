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
import { ROWS } from "../src/platform/metrics-table.ts";
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

/** The blocks of a section of the README. */
const blocksOf = (head: string): string[] => {
  const section = new RegExp(`^## ${head}\\n(.*?)^## `, "ms").exec(readme)?.[1] ?? "";
  return [...section.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) => block);
};

test("an upgrade restarts readers before writers, role by role, after one migration; going back is the reverse", () => {
  const blocks = blocksOf("Upgrade");
  const loops = blocks.filter((block) => block.includes("restart-sluice $role"));
  expect(loops).toHaveLength(2);
  // Who writes what the first one reads (outbox and inbox rows, changes to tell, records).
  const order = ["webhook", "relay", "dlr", "sender-normal", "sender-express", "ingest", "admin"];
  expect(order.toSorted()).toEqual(roles.toSorted());
  for (const loop of loops) {
    expect(loop).toStartWith(`for role in ${order.join(" ")}; do\n`);
    expect(loop).toContain(" || break");
  }
  // On several machines, a role is restarted everywhere before the next one.
  expect(loops[1]).toMatch(/for role [^]* for machine in /);
  // Once, by itself, after all machines have the code and before anything is restarted.
  const withWord = (word: string) => blocks.map((_, at) => at).filter((at) => blocks[at]?.includes(word));
  expect(withWord("./sluice migrate")).toEqual([1]);
  expect(withWord("git pull")).toEqual([0]);
  expect(withWord("restart-sluice $role")).toEqual([2, 3]);
  const back = /^## Going back\n(.*?)^## /ms.exec(readme)?.[1] ?? "";
  expect([...back.matchAll(/`restart-sluice ([a-z-]+)`/g)].map(([, role]) => role)).toEqual(
    order.toReversed(),
  );
  expect(back).not.toContain("sluice migrate");
  const waited = [...back.matchAll(/`(sluice_[a-z_]+)`/g)].map(([, name = ""]) => name);
  expect(waited.filter((name) => !(name in ROWS))).toEqual([]);
  expect(waited.length).toBeGreaterThan(4);
});

/** Runs restart-sluice where systemctl has these units, of which `unready` never answer. */
function restart(role: string, running: string[], unready: string[] = []) {
  const place = mkdtempSync(join(scratch, "restart-"));
  const tool = (name: string, body: string) =>
    writeFileSync(join(place, name), `#!/bin/bash\necho "${name} $*" >>${place}/done\n${body}\n`, {
      mode: 0o755,
    });
  writeFileSync(join(place, "env"), "SLUICE_HEALTH_HOST=127.0.0.9\n");
  writeFileSync(join(place, "unready"), unready.map((url) => `${url}/ready\n`).join(""));
  const listed = running.map((unit) => `${unit} loaded active running Sluice`).join("\n");
  tool(
    "systemctl",
    `[ "$1" = list-units ] || exit 0\nfor p in "\${@:4}"; do while read -r unit rest; do
    [[ $unit != $p ]] || echo "$unit $rest"; done <<<"${listed}"; done`,
  );
  tool(
    "curl",
    `url=\${@: -1}\n! grep -qxF -- "$url" ${place}/unready || exit 7\n[[ $url != */metrics ]] || ` +
      `echo 'sluice_build_info{version="0.1.0",commit="0123456789ab",runtime="node",role="x"} 1'`,
  );
  tool("sleep", "");
  const script = read("deploy/systemd/restart-sluice").replaceAll(
    "/etc/sluice/sluice.env",
    join(place, "env"),
  );
  const { status, stdout, stderr } = spawnSync("bash", ["-c", script, "restart-sluice", role], {
    env: { ...process.env, PATH: `${place}:${process.env.PATH}` },
    encoding: "utf8",
  });
  const log = existsSync(join(place, "done")) ? readFileSync(join(place, "done"), "utf8").split("\n") : [];
  const restarted = log.filter((line) => line.startsWith("systemctl restart "));
  return { status, stdout, stderr, log, restarted: restarted.map((line) => line.split(" ").at(-1)) };
}

test("restart-sluice restarts a role's processes one by one, each once the one before is ready", () => {
  const running = [
    "sluice-sender-normal@1",
    "sluice-sender-normal@3",
    "sluice-sender-express@1",
    "sluice-admin",
  ];
  const services = running.map((unit) => `${unit}.service`);
  const done = restart("sender-normal", services);
  expect(done).toMatchObject({ status: 0, stderr: "", restarted: services.slice(0, 2) });
  expect(done.stdout).toBe(
    services
      .slice(0, 2)
      .map((unit) => `${unit} is ready and runs 0123456789ab\n`)
      .join(""),
  );
  const asked = done.log.filter((line) => line.endsWith("/ready")).map((line) => line.split(" ").at(-1));
  expect(asked).toEqual(["http://127.0.0.9:19330/ready", "http://127.0.0.9:19332/ready"]);
  const stuck = restart("sender-normal", services, ["http://127.0.0.9:19330"]);
  expect(stuck).toMatchObject({ status: 1, stdout: "", restarted: services.slice(0, 1) });
  expect(stuck.stderr).toStartWith("sluice-sender-normal@1.service is not ready: ");
  expect(restart("dlr", services)).toMatchObject({ status: 0, stdout: "", stderr: "", restarted: [] });
  expect(restart("everything", services)).toMatchObject({ status: 64, restarted: [] });
  for (const role of roles) {
    const unit = unitOf(role).replace("@", "@2");
    const { status, log } = restart(role, [unit]);
    const port = portOf(role) + (unit.includes("@") ? 1 : 0);
    expect([role, status, log.some((line) => line.endsWith(`:${port}/ready`))]).toEqual([role, 0, true]);
  }
}, 60_000);

test("the README's second block puts files where the units look for them, and secrets out of sight", () => {
  const blocks = [...readme.matchAll(/```sh\n(.*?)```/gs)].map(([, block = ""]) => block);
  const install = (blocks[1] ?? "")
    .replaceAll("cd /opt/sluice", `cd '${root}'`)
    .replaceAll(/ (\/(?:etc|usr\/local)\/[\w/.-]+)/g, (_, path: string) => ` ${scratch}${path}`)
    .replaceAll(/^(id|systemctl) .*$/gm, "true")
    .replaceAll("-o sluice -g sluice", "");
  execFileSync("bash", [
    "-euc",
    `mkdir -p ${scratch}/etc/systemd/system ${scratch}/usr/local/sbin\n${install}`,
  ]);
  expect(readdirSync(join(scratch, "etc/systemd/system")).toSorted()).toEqual(units.toSorted());
  expect(statSync(join(scratch, "usr/local/sbin/restart-sluice")).mode & 0o777).toBe(0o755);
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
