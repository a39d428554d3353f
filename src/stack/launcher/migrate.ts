// `migrate`: creates topics first (a Kafka-engine table looks for its topic when it is created, and then not
// again for minutes), then the schemas. Both are separate processes, because topics need Node. Safe at any
// time, even twice at once.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { projectRoot, type Tools } from "../tools.ts";

const sayRunningMs = 15_000;

export type MigrateCommandOptions = {
  signal?: AbortSignal;
  /** Added to the environment, for engines that are not at their usual addresses. */
  env?: Record<string, string>;
  /** Called with the pid of each step; what it returns when that has ended. */
  record?: (pid: number) => () => void;
};

export async function migrate(
  tools: Tools,
  report: (line: string) => void,
  options: MigrateCommandOptions = {},
): Promise<void> {
  const topics = [tools.node, join(projectRoot, "src/main/topics.ts")];
  await runStep("Kafka topics", topics, report, options);
  report("Kafka: topics exist");
  const schemas = [tools.bun, join(projectRoot, "src/main/migrate.ts")];
  for (const line of await runStep("migrations", schemas, report, options)) report(line);
}

/**
 * Runs the step to its end, however long a large table takes, and returns the lines it printed.
 * @throws Error with them when it fails
 */
function runStep(
  what: string,
  [file = "", ...args]: readonly string[],
  report: (line: string) => void,
  { signal, env, record }: MigrateCommandOptions,
): Promise<string[]> {
  const options = {
    cwd: projectRoot,
    env: { ...process.env, ...env },
    ...(signal && { signal }),
  };
  return new Promise((resolve, reject) => {
    // In a session of its own, as its record says that all of that may be ended.
    const detached = record !== undefined;
    const child = spawn(file, args, { ...options, detached, stdio: ["ignore", "pipe", "pipe"] });
    const forget = child.pid === undefined ? undefined : record?.(child.pid);
    let said = "";
    let ranMs = 0;
    const telling = setInterval(() => {
      ranMs += sayRunningMs;
      report(`${what}: still running after ${ranMs / 1000} s`);
    }, sayRunningMs);
    child.stdout.on("data", (bytes: Buffer) => (said += bytes.toString()));
    child.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
    child.on("error", (error) => {
      clearInterval(telling);
      reject(new Error(`${what}: ${error.message}`));
    });
    child.on("close", (code) => {
      clearInterval(telling);
      forget?.();
      const lines = said.trimEnd().split("\n");
      if (code === 0) resolve(lines);
      else
        reject(
          new Error(`${what} failed:\n${lines.slice(-8).join("\n")}\nEngines are shown by: ./sluice status`),
        );
    });
  });
}
