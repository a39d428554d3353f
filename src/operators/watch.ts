// The routes file of a role: read when the role starts, and again on SIGHUP. Invariant: a role always has a
// file without faults: with a bad one it does not start, and on SIGHUP it keeps the one it has.

import { resolve } from "node:path";
import type { Role } from "../platform/role.ts";
import { faultLines, loadWithBytes, requireRoutes, type RoutesFile } from "./routes-file.ts";
import { versionOf } from "./stored-routes.ts";

/** Digits of the file's version that tell files apart. */
const VERSION_CHARS = 12;

/**
 * Returns the file as it is now, and calls `use` with each later one. @throws Error that names every fault of
 * the first one
 */
export function watchRoutes(role: Role, use: (file: RoutesFile) => void): RoutesFile {
  const { log, metrics } = role;
  const path = resolve(role.config.routesFile);
  const first = requireRoutes(path, process.env);
  let version = shortVersion(first.bytes);
  const failed = metrics.counts("sluice_routes", ["reload_failed_total"]);
  let loadedAtMs = Date.now();
  metrics.gauge("sluice_routes_loaded_timestamp_seconds", () => loadedAtMs / 1_000);
  metrics.gauges("sluice_routes_info", () => [[{ sha256: version }, 1]]);
  role.onReload(() => {
    const { bytes, loaded: next } = loadWithBytes(path, process.env);
    if (next.kind === "bad") {
      failed.reload_failed_total++;
      for (const fault of faultLines(path, next.faults)) log.error({ fault }, "a fault in the routes file");
      log.error({ faults: next.faults.length }, "the routes file is refused; the one of before stays in use");
      return;
    }
    use(next.file);
    version = shortVersion(bytes as Uint8Array);
    loadedAtMs = Date.now();
    const { operators, routes } = next.file;
    log.info({ path, operators: operators.map(({ name }) => name), routes: routes.length }, "routes loaded");
  });
  return first.file;
}

const shortVersion = (bytes: Uint8Array): string => versionOf(bytes).slice(0, VERSION_CHARS);
