// Runs `./sluice` as a user does, on its own stack: a state folder and ports that no other test uses. `wipe`
// stops what is left and removes the folder.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { StackStatus } from "../../src/stack/launcher/status.ts";
import { type Config, loadConfig } from "../../src/platform/config.ts";
import { testSettings } from "../../src/stack/test-env.ts";
import { projectRoot } from "../../src/stack/tools.ts";

const TEST_PORTS = 10_000; // the default in test-env.ts
const RECONCILE_TRIES = 20;
const RECONCILE_AGAIN_MS = 2_000;

export type Running = {
  pid: number;
  /** Everything it has printed so far, on both streams. */
  output(): string;
  /** Resolves with the exit code, or null if a signal ended it. */
  exit: Promise<number | null>;
};

export type Launcher = {
  config: Config;
  stateFolder: string;
  /** Runs `./sluice up …` in its own process group, like a foreground job of a terminal. */
  up(...args: string[]): Running;
  /** Runs another command to its end. */
  run(...args: string[]): { status: number | null; stdout: string; stderr: string };
  status(): StackStatus;
  /**
   * Waits until `./sluice status` is ready. @throws Error with what isn't ready, and the launcher's output
   */
  untilReady(running: Running, maxMs: number): Promise<void>;
  /** The pids of living processes that were started for this state folder. */
  left(): number[];
  wipe(): void;
};

export function createLauncher(options: {
  /** Added to the default ports; SLUICE_TEST_PORTS moves these ports as it does the other tests' ports. */
  portOffset: number;
  folder: string;
  /** Settings that differ from their defaults. */
  env?: Record<string, string>;
}): Launcher {
  const moved = Number(process.env.SLUICE_TEST_PORTS ?? TEST_PORTS) - TEST_PORTS;
  const settings = testSettings({
    SLUICE_TEST_PORTS: String(options.portOffset + moved),
    SLUICE_TEST_STATE: options.folder,
  });
  const env = { ...process.env, ...settings, ...options.env };
  const config = loadConfig(env);
  const command = join(projectRoot, "sluice");
  const run = (...args: string[]) =>
    spawnSync(command, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 120_000 });
  const status = () => JSON.parse(run("status", "--json").stdout) as StackStatus;
  return {
    config,
    stateFolder: config.stateFolder,
    run,
    status,
    up: (...args) =>
      follow(spawn(command, ["up", ...args], { env, detached: true, stdio: ["ignore", "pipe", "pipe"] })),
    async untilReady(running, maxMs) {
      const deadlineMs = performance.now() + maxMs;
      let ended = false;
      void running.exit.then(() => (ended = true));
      for (;;) {
        if (ended) throw new Error(`./sluice up has ended:\n${running.output()}`);
        const isLate = performance.now() > deadlineMs;
        // Without the welcome text, the ready stack may be one that an earlier launcher left behind. And to
        // ask for the status again and again takes a core from those that are starting.
        const welcomed = running.output().includes("Sluice is ready");
        if (isLate || welcomed) {
          const { ready, processes } = status();
          if (welcomed && ready && processes.every(({ health }) => health === "ready")) return;
          if (isLate) throw new Error(`not ready: ${JSON.stringify(processes)}\n${running.output()}`);
        }
        await Bun.sleep(100);
      }
    },
    left: () => processesOf(config.stateFolder),
    wipe() {
      run("down");
      for (const pid of processesOf(config.stateFolder)) process.kill(pid, "SIGKILL");
      rmSync(config.stateFolder, { recursive: true, force: true });
    },
  };
}

function follow(child: ChildProcess): Running {
  let said = "";
  child.stdout?.on("data", (bytes: Buffer) => (said += bytes.toString()));
  child.stderr?.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const exit = new Promise<number | null>((resolve) => child.on("exit", resolve));
  return { pid: child.pid ?? 0, output: () => said, exit };
}

// Every process of the stack inherits SLUICE_STATE; a zombie no longer has an environment.
function processesOf(stateFolder: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
        return environment.includes(`SLUICE_STATE=${stateFolder}`) ? [Number(pid)] : [];
      } catch {
        return []; // ended in the meantime, or it belongs to another user
      }
    });
}

/** `reconcile --settled`: `clean`, or what it said last; the report may take a while to catch up. */
export async function reconciled(launcher: Launcher): Promise<string> {
  let said = "";
  for (let tries = 0; tries < RECONCILE_TRIES; tries++) {
    const { status, stdout, stderr } = launcher.run("reconcile", "--settled", "--json");
    if (status === 0) return "clean";
    said = `${stdout}${stderr}`.slice(0, 2_000);
    await Bun.sleep(RECONCILE_AGAIN_MS);
  }
  return said;
}
