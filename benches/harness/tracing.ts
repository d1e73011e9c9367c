import {
  BatchSpanProcessor,
  NodeTracerProvider,
  ParentBasedSampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-node';

/** Takes spans and does nothing with them: what a collector costs is not ours. */
const NOWHERE: SpanExporter = {
  export: (_spans, done) => done({ code: 0 }),
  shutdown: () => Promise.resolve(),
};

/** OpenTelemetry as an application sets it up, with that share of new traces recorded. */
export function setUpTracing(recorded: number): void {
  const provider = new NodeTracerProvider({
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(recorded) }),
    spanProcessors: [new BatchSpanProcessor(NOWHERE)],
  });
  provider.register();
}
