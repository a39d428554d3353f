// A clock that is the same in all threads and never goes back; performance.now() alone counts from the start
// of each thread.

export function monotonicMs(): number {
  const [seconds, nanos] = process.hrtime();
  return seconds * 1_000 + nanos / 1e6;
}
