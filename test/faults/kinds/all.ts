// Every kind of fault with the function that carries it out.

import type { Kind } from "../plan.ts";
import type { Injector } from "./context.ts";
import { diskFull, kafkaOutage } from "./engines.ts";
import { cutCommit, latency, reset } from "./lines.ts";
import { links, operatorHangs, routes } from "./operators.ts";
import { kill, killAll, pause, restart } from "./processes.ts";
import { rebalance, rewind, senderSleeps } from "./senders.ts";

export const INJECTORS: Record<Kind, Injector> = {
  kill,
  "kill-all": killAll,
  restart,
  pause,
  "cut-commit": cutCommit,
  reset,
  latency,
  "operator-hangs": operatorHangs,
  links,
  routes,
  rebalance,
  rewind,
  "disk-full": diskFull,
  "kafka-outage": kafkaOutage,
  "sender-sleeps": senderSleeps,
  "poll-limit": senderSleeps,
};
