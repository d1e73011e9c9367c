import type { Command } from 'commander';
import type { z } from 'zod';
import { brokerOptions, type BrokerOptions } from '../broker.ts';
import { json, UsageError } from '../usage.ts';

/** The policy as flags: the words of `defineQueue` and of the HTTP API, and checked by the same schema. */

type Kind = 'text' | 'number' | 'flag' | 'json';

const FLAGS: readonly [name: string, kind: Kind, placeholder: string, summary: string][] = [
  ['lease', 'text', 'DURATION', 'how long a consumer may hold a message'],
  ['maxAttempts', 'number', 'COUNT', 'attempts before dead letter; 0: no limit'],
  ['maxCrashes', 'number', 'COUNT', 'crashes of a consumer before dead letter; 0: no limit'],
  ['backoff', 'text', 'TYPE[:MIN[:MAX]]', 'wait between attempts: exponential:1s:5m, fixed:10s, linear:1s:1m, none'],
  ['order', 'text', 'ORDER', 'fifo, strict, key or fair; cannot change'],
  ['priorities', 'number', 'COUNT', 'levels of priority; cannot change'],
  ['defaultPriority', 'number', 'LEVEL', 'what a message counts as that names none; cannot change'],
  ['deadLetter', 'text', 'NAME', 'the queue for dead letters, or router:NAME[:KEY]'],
  ['deadLetterExpired', 'flag', '', 'messages whose ttl is over become dead letters'],
  ['consumeRate', 'text', 'RATE', 'how fast messages are given out, such as 500/s'],
  ['filter', 'json', 'JSON', 'only messages whose headers match'],
  ['singleActive', 'flag', '', 'only one consumer at a time receives'],
  ['maxInFlight', 'number', 'COUNT', 'messages in the hands of all consumers'],
  ['partitions', 'number', 'COUNT', 'logs that the messages are spread over; can grow, not shrink'],
  ['durability', 'text', 'LEVEL', 'what a confirm survives: fsync, write or memory'],
  ['maxMessages', 'number', 'COUNT', 'how many may wait'],
  ['maxBytes', 'text', 'SIZE', 'how many bytes may wait, such as 10GB'],
  ['overflow', 'text', 'WHAT', 'at these limits: reject, block, drop-oldest, dead-letter-oldest or -newest'],
  ['publishRate', 'text', 'RATE', 'how fast messages are taken in, such as 2000/s'],
  ['ttl', 'text', 'DURATION', 'how long a message lives'],
  ['expireUnused', 'text', 'DURATION', 'deleted after so long without a consumer'],
  ['dedupeWindow', 'text', 'DURATION', 'how long a dedupe id is remembered'],
  ['maxMessageBytes', 'text', 'SIZE', 'largest message'],
  ['retain', 'text', 'DURATION', 'queue: how long settled messages stay visible; topic: how long messages stay'],
  ['retainBytes', 'text', 'SIZE', 'topic: the oldest go above this size'],
  ['compact', 'flag', '', 'topic: keep only the newest message of each key'],
  ['compactLag', 'text', 'DURATION', 'compacted topic: younger messages stay, and what they supersede'],
  ['maxCompactLag', 'text', 'DURATION', 'compacted topic: what is superseded goes at the latest then'],
  [
    'deleteRetention',
    'text',
    'DURATION',
    'compacted topic: how long one without a body outlives the others of its key',
  ],
];

export interface PolicyOptions extends BrokerOptions {
  topic?: boolean;
  subscription?: string;
  [name: string]: unknown;
}

export function policyFlags(command: Command): Command {
  command.argument('<name>', 'the queue or topic');
  command.option('-s, --subscription <NAME>', 'a subscription of that topic');
  for (const [name, kind, placeholder, summary] of FLAGS) {
    const flag = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    command.option(kind === 'flag' ? flag : `${flag} <${placeholder}>`, summary);
  }
  return brokerOptions(command).addHelpText('after', '\nA limit is taken away with "none": --max-messages none.');
}

/** The flags that were given, in the form of the HTTP API. @throws UsageError */
export function policyOf(options: PolicyOptions): Record<string, unknown> {
  const policy: Record<string, unknown> = {};
  for (const [name, kind] of FLAGS) {
    const value = options[name];
    if (value !== undefined) policy[name] = read(name, kind, value);
  }
  const isTopic = options.topic === true && options.subscription === undefined;
  if (isTopic) {
    const { retain: age, retainBytes: bytes, compact, compactLag, maxCompactLag, deleteRetention, ...rest } = policy;
    const said = Object.entries({ age, bytes, compact, compactLag, maxCompactLag, deleteRetention }).filter(
      ([, value]) => value !== undefined,
    );
    return said.length === 0 ? rest : { ...rest, retain: Object.fromEntries(said) };
  }
  return policy;
}

function read(name: string, kind: Kind, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (value === 'none' && name !== 'backoff') return null;
  if (kind === 'json') return json(value, `--${name}`);
  if (kind === 'number') return /^\d+$/.test(value) ? Number(value) : value;
  if (name === 'deadLetter') return deadLetter(value);
  return name === 'backoff' ? readBackoff(value) : value;
}

/** `TYPE[:MIN[:MAX]]`, in the form of the HTTP API. */
export function readBackoff(value: string): { type?: string; min?: string; max?: string } {
  const [type = '', min, max] = value.split(':');
  return {
    type,
    ...(min !== undefined && { min }),
    ...(max === undefined ? min !== undefined && type === 'fixed' && { max: min } : { max }),
  };
}

function deadLetter(value: string): unknown {
  if (!value.startsWith('router:')) return value;
  const [, router, ...key] = value.split(':');
  return { router, ...(key.length > 0 && { key: key.join(':') }) };
}

/** @throws UsageError in the words of the flags. */
export function checked<S extends z.ZodType>(schema: S, value: unknown): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  const name = String(unknown ?? issue?.path[0] ?? '').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new UsageError(
    unknown === undefined
      ? `--${name}: ${issue?.message ?? 'is not acceptable'}.`
      : `--${name} does not apply here. --help says what it is for.`,
  );
}
