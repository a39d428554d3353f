// The stack of a run: the foreign operator, the whole gateway as `./sluice up` starts it, with routes that
// lead only to that operator, and customers with money. Leaves sending and judging to proof.ts.
// Invariant: whatever happens, both are stopped.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createIdFactory } from "../../src/core/id.ts";
import { createKey } from "../../src/customers/api-keys.ts";
import { createCustomer } from "../../src/customers/customers.ts";
import { topUp } from "../../src/ledger/topup.ts";
import { createPool, type Pool } from "../../src/platform/mysql.ts";
import { projectRoot } from "../../src/stack/tools.ts";
import { createLauncher, type Launcher, type Running } from "../support/launcher.ts";
import { PRICE, TOPUP } from "./money.ts";
import { type Peer, PEER_PASSWORD, startPeer } from "./peer.ts";
import type { Customer } from "./send.ts";

export type PeerStack = {
  launcher: Launcher;
  peer: Peer;
  pool: Pool;
  customers: Customer[];
  /** `logsTo`: where to keep the logs of all processes. */
  stop(logsTo: string | null): Promise<void>;
};

const FOLDER = ".sluice-test-peer";
const PORT_OFFSET = 12_700;
const READY_MAX_MS = 120_000;
/** Enough that none of them is held: that is not what is tried here. */
const CUSTOMERS = 20;

/** `folder`: for the operator's record and log. */
export async function startPeerStack(folder: string): Promise<PeerStack> {
  const routes = join(projectRoot, FOLDER, "routes.yaml");
  const launcher = createLauncher({
    portOffset: PORT_OFFSET,
    folder: FOLDER,
    env: { SLUICE_ROUTES: routes },
  });
  const breakOff = () => {
    launcher.wipe();
    process.exit(130); // a shell's exit code for an interrupted command
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, breakOff);
  launcher.wipe(); // what a killed earlier run left
  const peer = await startPeer(folder);
  let running: Running | null = null;
  let pool: Pool | null = null;
  const stop = async (logsTo: string | null) => {
    await pool?.end();
    if (logsTo !== null) cpSync(join(launcher.stateFolder, "logs"), logsTo, { recursive: true });
    launcher.wipe(); // ends everything in order, with `./sluice down`
    await running?.exit;
    await peer.stop();
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.off(signal, breakOff);
  };
  try {
    mkdirSync(launcher.stateFolder, { recursive: true });
    const text = readFileSync(join(import.meta.dirname, "routes.yaml"), "utf8");
    writeFileSync(routes, text.replaceAll("port: PEER_PORT", `port: ${peer.port}`));
    writeFileSync(join(launcher.stateFolder, "peer-password"), `${PEER_PASSWORD}\n`);
    running = launcher.up();
    await launcher.untilReady(running, READY_MAX_MS);
    pool = createPool(launcher.config, { connections: 4, multipleStatements: true });
    return { launcher, peer, pool, customers: await makeCustomers(pool), stop };
  } catch (error) {
    await stop(null);
    throw error;
  }
}

async function makeCustomers(pool: Pool): Promise<Customer[]> {
  const id = createIdFactory({ now: Date.now });
  const customers: Customer[] = [];
  for (let n = 0; n < CUSTOMERS; n++) {
    const prices = { priceNormal: PRICE, priceExpress: PRICE, rateLimit: null };
    const customerId = await createCustomer(pool, { name: `peer ${n}`, ...prices });
    await topUp({ pool, id, now: Date.now }, customerId, TOPUP, "opening");
    const { apiKey } = await createKey({ pool, id }, customerId);
    customers.push({ customerId, apiKey });
  }
  return customers;
}
