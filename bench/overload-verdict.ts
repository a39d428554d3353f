// The verdict of bench/overload: goodput is GOODPUT_MIN of the peak, refusals take REFUSED_P99_MS at most,
// what others than the flood send is accepted, the process stays below RSS_MAX_MB, what was answered is
// stored, and nothing else was answered. A run in which nothing was refused shows nothing of refusals, and
// fails.

const GOODPUT_MIN = 0.9;
const REFUSED_P99_MS = 50;
const OTHERS_ACCEPTED_MIN = 0.99;
const RSS_MAX_MB = 512;
/** Statuses of an answer that turns a request away. */
export const REFUSALS = ["429", "503"];

export type Figures = {
  goodput_ratio: number;
  refused: { count: number; p99_ms: number };
  others_accepted: number;
  rss_max_mb: number;
};

export function failuresOf(
  figures: Figures,
  /** Of each load: how often which status came instead of 202. */
  notAccepted: readonly Record<string, number>[],
  { answered, stored }: { answered: number; stored: number },
): string[] {
  const failures: string[] = [];
  const must = (holds: boolean, what: string) => {
    if (!holds) failures.push(what);
  };
  const { goodput_ratio, refused, others_accepted, rss_max_mb } = figures;
  must(goodput_ratio >= GOODPUT_MIN, `goodput: ${goodput_ratio} of the peak, ${GOODPUT_MIN} at least`);
  if (refused.count === 0) failures.push(`refusals: none refused, so p99 ${REFUSED_P99_MS} ms is not shown`);
  must(refused.p99_ms <= REFUSED_P99_MS, `refusals: p99 ${refused.p99_ms} ms, ${REFUSED_P99_MS} at most`);
  must(
    others_accepted >= OTHERS_ACCEPTED_MIN,
    `others: ${others_accepted} of their messages are accepted, ${OTHERS_ACCEPTED_MIN} at least`,
  );
  must(rss_max_mb <= RSS_MAX_MB, `memory: ${rss_max_mb} MB, ${RSS_MAX_MB} at most`);
  must(stored === answered, `${stored} messages are stored, ${answered} were answered`);
  for (const statuses of notAccepted)
    for (const [status, count] of Object.entries(statuses))
      if (!REFUSALS.includes(status)) failures.push(`${count} requests were answered ${status}`);
  return failures;
}
