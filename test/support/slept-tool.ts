// A program for session.test.ts, run by Node as the senders are: an answer comes, the process stands still
// until after the submit's time, and what the submit ended with is printed as JSON.

import { binding, until } from "./smpp-peer.ts";
import { openBound, submitsOf } from "./smpp-session.ts";

const { link, submit, results } = await openBound(binding);
const overdueMs = performance.now() + 1_100;
submit(1_000);
const submits = await submitsOf(link, 1);
// Timers are what comes after this, before the sockets are read.
await new Promise((resolve) => setImmediate(resolve));
link.answer(submits[0] as (typeof submits)[0], 0, "here");
while (performance.now() < overdueMs);
console.log(JSON.stringify(await until(() => results[0])));
process.exit(0);
