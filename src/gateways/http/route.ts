import { z } from 'zod';
import type { Principal } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { RailheadError } from '../../core/errors.ts';
import type { LoadMeter } from '../../core/scaling.ts';
import type { Session } from '../../core/session.ts';
import type { TraceContext } from '../../core/trace-context.ts';
import type { EventStream } from './live/events.ts';
import type { LiveStats } from './live/stats.ts';
import type { JsonText } from './messages.ts';
import type { ServerFacts } from './server-facts.ts';

/**
 * A route says everything about itself once: the server checks requests with these schemas and `/openapi.json` shows
 * the same ones.
 */
export interface RouteSpec<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType> {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  /** Below `/api/v1`, parameters as `{name}`. */
  path: string;
  /** Name of the operation in OpenAPI, and of the method in a client made from it. */
  operationId: string;
  summary: string;
  tag: string;
  /** The one that the route is about, whatever the request names. */
  namespace?: string;
  params: P;
  query?: Q;
  body?: B;
  /** A request without a body is as good as `{}`. */
  bodyOptional?: boolean;
  /** The answer goes on; `result` then says what each event has. */
  streams?: 'text/event-stream';
  result: R;
  handle: (
    request: RouteRequest<z.output<P>, z.output<Q>, z.output<B>>,
  ) => Promise<z.input<R> | JsonText | EventStream>;
}

export interface RouteRequest<P, Q, B> {
  session: Session;
  namespace: string;
  /** Who asks, where a session of a namespace cannot tell whether it may. */
  principal: Principal;
  /** False when its login has ended meanwhile, or it logged out. */
  isIn: () => boolean;
  facts: ServerFacts | undefined;
  /** Undefined where nobody counts: a gateway without a server. */
  live: LiveStats | undefined;
  params: P;
  query: Q;
  body: B;
  /** Aborts when the client goes away or the broker stops. */
  signal: AbortSignal;
  clock: Clock;
  loads: LoadMeter;
  /** The trace that the request belongs to, and what it publishes with it. */
  trace: TraceContext | undefined;
}

/** A route whose types are settled. */
export interface Route {
  readonly spec: Omit<RouteSpec<z.ZodType, z.ZodType, z.ZodType, z.ZodType>, 'handle'>;
  run(request: RouteRequest<unknown, unknown, unknown>): Promise<unknown>;
}

const nothing = z.strictObject({});

export function route<
  P extends z.ZodType,
  R extends z.ZodType,
  Q extends z.ZodType = typeof nothing,
  B extends z.ZodType = typeof nothing,
>(spec: RouteSpec<P, Q, B, R>): Route {
  const { handle, ...facts } = spec;
  return {
    spec: facts,
    run: ({ params, query, body, ...rest }) =>
      handle({
        ...rest,
        params: parse(spec.params, params, 'The path'),
        // A route that leaves one out has the type of `nothing` for it: a default that TypeScript does not tie to the value.
        query: parse(spec.query ?? (nothing as unknown as Q), query, 'The query'),
        body: parse(spec.body ?? (nothing as unknown as B), body, 'The body'),
      }),
  };
}

/** @throws INVALID naming the first thing that is wrong. */
export function parse<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = deepest(parsed.error.issues);
  const at = issue.path.length === 0 ? what : `${what}: \`${issue.path.join('.').slice(0, 100)}\``;
  throw new RailheadError('INVALID', `${at}: ${issue.message.slice(0, 300)}. See /openapi.json for what is allowed.`);
}

/** In a union the branch that came furthest tells most. */
function deepest(issues: readonly z.core.$ZodIssue[]): { path: PropertyKey[]; message: string } {
  const [first] = issues;
  if (first === undefined) return { path: [], message: 'is not acceptable' };
  if (first.code !== 'invalid_union' || first.errors.length === 0) return first;
  const inner = first.errors.map(deepest).reduce((a, b) => (b.path.length > a.path.length ? b : a));
  return inner.path.length === 0 ? first : { path: [...first.path, ...inner.path], message: inner.message };
}

export const name = z.string().min(1).max(255);

/** Query parameters are text. */
export const queryInt = (max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'write a whole number')
    .transform(Number)
    .pipe(z.int().max(max));
export const queryFlag = z.enum(['true', 'false']).transform((text) => text === 'true');
