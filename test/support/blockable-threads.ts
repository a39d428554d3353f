// For tests, preloaded with `node --import`: lets the main thread block every worker thread for ever, as an
// endless loop in one would, without a change to the worker's code. `blockThreads` resolves once they are
// about to block.

import { isMainThread } from "node:worker_threads";

const CHANNEL = "blockable-threads";

if (!isMainThread) {
  const channel = new BroadcastChannel(CHANNEL);
  channel.onmessage = () => {
    channel.postMessage("blocked");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  };
}

export async function blockThreads(): Promise<void> {
  const channel = new BroadcastChannel(CHANNEL);
  const blocked = new Promise((resolve) => (channel.onmessage = resolve));
  channel.postMessage("block");
  await blocked;
  channel.close();
}
