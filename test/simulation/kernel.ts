// The kernel of a simulated run: one queue of events in simulated time, and processes with their own clocks,
// which can be paused, killed and changed. While it runs, it replaces JavaScript's timers, clocks and
// randomness, so the real code runs on them unchanged; after each event all promises are run to completion.
// Invariant: everything that happens follows from the seed. Events of a dead process never happen; those of a
// paused one happen when it resumes.

import { drainMicrotasks } from "bun:jsc";
import type { Timers } from "../../src/platform/timers.ts";
import { createRandom, type Random } from "./random.ts";

export type Process = {
  readonly name: string;
  alive: boolean;
  resumesAtMs: number;
  /** How far its wall clock is ahead of true time. */
  wallOffsetMs: number;
  /** How long its monotonic clock has stood still, as on a suspended machine. */
  frozenMs: number;
};
type Event = { atMs: number; order: number; of: Process | null; run: () => void; canceled: boolean };

export type Kernel = {
  readonly random: Random;
  nowMs(): number;
  /** Runs it in the given process; null: outside of all processes. */
  after(delayMs: number, of: Process | null, run: () => void): Event;
  spawn(name: string): Process;
  kill(of: Process): void;
  /** Runs `body` as that process, up to its first wait. */
  inside<T>(of: Process, body: () => T): T;
  /** `frozen`: its monotonic clock stands still too. */
  pause(of: Process, forMs: number, frozen: boolean): void;
  current(): Process | null;
  wallMs(of: Process | null): number;
  /** All wall clocks go ahead by this much; nothing happens in the meantime. */
  leap(ms: number): void;
  timersOf(of: Process): Timers;
  note(what: string, detail: string): void;
  /** Runs events up to that time. */
  run(untilMs: number): void;
  /** Runs `body` with the globals replaced. */
  within<T>(body: () => T): T;
  /** The latest events. */
  trace(): string[];
  hash(): string;
  events(): number;
};

const START_MS = Date.UTC(2026, 0, 1);
const TRACE_MAX = 120;
const IMMEDIATE_MS = 0.002;

export function createKernel(seed: number, onNote?: (line: string) => void): Kernel {
  const random = createRandom(seed);
  const heap: Event[] = [];
  let now = 0;
  let order = 0;
  let count = 0;
  let leapedMs = 0;
  let current: Process | null = null;
  let hash = seed;
  const lines: string[] = [];

  const before = (a: Event, b: Event) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  const push = (event: Event) => {
    let i = heap.push(event) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(event, heap[parent] as Event)) break;
      heap[i] = heap[parent] as Event;
      i = parent;
    }
    heap[i] = event;
  };
  const pop = (): Event => {
    const top = heap[0] as Event;
    const last = heap.pop() as Event;
    if (heap.length === 0) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (!before(heap[child] as Event, last)) break;
      heap[i] = heap[child] as Event;
      i = child;
    }
    heap[i] = last;
    return top;
  };
  const after = (delayMs: number, of: Process | null, run: () => void): Event => {
    const event = { atMs: now + Math.max(0, delayMs), order: order++, of, run, canceled: false };
    push(event);
    return event;
  };
  const monotonicMs = () => now - (current?.frozenMs ?? 0) + 1_000_000;
  const wallMs = (of: Process | null) => Math.floor(START_MS + now + leapedMs + (of?.wallOffsetMs ?? 0));
  // Timers are never early, but late by whatever else the event loop has to do.
  const timeout = (ms: number, run: () => void) => after(ms + random.next() * 0.3, current, run);
  const every = (ms: number, run: () => void): (() => void) => {
    let event: Event;
    let stopped = false;
    const again = () => {
      event = timeout(ms, () => {
        run();
        if (!stopped) again();
      });
    };
    again();
    return () => {
      stopped = true;
      event.canceled = true;
    };
  };
  const note = (what: string, detail: string) => {
    const line = `${now.toFixed(3)} ${current?.name ?? "-"} ${what} ${detail}`;
    for (let i = 0; i < line.length; i++) hash = Math.imul(hash ^ line.charCodeAt(i), 0x01000193);
    onNote?.(line);
    if (lines.length === 2 * TRACE_MAX) lines.splice(0, TRACE_MAX);
    lines.push(line);
  };

  const handleOf = (cancel: () => void) => {
    const handle = { cancel, unref: () => handle, ref: () => handle };
    return handle;
  };
  type Handle = ReturnType<typeof handleOf> | undefined;
  const clear = (handle: Handle) => handle?.cancel();
  const cancelOf = (event: Event) => handleOf(() => (event.canceled = true));
  const replaced: [object, string, unknown][] = [
    [
      globalThis,
      "setTimeout",
      (run: (...a: unknown[]) => void, ms = 0, ...args: unknown[]) =>
        cancelOf(timeout(ms, () => run(...args))),
    ],
    [
      globalThis,
      "setImmediate",
      (run: (...a: unknown[]) => void, ...args: unknown[]) =>
        cancelOf(after(IMMEDIATE_MS, current, () => run(...args))),
    ],
    [globalThis, "setInterval", (run: () => void, ms = 1) => handleOf(every(ms, run))],
    [globalThis, "clearTimeout", clear],
    [globalThis, "clearInterval", clear],
    [globalThis, "clearImmediate", clear],
    [Date, "now", () => wallMs(current)],
    [Math, "random", random.next],
    [performance, "now", monotonicMs],
    [
      process,
      "hrtime",
      () => {
        const ms = monotonicMs();
        return [Math.floor(ms / 1_000), Math.floor((ms % 1_000) * 1e6)];
      },
    ],
  ];

  return {
    random,
    nowMs: () => now,
    after,
    spawn: (name) => ({ name, alive: true, resumesAtMs: 0, wallOffsetMs: 0, frozenMs: 0 }),
    kill(of) {
      of.alive = false;
    },
    inside(of, body) {
      const outer = current;
      current = of;
      const result = body();
      drainMicrotasks();
      current = outer;
      return result;
    },
    pause(of, forMs, frozen) {
      const fromMs = Math.max(now, of.resumesAtMs);
      of.resumesAtMs = Math.max(of.resumesAtMs, now + forMs);
      if (frozen) of.frozenMs += of.resumesAtMs - fromMs;
    },
    current: () => current,
    wallMs,
    leap(ms) {
      leapedMs += ms;
    },
    timersOf: (of) => ({
      monotonicMs,
      sleep: (ms) => new Promise((resolve) => timeout(ms, () => resolve())),
      soon: (run) => void after(IMMEDIATE_MS, of, run),
      after: (ms, run) => void timeout(ms, run),
      every,
      random: random.next,
    }),
    note,
    run(untilMs) {
      while (heap.length > 0) {
        const event = pop();
        if (event.canceled || event.of?.alive === false) continue;
        if (event.atMs > untilMs) {
          push(event);
          now = untilMs;
          return;
        }
        now = event.atMs;
        if (event.of !== null && event.of.resumesAtMs > now) {
          event.atMs = event.of.resumesAtMs;
          push(event);
          continue;
        }
        current = event.of;
        count++;
        event.run();
        drainMicrotasks();
        current = null;
      }
    },
    within(body) {
      const kept = replaced.map(([on, name]) => Object.getOwnPropertyDescriptor(on, name));
      for (const [on, name, value] of replaced)
        Object.defineProperty(on, name, { value, configurable: true, writable: true });
      try {
        return body();
      } finally {
        replaced.forEach(([on, name], i) => {
          const was = kept[i];
          if (was === undefined) Reflect.deleteProperty(on, name);
          else Object.defineProperty(on, name, was);
        });
      }
    },
    trace: () => lines.slice(-TRACE_MAX),
    hash: () => (hash >>> 0).toString(16).padStart(8, "0"),
    events: () => count,
  };
}
