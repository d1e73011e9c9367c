import type { Headers } from './records.ts';

/**
 * Where a message stands in a distributed trace, as W3C's Trace Context has it. It travels in the headers of the message,
 * whatever the protocol: `traceparent` is `00-TRACE_ID-SPAN_ID-FLAGS` in lower-case hex, `tracestate` is up to its vendors.
 */
export interface TraceContext {
  /** 32 hex digits. */
  traceId: string;
  /** 16 hex digits. */
  spanId: string;
  /** Bit 0: somebody records this trace. */
  flags: number;
  /** `tracestate`, as it came. */
  state?: string;
}

export const TRACEPARENT = 'traceparent';
export const TRACESTATE = 'tracestate';
export const SAMPLED = 1;

/** W3C lets a sender cut it above that; what is longer is not carried on. */
const MAX_STATE = 512;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);
const PARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** In every one of X-Ray. */
export const XRAY_MARK = 'Root=1-';
const XRAY_ROOT = /(?:^|;)\s*Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?=;|$)/i;
const XRAY_PARENT = /(?:^|;)\s*Parent=([0-9a-f]{16})(?=;|$)/i;
const XRAY_SAMPLED = /(?:^|;)\s*Sampled=1(?=;|$)/;

/** Undefined for what is not one: a trace that cannot be read is begun anew, never a reason to refuse a message. */
export function parseTraceparent(text: string, state?: string): TraceContext | undefined {
  const [, version, traceId, spanId, flags, more] = PARENT.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  // Of version 0 nothing more may come; of later ones the first four parts mean the same.
  if (version === 'ff' || (version === '00' && more !== undefined)) return undefined;
  if (traceId === NO_TRACE || spanId === NO_SPAN) return undefined;
  const context: TraceContext = { traceId, spanId, flags: Number.parseInt(flags, 16) };
  if (state !== undefined && state !== '' && state.length <= MAX_STATE) context.state = state;
  return context;
}

export function traceparentOf({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId}-${spanId}-${flags < 16 ? '0' : ''}${flags.toString(16)}`;
}

/** The context that a message carries. */
export function traceIn(headers: Headers | undefined): TraceContext | undefined {
  if (headers === undefined) return undefined;
  const parent = textOf(headers[TRACEPARENT]);
  return parent === undefined ? undefined : parseTraceparent(parent, textOf(headers[TRACESTATE]));
}

/** The headers of a message with the context in them. One that is there already was put there on purpose, and stays. */
export function withTrace(headers: Headers | undefined, context: TraceContext | undefined): Headers | undefined {
  if (context === undefined || headers?.[TRACEPARENT] !== undefined) return headers;
  const traced: Record<string, Headers[string]> = { ...headers, [TRACEPARENT]: traceparentOf(context) };
  if (context.state !== undefined) traced[TRACESTATE] = context.state;
  return traced;
}

/** Of Kafka and AMQP a header may come as bytes. */
function textOf(value: Headers[string] | undefined): string | undefined {
  if (typeof value === 'string') return value;
  if (!(value instanceof Uint8Array) || value.byteLength > MAX_STATE) return undefined;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1');
}

/** The same context in the words of Amazon's X-Ray: the system attribute `AWSTraceHeader`. */
export function parseXray(text: string): TraceContext | undefined {
  const [, time, rest] = XRAY_ROOT.exec(text) ?? [];
  const [, parent] = XRAY_PARENT.exec(text) ?? [];
  if (time === undefined || rest === undefined || parent === undefined) return undefined;
  const flags = XRAY_SAMPLED.test(text) ? SAMPLED : 0;
  return { traceId: `${time}${rest}`.toLowerCase(), spanId: parent.toLowerCase(), flags };
}

export function xrayOf({ traceId, spanId, flags }: TraceContext): string {
  return `Root=1-${traceId.slice(0, 8)}-${traceId.slice(8)};Parent=${spanId};Sampled=${flags & SAMPLED}`;
}
