// nginx as `./sluice up --edge` runs it, in front of whatever listens on a port: on free ports, in its own
// state folder.

import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Config, loadConfig } from "../../src/platform/config.ts";
import { certificateFile, createEdge, edgeSecret } from "../../src/stack/edge.ts";
import { identify, type ProcessRecord, stopProcess } from "../../src/stack/process.ts";
import { startEngines } from "../../src/stack/stack.ts";
import { findTools } from "../../src/stack/tools.ts";
import { freePorts } from "./ports.ts";

export type TestEdge = {
  url: string;
  tlsUrl: string;
  certificate: string;
  secret: string;
  pid: number;
  /** nginx, and the environment that it needs. */
  program: string;
  env: Record<string, string | undefined>;
  log(): string;
  /** The configuration as nginx itself reads it, with everything that it includes. */
  configuration(): string;
  /** Resolves to false if it had to be killed. */
  end(): Promise<boolean>;
};

/** Something must answer GET /health on the port, otherwise the edge never becomes ready. */
export async function startEdge(apiPort: number, changed: Partial<Config> = {}): Promise<TestEdge> {
  const stateFolder = mkdtempSync(join(tmpdir(), "sluice-test-edge-"));
  const free = await freePorts(2);
  const ports = { apiPort, edgePort: free, edgeTlsPort: free + 1 };
  const config: Config = { ...loadConfig(process.env), edgeSecret: "", ...changed, ...ports };
  const secret = edgeSecret(config, stateFolder);
  const edge = createEdge(config, findTools(process.env), stateFolder, secret);
  const [record] = await startEngines([edge], stateFolder, identify(process.pid), () => undefined);
  return {
    url: `http://127.0.0.1:${ports.edgePort}`,
    tlsUrl: `https://localhost:${ports.edgeTlsPort}`,
    certificate: certificateFile(stateFolder),
    secret,
    pid: (record as ProcessRecord).pid,
    program: edge.command[0] ?? "",
    env: edge.env,
    log: () => readFileSync(edge.logFile, "utf8"),
    configuration() {
      const [command = "", ...args] = edge.command;
      const file = join(stateFolder, "configuration");
      const stdout = openSync(file, "w"); // it opens /dev/stdout again, which a pipe of Bun's doesn't allow
      execFileSync(command, [...args, "-T"], {
        cwd: edge.cwd,
        env: edge.env,
        stdio: ["ignore", stdout, "pipe"],
      });
      closeSync(stdout);
      return readFileSync(file, "utf8");
    },
    async end() {
      const byItself = await stopProcess(record as ProcessRecord, stateFolder);
      rmSync(stateFolder, { recursive: true, force: true });
      return byItself;
    },
  };
}
