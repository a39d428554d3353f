// Spans, exported over OTLP-HTTP if an address is set. Off by default; then nothing of OpenTelemetry is even
// loaded. A span is recorded when its work is over, under the traceparent of its message. Leaves making and
// reading that header to trace.ts.
// Bound: SPANS_WAITING_MAX; the exporter's queue drops further spans, nothing waits for them.

import { parseTraceparent } from "./trace.ts";

export type SpanAttributes = Readonly<Record<string, string | number>>;
export type Tracing = {
  /** Decides whether a trace that begins here is exported. */
  sample(): boolean;
  /** Records one finished piece of work, in Unix milliseconds. Ignored unless its trace is sampled. */
  span(name: string, traceparent: string, startMs: number, endMs: number, attributes: SpanAttributes): void;
  /** Exports the spans that wait, then stops. */
  close(): Promise<void>;
};

const SPANS_WAITING_MAX = 2_048;
const EXPORT_EVERY_MS = 1_000;
const EXPORT_MAX_MS = 3_000;

/** `sampleEvery`: one in this many new traces is exported; a caller's own traceparent decides for itself. */
export async function createTracing(options: {
  url: string;
  role: string;
  sampleEvery: number;
}): Promise<Tracing> {
  if (options.url === "") return { sample: () => false, span: () => undefined, close: async () => undefined };
  const [api, sdk, otlp, { resourceFromAttributes }] = await Promise.all([
    import("@opentelemetry/api"),
    import("@opentelemetry/sdk-trace"),
    import("@opentelemetry/exporter-trace-otlp-http"),
    import("@opentelemetry/resources"),
  ]);
  const exporter = new otlp.OTLPTraceExporter({ url: options.url, timeoutMillis: EXPORT_MAX_MS });
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({ "service.name": `sluice-${options.role}` }),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter,
        maxQueueSize: SPANS_WAITING_MAX,
        scheduledDelayMillis: EXPORT_EVERY_MS,
        exportTimeoutMillis: EXPORT_MAX_MS,
      }),
    ],
  });
  const tracer = provider.getTracer("sluice");
  let traces = 0;
  return {
    sample: () => traces++ % options.sampleEvery === 0,
    span(name, traceparent, startMs, endMs, attributes) {
      const parent = parseTraceparent(traceparent);
      if (parent === null || !parent.sampled) return;
      const { traceId, spanId } = parent;
      const context = api.trace.setSpanContext(api.ROOT_CONTEXT, {
        traceId,
        spanId,
        traceFlags: api.TraceFlags.SAMPLED,
        isRemote: true,
      });
      tracer.startSpan(name, { startTime: startMs, attributes }, context).end(endMs);
    },
    async close() {
      await provider.forceFlush();
      await provider.shutdown();
    },
  };
}
