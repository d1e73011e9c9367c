import { durationMs, sizeBytes } from '../core/units.ts';
import {
  boolean,
  byDefault,
  choice,
  either,
  type Fields,
  group,
  type Input,
  list,
  optional,
  orFalse,
  type Output,
  record,
  type Shape,
  text,
  whole,
  withUnit,
} from './shapes.ts';

/**
 * Every setting of a server, once. The type, the check, the default, the flag, the environment variable, the key in the
 * config file and the page `docs/configuration.md` all come from these shapes.
 */

/** What the shape itself does not say about a setting. */
export interface SettingDoc {
  summary: string;
  /** Ends the sentence "PATH is GOT; write …". */
  allowed: string;
  /** Shown in help: `--dir <DIR>`. */
  placeholder?: string;
  /** Never on a command line (process lists show it) and never shown in an error. */
  secret?: boolean;
  /** Too rich for a flag or a variable. */
  fileOnly?: boolean;
  /** `false` turns it off, and there is a flag for that: `--no-amqp`. */
  off?: boolean;
  /** What counts when it is left out, where that depends on other settings. */
  fallback?: string;
}

type Documented<Out, In> = Shape<Out, In> & { readonly doc: SettingDoc };

function setting<Out, In>(shape: Shape<Out, In>, doc: SettingDoc): Documented<Out, In> {
  return { ...shape, doc };
}

function duration(name: string): Shape<number, string | number> {
  // A number has passed here before: a parsed config may be handed in again.
  return withUnit((written) => durationMs(written as `${number}ms`, name));
}

function size(name: string, min: number, max?: number): Shape<number, string | number> {
  return withUnit((written) => sizeBytes(written as `${number}B`, name), { min, ...(max !== undefined && { max }) });
}

const grant = record({
  namespace: byDefault('default', text()),
  resource: byDefault('*', text()),
  actions: byDefault(
    'all',
    either(choice('all'), list(choice('configure', 'publish', 'consume', 'inspect', 'manage', 'admin'), { min: 1 })),
  ),
});

const ACCESS_KEY_ID = /^[\w-]{4,128}$/;
/** What Amazon's tools take for one; the secrets of Amazon have 40 characters. */
const ACCESS_KEY_SECRET = /^[\x21-\x7e]{16,256}$/;
const TOKEN_HASH = /^sha256:[0-9a-f]{64}$/;
const PASSWORD_HASH = /^scrypt:1[0-8]:([1-9]|1[0-6]):[1-4]:[\w-]{16,128}:[\w-]{22,128}$/;

function matching(pattern: RegExp): Shape<string> {
  return text({ accepts: (value) => pattern.test(value) });
}

const user = record(
  {
    name: text({ max: 128 }),
    /** Secrets as they are: a signature says that both ends know it, so that no hash of it would do. */
    accessKeys: byDefault([], list(record({ id: matching(ACCESS_KEY_ID), secret: matching(ACCESS_KEY_SECRET) }))),
    /** `sha256:` and the digest of the token in hex. */
    tokenHash: optional(matching(TOKEN_HASH)),
    /** `scrypt:LOG2_N:R:P:SALT:HASH`, salt and hash in base64url. */
    passwordHash: optional(matching(PASSWORD_HASH)),
    grants: byDefault([{ namespace: 'default', resource: '*', actions: 'all' }], list(grant)),
  },
  ({ tokenHash, passwordHash, accessKeys }) =>
    tokenHash !== undefined || passwordHash !== undefined || accessKeys.length > 0,
);

export type UserConfig = Output<typeof user>;

/** `ID:SECRET`, as the setting `accessKey` has it. */
export function splitAccessKey(written: string): { id: string; secret: string } {
  const colon = written.indexOf(':');
  return { id: written.slice(0, colon), secret: written.slice(colon + 1) };
}

function isAccessKey(written: string): boolean {
  const { id, secret } = splitAccessKey(written);
  return ACCESS_KEY_ID.test(id) && ACCESS_KEY_SECRET.test(secret);
}

const ADVERTISED = /^(\[[0-9a-fA-F:.]+\]|[^\s:[\]/]+):([1-9]\d{0,4})$/;

function isAdvertised(address: string): boolean {
  return ADVERTISED.test(address) && Number(address.slice(address.lastIndexOf(':') + 1)) <= MAX_PORT;
}

const MAX_PORT = 65_535;
const port = whole(0, MAX_PORT);

export const settingsShape = record({
  dir: setting(byDefault('./railhead-data', text()), {
    summary: 'Directory of the journal. Made when it is missing; one broker at a time owns it.',
    allowed: 'the path of a directory',
    placeholder: 'DIR',
  }),
  memory: setting(byDefault(false, boolean), {
    summary: 'Keep everything in memory: nothing is written, nothing survives a stop.',
    allowed: 'true or false',
  }),
  host: setting(byDefault(['127.0.0.1', '::1'], list(text(), { min: 1 })), {
    summary:
      'Addresses to listen on. Anything but loopback is refused while nobody can log in, unless `insecure` is set.',
    allowed: 'one address or several, such as 127.0.0.1,::1',
    placeholder: 'ADDRESS',
  }),
  port: setting(byDefault(7070, port), {
    summary: 'The one TCP port, for the native protocol and HTTP. 0 takes a free one.',
    allowed: 'a whole number from 0 to 65535',
    placeholder: 'PORT',
  }),
  amqp: setting(optional(orFalse(port)), {
    summary:
      "TCP port for AMQP 0-9-1, which RabbitMQ's clients speak; `false` (the flag `--no-amqp`) turns it off. Left out and taken by somebody else, it is off with a warning, as long as only this machine can connect and there is no config file.",
    allowed: 'a whole number from 0 to 65535, or false',
    placeholder: 'PORT',
    fallback: '5672; 5671 with TLS; a free one with `port` 0',
    off: true,
  }),
  amqpManagement: setting(optional(orFalse(port)), {
    summary:
      "TCP port for the part of RabbitMQ's management HTTP API that tools use; `false` (the flag `--no-amqp-management`) turns it off. Off by itself without AMQP, and with a warning where the port is taken, as for `amqp`.",
    allowed: 'a whole number from 0 to 65535, or false',
    placeholder: 'PORT',
    fallback: '15672; 15671 with TLS; a free one with `port` 0',
    off: true,
  }),
  aws: setting(optional(orFalse(port)), {
    summary:
      "TCP port for Amazon's SQS and SNS; `false` (the flag `--no-aws`) turns it off. Left out and taken by somebody else, it is off with a warning, as long as only this machine can connect and there is no config file.",
    allowed: 'a whole number from 0 to 65535, or false',
    placeholder: 'PORT',
    fallback: '4566; a free one with `port` 0',
    off: true,
  }),
  elasticmq: setting(optional(port), {
    summary:
      'One more TCP port for what `aws` speaks, for programs that are set up for ElasticMQ, which has 9324. Left out, there is none.',
    allowed: 'a whole number from 0 to 65535',
    placeholder: 'PORT',
  }),
  awsLimits: setting(byDefault('strict', choice('strict', 'relaxed')), {
    summary:
      "How much SQS lets clients ask for: as much as Amazon's does, or as much as this broker can: delays of years, more messages at a time, any number in flight.",
    allowed: 'strict or relaxed',
    placeholder: 'LIMITS',
  }),
  kafka: setting(optional(orFalse(port)), {
    summary:
      "TCP port for Kafka's protocol; `false` (the flag `--no-kafka`) turns it off. Left out and taken by somebody else, it is off with a warning, as long as only this machine can connect and there is no config file.",
    allowed: 'a whole number from 0 to 65535, or false',
    placeholder: 'PORT',
    fallback: '9092; a free one with `port` 0',
    off: true,
  }),
  kafkaAdvertised: setting(optional(text({ accepts: isAdvertised })), {
    summary:
      "Where Kafka's clients are told to connect to, when they reach the broker under another address than it has: behind a mapped port, a load balancer, a container's network.",
    allowed: 'HOST:PORT, such as broker.example.com:9092 or [2001:db8::7]:9092',
    placeholder: 'HOST:PORT',
    fallback: 'where each has connected to',
  }),
  kafkaAutoCreate: setting(byDefault(1, orFalse(whole(1, 1024))), {
    summary:
      "Partitions of a topic that is made because one of Kafka's clients asks for it by name, or creates it without saying how many; with `false` (the flag `--no-kafka-auto-create`) no topic is made by asking.",
    allowed: 'a whole number from 1 to 1024, or false',
    placeholder: 'PARTITIONS',
    off: true,
  }),
  insecure: setting(byDefault(false, boolean), {
    summary: 'Listen on any address without a login. Everybody who reaches the port may then do everything.',
    allowed: 'true or false',
  }),
  allowedHosts: setting(byDefault([], list(text())), {
    summary:
      'More names that the Host header of an HTTP request may have. Addresses, localhost and names without a dot always may.',
    allowed: 'host names, such as broker.example.com',
    placeholder: 'NAME',
  }),
  allowPrivateWebhooks: setting(byDefault(false, boolean), {
    summary:
      'Let SNS post to addresses that are not of the open internet: this machine, and networks of your own. For local work.',
    allowed: 'true or false',
  }),
  token: setting(optional(text({ min: 16 })), {
    summary: 'The smallest login: one user named `token`, who may do everything and shows this token.',
    allowed: 'at least 16 characters that nobody can guess, such as the output of `openssl rand -hex 24`',
    secret: true,
  }),
  accessKey: setting(optional(text({ accepts: isAccessKey })), {
    summary:
      "The smallest login for Amazon's clients: one user named `access-key`, who may do everything and signs with this key.",
    allowed: 'the id and the secret as ID:SECRET, the secret with at least 16 characters that nobody can guess',
    secret: true,
  }),
  accessKeyFile: setting(optional(text()), {
    summary:
      'File with the key that encrypts the secrets of stored access keys: 64 hexadecimal digits. Without it one is made beside the data, in `railhead.key`, when the first access key is.',
    allowed: 'the path of a file with the output of `openssl rand -hex 32`',
    placeholder: 'FILE',
    fallback: '`railhead.key` in `dir`',
  }),
  users: setting(byDefault([], list(user)), {
    summary:
      'Who may log in, with what, and what they may do. `railhead user entry NAME` makes an entry; `railhead user add` stores users with the broker instead.',
    allowed: 'a list of { name, tokenHash, passwordHash or accessKeys, grants }; `railhead user entry NAME` prints one',
    fileOnly: true,
  }),
  tls: group({
    cert: setting(optional(text()), {
      summary:
        'PEM file with the certificate chain. Together with `tls.key` it turns TLS on; plain connections are then refused.',
      allowed: 'the path of a PEM file',
      placeholder: 'FILE',
    }),
    key: setting(optional(text()), {
      summary: 'PEM file with the private key.',
      allowed: 'the path of a PEM file',
      placeholder: 'FILE',
    }),
  }),
  log: group({
    level: setting(byDefault('info', choice('debug', 'info', 'warn', 'error', 'silent')), {
      summary: 'The least important line to log.',
      allowed: 'debug, info, warn, error or silent',
      placeholder: 'LEVEL',
    }),
    format: setting(byDefault('auto', choice('auto', 'text', 'json')), {
      summary: 'One JSON object a line, or text for people. `auto` is text on a terminal and JSON elsewhere.',
      allowed: 'auto, text or json',
      placeholder: 'FORMAT',
    }),
  }),
  journal: group({
    segmentSize: setting(byDefault(32 << 20, size('journal.segmentSize', 1 << 20, 256 << 20)), {
      summary: 'Size of one file of the commit log.',
      allowed: "a size from '1MiB' to '256MiB'",
      placeholder: 'SIZE',
    }),
    segments: setting(byDefault(8, whole(3, 256)), {
      summary: 'How many files the commit log may have. They are reused; what is still alive moves to cold files.',
      allowed: 'a whole number from 3 to 256',
      placeholder: 'COUNT',
    }),
  }),
  limits: group({
    connections: setting(byDefault(10_000, whole(1, 1_000_000)), {
      summary: 'Connections at one time, over all of the port.',
      allowed: 'a whole number from 1 to 1000000',
      placeholder: 'COUNT',
    }),
    connectionsPerAddress: setting(byDefault(2_500, whole(1, 1_000_000)), {
      summary: 'Connections that one address may have on one port. This machine has no such limit.',
      allowed: 'a whole number from 1 to 1000000',
      placeholder: 'COUNT',
    }),
    memory: setting(byDefault(256 << 20, size('limits.memory', 160 << 20)), {
      summary:
        'Messages that the broker holds in memory: caches, what waits for a sync or for consumers, publishers that wait. Above it publishers wait or are refused, and consumers go on.',
      allowed: "a size from '160MiB'",
      placeholder: 'SIZE',
    }),
    amqpMessage: setting(byDefault(16 << 20, size('limits.amqpMessage', 1024, 256 << 20)), {
      summary: 'Largest body of one message over AMQP. Each is in memory as a whole while it comes and goes.',
      allowed: "a size from '1KiB' to '256MiB'",
      placeholder: 'SIZE',
    }),
    httpBody: setting(byDefault(32 << 20, size('limits.httpBody', 1024, 256 << 20)), {
      summary: 'Largest body of one HTTP request.',
      allowed: "a size from '1KiB' to '256MiB'",
      placeholder: 'SIZE',
    }),
    metricsSeries: setting(byDefault(1_000, whole(0, 100_000)), {
      summary:
        'Topics and queues with series of their own in `/metrics`, and as many subscriptions: the fullest. The others are one together, named `other`.',
      allowed: 'a whole number from 0 to 100000',
      placeholder: 'COUNT',
    }),
    httpMemory: setting(byDefault(256 << 20, size('limits.httpMemory', 1024)), {
      summary: 'Bodies of all HTTP requests together that are held at one time. More are answered with 429.',
      allowed: "a size, such as '256MiB'",
      placeholder: 'SIZE',
    }),
  }),
  drainTimeout: setting(byDefault(10_000, duration('drainTimeout')), {
    summary: 'How long a stop waits for requests and connections to end by themselves.',
    allowed: "a duration, such as '10s'",
    placeholder: 'DURATION',
  }),
});

/** A checked configuration: sizes in bytes, durations in milliseconds. */
export type ServerConfig = Output<typeof settingsShape>;
/** What people write: sizes and durations with units, everything optional. */
export type ServerConfigInput = Input<typeof settingsShape>;

/** One setting, under the names it has everywhere. */
export interface Setting {
  /** `log.level`: in errors, docs and (nested) in the config file. */
  path: string;
  /** `--log-level`, or undefined when there is none. */
  flag: string | undefined;
  /** `RAILHEAD_LOG_LEVEL`, or undefined when there is none. */
  env: string | undefined;
  kind: Shape<unknown>['kind'];
  default: unknown;
  doc: SettingDoc;
}

function walk(fields: Fields, path: string, found: Setting[]): void {
  for (const [name, shape] of Object.entries(fields)) {
    const at = path === '' ? name : `${path}.${name}`;
    if (isDocumented(shape)) found.push(describe(shape, at));
    else if (shape.fields !== undefined) walk(shape.fields, at, found);
    else throw new Error(`Railhead bug: the setting ${at} has no documentation`);
  }
}

function isDocumented(shape: Shape<unknown>): shape is Documented<unknown, unknown> {
  return 'doc' in shape;
}

function describe({ kind, default: usual, doc }: Documented<unknown, unknown>, path: string): Setting {
  const words = path.replaceAll('.', '-').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return {
    path,
    flag: doc.secret || doc.fileOnly ? undefined : `--${words}`,
    env: doc.fileOnly ? undefined : `RAILHEAD_${words.replaceAll('-', '_').toUpperCase()}`,
    kind: doc.fileOnly ? 'rich' : kind,
    default: usual,
    doc,
  };
}

/** All settings, in the order of the shapes. */
export function allSettings(): Setting[] {
  const found: Setting[] = [];
  walk(settingsShape.fields ?? {}, '', found);
  return found;
}
