// A clock that is the same in every thread and never goes back: performance.now() counts from each thread's
// own start.

export function monotonicMs(): number {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1_000 + nanos / 1e6;
}
