// The edge of the local stack: nginx with the configuration of deploy/nginx/, its placeholders filled in, run
// in the state folder. Owns the certificate (self-signed, for this stack only) and the secret by which ingest
// knows that a client address comes from the edge. Both are created once and kept.

import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Config } from "../platform/config.ts";
import type { Engine } from "./engines.ts";
import { httpAnswers, reachable } from "./probe.ts";
import { keptSecret } from "./secrets.ts";
import { projectRoot, type Tools } from "./tools.ts";

export type Edge = Engine & { ports: readonly number[] };

const templates = join(projectRoot, "deploy/nginx");
const folderOf = (stateFolder: string): string => join(stateFolder, "edge");
/** The path of the edge's certificate, for clients that have to trust it. */
export const certificateFile = (stateFolder: string): string =>
  join(folderOf(stateFolder), "certificate.pem");

/** Whether a request reaches ingest through the edge. */
export const edgeAnswers = (port: number): Promise<boolean> => httpAnswers(port, "/health");

export function createEdge(config: Config, tools: Tools, stateFolder: string, secret: string): Edge {
  if (tools.nginx === "") throw new Error("nginx is not installed. Run: scripts/install.sh");
  const folder = folderOf(stateFolder);
  // nginx's workers drop from root to `nobody`, who can't read a state folder.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  return {
    role: "edge",
    name: "edge",
    port: config.edgePort,
    ports: [config.edgePort, config.edgeTlsPort],
    command: [tools.nginx, "-p", folder, "-c", "nginx.conf", "-e", "stderr", "-g", `daemon off; ${user}`],
    cwd: folder,
    env: withLibraries(tools),
    logFile: join(stateFolder, "logs", "edge.log"),
    nice: 0,
    stopSignal: "SIGQUIT",
    stopMaxMs: 7_000, // a little more than worker_shutdown_timeout in nginx.conf
    async prepare(signal) {
      mkdirSync(join(folder, "temp"), { recursive: true });
      await makeCertificate(tools, folder, signal);
      copyFileSync(join(templates, "problems.conf"), join(folder, "problems.conf"));
      const conf = renderConf(readFileSync(join(templates, "nginx.conf"), "utf8"), {
        SLUICE_API_ADDRESS: `${reachable(config.apiHost)}:${config.apiPort}`,
        SLUICE_EDGE_HOST: config.edgeHost,
        SLUICE_EDGE_PORT: String(config.edgePort),
        SLUICE_EDGE_TLS_PORT: String(config.edgeTlsPort),
        SLUICE_EDGE_LOG: "/dev/stdout", // which is the stack's log, a file
        SLUICE_EDGE_SECRET: secret,
        SLUICE_EDGE_CERTIFICATE: "certificate.pem",
        SLUICE_EDGE_CERTIFICATE_KEY: "key.pem",
      });
      writeFileSync(join(folder, "nginx.conf"), conf, { mode: 0o600 });
    },
    ready: () => edgeAnswers(config.edgePort),
    readyMaxMs: 10_000,
  };
}

/** Fills in every ${NAME} of the template. @throws Error for a name without a value */
function renderConf(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\$\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`deploy/nginx/nginx.conf: no value for ${name}`);
    return value;
  });
}

/** The configured secret, or one kept in this state folder. @throws Error for one that nginx would misread */
export function edgeSecret(config: Config, stateFolder: string): string {
  if (config.edgeSecret !== "") {
    if (!/^[\w.~+/=-]+$/.test(config.edgeSecret))
      throw new Error("SLUICE_EDGE_SECRET may contain only letters, digits and . _ ~ + / = -");
    return config.edgeSecret;
  }
  return keptSecret(join(folderOf(stateFolder), "secret"));
}

async function makeCertificate(tools: Tools, folder: string, signal: AbortSignal | undefined): Promise<void> {
  const certificate = join(folder, "certificate.pem");
  if (existsSync(certificate)) return;
  const kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650";
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const files = ["-keyout", join(folder, "key.pem"), "-out", `${certificate}.new`];
  await promisify(execFile)(tools.openssl, [...kind.split(" "), ...names, ...files], {
    env: withLibraries(tools),
    timeout: 30_000,
    ...(signal && { signal }),
  });
  renameSync(`${certificate}.new`, certificate);
}

const withLibraries = (tools: Tools): Record<string, string | undefined> =>
  existsSync(tools.edgeLibraries) ? { ...process.env, LD_LIBRARY_PATH: tools.edgeLibraries } : process.env;
