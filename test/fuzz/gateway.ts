// The gateway of a long run: all roles as `./sluice up` starts them, on a stack of its own, and a receiver of
// callbacks on this machine. Leaves what is sent to it to schemathesis.ts.
// Invariant: whatever happens, all of it is stopped.

import { copyFileSync, mkdirSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Config, settings } from "../../src/platform/config.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { createLauncher, type Launcher, type Running } from "../support/launcher.ts";
import { type Callers, makeAdmins, makeCallers, SETTINGS } from "./callers.ts";
import type { Target } from "./schemathesis.ts";

export type FuzzGateway = {
  url: string;
  callers: Callers;
  /** The customers' API and the admin API. */
  targets: readonly Target[];
  launcher: Launcher;
  pool: Pool;
  stop(): Promise<void>;
};

/** All ports stay below those that the kernel gives to outgoing connections. */
const PORT_OFFSET = 13_300;
const FOLDER = ".sluice-test-fuzz";
/** A copy: the admin API replaces it. */
const ROUTES = join(projectRoot, FOLDER, "routes.yaml");
const READY_MAX_MS = 120_000;
/** Of the callbacks, the share that is not acknowledged. */
const REFUSED_EACH = 10;

export async function startFuzzGateway(): Promise<FuzzGateway> {
  const launcher = createLauncher({
    portOffset: PORT_OFFSET,
    folder: FOLDER,
    env: Object.fromEntries(
      Object.entries({ ...SETTINGS, routesFile: ROUTES }).map(([name, value]) => [
        settings[name as keyof Config].env,
        String(value),
      ]),
    ),
  });
  const breakOff = () => {
    launcher.wipe();
    process.exit(130); // a shell's exit code for an interrupted command
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, breakOff);
  launcher.wipe(); // what a killed earlier run left
  mkdirSync(join(projectRoot, FOLDER), { recursive: true });
  copyFileSync(join(projectRoot, "routes.yaml"), ROUTES);
  const receiver = await startReceiver();
  let running: Running | null = null;
  let pool: Pool | null = null;
  const stop = async () => {
    await pool?.end();
    launcher.wipe();
    await running?.exit;
    receiver.stop();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, breakOff);
  };
  try {
    running = launcher.up();
    await launcher.untilReady(running, READY_MAX_MS);
    pool = createPool(launcher.config, { connections: 2, multipleStatements: true });
    const { apiHost, apiPort, adminHost, adminPort } = launcher.config;
    const callers = await makeCallers(pool, receiver.url);
    const { tokens, revoked, customerIds } = await makeAdmins(pool);
    const url = `http://${apiHost}:${apiPort}`;
    const adminUrl = `http://${adminHost}:${adminPort}`;
    const admin = { customers: customerIds.map(String), read: tokens.read, revoked, routes: ROUTES };
    const targets: Target[] = [
      { name: "customers", url, keys: callers.keys, callbackUrl: receiver.url },
      { name: "admins", url: adminUrl, keys: tokens, callbackUrl: receiver.url, admin },
    ];
    return { url, callers, targets, launcher, pool, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Cancels over the API what is scheduled: otherwise the books are not settled for a month. @throws Error */
export async function cancelScheduled({ url, callers, pool }: FuzzGateway): Promise<void> {
  const rows = await pool.query<{ id: string }[]>("SELECT id FROM messages WHERE status='scheduled'");
  for (const { id } of rows) {
    const headers = { "x-api-key": callers.keys.send };
    const { status } = await fetch(`${url}/v1/messages/${id}`, { method: "DELETE", headers });
    // Its time may just have come.
    if (status !== 200 && status !== 409) throw new Error(`canceling ${id} was answered ${status}`);
  }
}

async function startReceiver(): Promise<{ url: string; stop(): void }> {
  let calls = 0;
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.writeHead(calls++ % REFUSED_EACH === 0 ? 503 : 204).end());
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
