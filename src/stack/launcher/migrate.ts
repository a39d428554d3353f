// `migrate`: creates topics first (a Kafka-engine table looks for its topic when it is created, and then not
// again for minutes), then the schemas. Both are separate processes, because topics need Node. Safe at any
// time, even twice at once.

import { spawn } from "node:child_process";
import { join } from "node:path";
import { projectRoot, type Tools } from "../tools.ts";

const stepMaxMs = 120_000;

export type MigrateCommandOptions = {
  signal?: AbortSignal;
  /** Added to the environment, for engines that are not at their usual addresses. */
  env?: Record<string, string>;
};

export async function migrate(
  tools: Tools,
  report: (line: string) => void,
  options: MigrateCommandOptions = {},
): Promise<void> {
  await runStep("Kafka topics", [tools.node, join(projectRoot, "src/main/topics.ts")], options);
  report("Kafka: topics exist");
  for (const line of await runStep(
    "migrations",
    [tools.bun, join(projectRoot, "src/main/migrate.ts")],
    options,
  ))
    report(line);
}

/** Runs the step to its end and returns the lines it printed. @throws Error with them when it fails */
function runStep(
  what: string,
  [file = "", ...args]: readonly string[],
  { signal, env }: MigrateCommandOptions,
): Promise<string[]> {
  const options = {
    cwd: projectRoot,
    env: { ...process.env, ...env },
    timeout: stepMaxMs,
    ...(signal && { signal }),
  };
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    child.stdout.on("data", (bytes: Buffer) => (said += bytes.toString()));
    child.stderr.on("data", (bytes: Buffer) => (said += bytes.toString()));
    child.on("error", (error) => reject(new Error(`${what}: ${error.message}`)));
    child.on("close", (code) => {
      const lines = said.trimEnd().split("\n");
      if (code === 0) resolve(lines);
      else
        reject(
          new Error(
            `${what} failed. Are the engines up (./sluice status)? It said:\n${lines.slice(-8).join("\n")}`,
          ),
        );
    });
  });
}
