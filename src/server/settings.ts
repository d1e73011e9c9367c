import { z } from 'zod';
import { DEFAULT_LIMITS } from '../engine/limits.ts';
import { alertRuleSchema } from '../gateways/alerts.ts';
import { LOGIN_LIMITS } from '../core/login-limits.ts';
import { areSecrets } from './alerts/signing.ts';
import { issuerSchema } from './jwt/settings.ts';
import { duration, nonEmpty as text, size } from './setting-units.ts';

/**
 * Every setting of a server, once. The type, the check, the default, the flag, the environment variable, the key in the
 * config file and the page `docs/configuration.md` all come from this schema.
 */

/** What the schema itself does not say about a setting. */
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

export const settingDocs = z.registry<SettingDoc>();

const ACTIONS = ['configure', 'publish', 'consume', 'inspect', 'manage', 'admin'] as const;

export const grantSchema = z.strictObject({
  namespace: z.string().min(1).default('default'),
  resource: z.string().min(1).default('*'),
  actions: z.union([z.literal('all'), z.array(z.enum(ACTIONS)).min(1)]).default('all'),
});

const ACCESS_KEY_ID = /^[\w-]{4,128}$/;
/** What Amazon's tools take for one; the secrets of Amazon have 40 characters. */
const ACCESS_KEY_SECRET = /^[\x21-\x7e]{16,256}$/;

export const userSchema = z
  .strictObject({
    name: z.string().min(1).max(128),
    /** Secrets as they are: a signature says that both ends know it, so that no hash of it would do. */
    accessKeys: z
      .array(z.strictObject({ id: z.string().regex(ACCESS_KEY_ID), secret: z.string().regex(ACCESS_KEY_SECRET) }))
      .default([]),
    /** `sha256:` and the digest of the token in hex. */
    tokenHash: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/)
      .optional(),
    /** `scrypt:LOG2_N:R:P:SALT:HASH`, salt and hash in base64url. */
    passwordHash: z
      .string()
      .regex(/^scrypt:1[0-8]:([1-9]|1[0-6]):[1-4]:[\w-]{16,128}:[\w-]{22,128}$/)
      .optional(),
    grants: z.array(grantSchema).default([{ namespace: 'default', resource: '*', actions: 'all' }]),
  })
  .refine(
    (user) => user.tokenHash !== undefined || user.passwordHash !== undefined || user.accessKeys.length > 0,
    'neither tokenHash nor passwordHash nor accessKeys',
  );

export type UserConfig = z.output<typeof userSchema>;

/** `ID:SECRET`, as the setting `accessKey` has it. */
export function splitAccessKey(text: string): { id: string; secret: string } {
  const colon = text.indexOf(':');
  return { id: text.slice(0, colon), secret: text.slice(colon + 1) };
}

function isAccessKey(text: string): boolean {
  const { id, secret } = splitAccessKey(text);
  return ACCESS_KEY_ID.test(id) && ACCESS_KEY_SECRET.test(secret);
}

export const settingsSchema = z.strictObject({
  dir: text.default('./railhead-data').register(settingDocs, {
    summary: 'Directory of the journal. Made when it is missing; one broker at a time owns it.',
    allowed: 'the path of a directory',
    placeholder: 'DIR',
  }),
  memory: z.boolean().default(false).register(settingDocs, {
    summary: 'Keep everything in memory: nothing is written, nothing survives a stop.',
    allowed: 'true or false',
  }),
  host: z.array(text).min(1).default(['127.0.0.1', '::1']).register(settingDocs, {
    summary:
      'Addresses to listen on. Anything but loopback is refused while nobody can log in, unless `insecure` is set.',
    allowed: 'one address or several, such as 127.0.0.1,::1',
    placeholder: 'ADDRESS',
  }),
  port: z.int().min(0).max(65_535).default(7070).register(settingDocs, {
    summary: 'The one TCP port, for the native protocol and HTTP. 0 takes a free one.',
    allowed: 'a whole number from 0 to 65535',
    placeholder: 'PORT',
  }),
  amqp: z
    .union([z.int().min(0).max(65_535), z.literal(false)])
    .optional()
    .register(settingDocs, {
      summary:
        "TCP port for AMQP 0-9-1, which RabbitMQ's clients speak; `false` (the flag `--no-amqp`) turns it off. Left out and taken by somebody else, it is off with a warning, as long as only this machine can connect and there is no config file.",
      allowed: 'a whole number from 0 to 65535, or false',
      placeholder: 'PORT',
      fallback: '5672; 5671 with TLS; a free one with `port` 0',
      off: true,
    }),
  amqpManagement: z
    .union([z.int().min(0).max(65_535), z.literal(false)])
    .optional()
    .register(settingDocs, {
      summary:
        "TCP port for the part of RabbitMQ's management HTTP API that tools use; `false` (the flag `--no-amqp-management`) turns it off. Off by itself without AMQP, and with a warning where the port is taken, as for `amqp`.",
      allowed: 'a whole number from 0 to 65535, or false',
      placeholder: 'PORT',
      fallback: '15672; 15671 with TLS; a free one with `port` 0',
      off: true,
    }),
  aws: z
    .union([z.int().min(0).max(65_535), z.literal(false)])
    .optional()
    .register(settingDocs, {
      summary:
        "TCP port for Amazon's SQS and SNS; `false` (the flag `--no-aws`) turns it off. Left out and taken by somebody else, it is off with a warning, as long as only this machine can connect and there is no config file.",
      allowed: 'a whole number from 0 to 65535, or false',
      placeholder: 'PORT',
      fallback: '4566; a free one with `port` 0',
      off: true,
    }),
  elasticmq: z.int().min(0).max(65_535).optional().register(settingDocs, {
    summary:
      'One more TCP port for what `aws` speaks, for programs that are set up for ElasticMQ, which has 9324. Left out, there is none.',
    allowed: 'a whole number from 0 to 65535',
    placeholder: 'PORT',
  }),
  awsLimits: z.enum(['strict', 'relaxed']).default('strict').register(settingDocs, {
    summary:
      "How much SQS lets clients ask for: as much as Amazon's does, or as much as this broker can: delays of years, more messages at a time, any number in flight.",
    allowed: 'strict or relaxed',
    placeholder: 'LIMITS',
  }),
  kafka: z
    .union([z.int().min(0).max(65_535), z.literal(false)])
    .optional()
    .register(settingDocs, {
      summary:
        "TCP port for Kafka's protocol; `false` (the flag `--no-kafka`) turns it off. Left out and taken by somebody else, it is off with a warning, as long as only this machine can connect and there is no config file.",
      allowed: 'a whole number from 0 to 65535, or false',
      placeholder: 'PORT',
      fallback: '9092; a free one with `port` 0',
      off: true,
    }),
  kafkaAdvertised: z
    .string()
    .regex(/^(\[[0-9a-fA-F:.]+\]|[^\s:[\]/]+):([1-9]\d{0,4})$/)
    .refine((address) => Number(address.slice(address.lastIndexOf(':') + 1)) <= 65_535)
    .optional()
    .register(settingDocs, {
      summary:
        "Where Kafka's clients are told to connect to, when they reach the broker under another address than it has: behind a mapped port, a load balancer, a container's network.",
      allowed: 'HOST:PORT, such as broker.example.com:9092 or [2001:db8::7]:9092',
      placeholder: 'HOST:PORT',
      fallback: 'where each has connected to',
    }),
  kafkaAutoCreate: z
    .union([z.int().min(1).max(1024), z.literal(false)])
    .default(1)
    .register(settingDocs, {
      summary:
        "Partitions of a topic that is made because one of Kafka's clients asks for it by name, or creates it without saying how many; with `false` (the flag `--no-kafka-auto-create`) no topic is made by asking.",
      allowed: 'a whole number from 1 to 1024, or false',
      placeholder: 'PARTITIONS',
      off: true,
    }),
  kafkaOffsetsRetention: duration('kafkaOffsetsRetention')
    .pipe(z.int().min(60_000))
    .default(7 * 86_400_000)
    .register(settingDocs, {
      summary:
        "How long the broker keeps what a group of Kafka's consumers has committed, once it has no members, or none that subscribes to the topic, and nobody commits for it.",
      allowed: "a duration from '1m', such as '7d'",
      placeholder: 'DURATION',
    }),
  kafkaMaxReauth: duration('kafkaMaxReauth').pipe(z.int().min(10_000)).optional().register(settingDocs, {
    summary:
      "How long a login of one of Kafka's clients lasts, with whatever it logs in: clients are told and log in again on the same connection (KIP-368), and one that does not is disconnected. A token that ends earlier ends then in any case.",
    allowed: "a duration from '10s', such as '1h'",
    placeholder: 'DURATION',
    fallback: 'as long as the connection, or the token',
  }),
  insecure: z.boolean().default(false).register(settingDocs, {
    summary: 'Listen on any address without a login. Everybody who reaches the port may then do everything.',
    allowed: 'true or false',
  }),
  allowedHosts: z.array(text).default([]).register(settingDocs, {
    summary:
      'More names that the Host header of an HTTP request may have. Addresses, localhost and names without a dot always may.',
    allowed: 'host names, such as broker.example.com',
    placeholder: 'NAME',
  }),
  allowPrivateWebhooks: z.boolean().default(false).register(settingDocs, {
    summary:
      'Let SNS and alerts post to addresses that are not of the open internet: this machine, and networks of your own. For local work.',
    allowed: 'true or false',
  }),
  token: text.min(16).optional().register(settingDocs, {
    summary: 'The smallest login: one user named `token`, who may do everything and shows this token.',
    allowed: 'at least 16 characters that nobody can guess, such as the output of `openssl rand -hex 24`',
    secret: true,
  }),
  accessKey: text.refine(isAccessKey).optional().register(settingDocs, {
    summary:
      "The smallest login for Amazon's clients: one user named `access-key`, who may do everything and signs with this key.",
    allowed: 'the id and the secret as ID:SECRET, the secret with at least 16 characters that nobody can guess',
    secret: true,
  }),
  accessKeyFile: text.optional().register(settingDocs, {
    summary:
      'File with the key that encrypts the secrets of stored access keys: 64 hexadecimal digits. Without it one is made beside the data, in `railhead.key`, when the first access key is.',
    allowed: 'the path of a file with the output of `openssl rand -hex 32`',
    placeholder: 'FILE',
    fallback: '`railhead.key` in `dir`',
  }),
  users: z.array(userSchema).default([]).register(settingDocs, {
    summary:
      'Who may log in, with what, and what they may do. `railhead user entry NAME` makes an entry; `railhead user add` stores users with the broker instead.',
    allowed: 'a list of { name, tokenHash, passwordHash or accessKeys, grants }; `railhead user entry NAME` prints one',
    fileOnly: true,
  }),
  jwt: z.array(issuerSchema).default([]).register(settingDocs, {
    summary:
      'Who else says who somebody is: issuers of JSON Web Tokens (OIDC), with what their claims allow. See [security](security.md#tokens-of-others).',
    allowed: 'a list of { name, issuer, audience, jwksUrl or jwksFile, algorithms, subject, clockSkew, allow, login }',
    fileOnly: true,
  }),
  alerts: z.array(alertRuleSchema).default([]).register(settingDocs, {
    summary:
      'When the broker tells somebody by itself that something is wrong, and whom. `railhead alert` and the HTTP API store rules with the broker instead; of two with one name the stored one counts. See [alerts.md](alerts.md).',
    allowed: 'a list of { name, when, above, queues, for, webhook or topic }',
    fileOnly: true,
  }),
  alertSecret: text.refine(areSecrets).optional().register(settingDocs, {
    summary:
      'Signs what alerts post to webhooks, so that receivers know that it is from this broker; two secrets while one replaces the other. See [alerts.md](alerts.md#signatures).',
    allowed: 'one secret or two, each whsec_ and the output of `openssl rand -base64 32`',
    secret: true,
  }),
  alertSecretFile: text.optional().register(settingDocs, {
    summary: 'File with the same, one in a line. It is read for each notice, so that a change counts at once.',
    allowed: 'the path of a file',
    placeholder: 'FILE',
  }),
  tls: z
    .strictObject({
      cert: text.optional().register(settingDocs, {
        summary:
          'PEM file with the certificate chain. Together with `tls.key` it turns TLS on; plain connections are then refused.',
        allowed: 'the path of a PEM file',
        placeholder: 'FILE',
      }),
      key: text.optional().register(settingDocs, {
        summary: 'PEM file with the private key.',
        allowed: 'the path of a PEM file',
        placeholder: 'FILE',
      }),
      clientCa: text.optional().register(settingDocs, {
        summary:
          'PEM file with the authorities whose certificates log clients in, over every port. See [security](security.md#client-certificates).',
        allowed: 'the path of a PEM file',
        placeholder: 'FILE',
      }),
      clientCertificates: z.enum(['optional', 'required']).default('optional').register(settingDocs, {
        summary: 'Whether who has no certificate of `tls.clientCa` may log in otherwise, or cannot connect at all.',
        allowed: 'optional or required',
        placeholder: 'WHETHER',
      }),
      clientName: z.enum(['CN', 'DNS', 'URI', 'email']).default('CN').register(settingDocs, {
        summary:
          "Where a client's certificate has the name of its user: the common name of the subject, or the one alternative name of a kind.",
        allowed: 'CN, DNS, URI or email',
        placeholder: 'WHERE',
      }),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info').register(settingDocs, {
        summary: 'The least important line to log.',
        allowed: 'debug, info, warn, error or silent',
        placeholder: 'LEVEL',
      }),
      format: z.enum(['auto', 'text', 'json']).default('auto').register(settingDocs, {
        summary: 'One JSON object a line, or text for people. `auto` is text on a terminal and JSON elsewhere.',
        allowed: 'auto, text or json',
        placeholder: 'FORMAT',
      }),
    })
    .prefault({}),
  journal: z
    .strictObject({
      segmentSize: size('journal.segmentSize')
        .pipe(
          z
            .int()
            .min(1 << 20)
            .max(256 << 20),
        )
        .default(32 << 20)
        .register(settingDocs, {
          summary: 'Size of one file of the commit log.',
          allowed: "a size from '1MiB' to '256MiB'",
          placeholder: 'SIZE',
        }),
      segments: z.int().min(3).max(256).default(8).register(settingDocs, {
        summary: 'How many files the commit log may have. They are reused; what is still alive moves to cold files.',
        allowed: 'a whole number from 3 to 256',
        placeholder: 'COUNT',
      }),
    })
    .prefault({}),
  limits: z
    .strictObject({
      connections: z.int().min(1).max(1_000_000).default(10_000).register(settingDocs, {
        summary: 'Connections at one time, over all of the port.',
        allowed: 'a whole number from 1 to 1000000',
        placeholder: 'COUNT',
      }),
      connectionsPerAddress: z.int().min(1).max(1_000_000).default(2_500).register(settingDocs, {
        summary: 'Connections that one address may have on one port. This machine has no such limit.',
        allowed: 'a whole number from 1 to 1000000',
        placeholder: 'COUNT',
      }),
      refusedLogins: z.int().min(0).max(1_000_000).default(LOGIN_LIMITS.refusedOfAddress).register(settingDocs, {
        summary:
          'Logins of one address (or /64 of IPv6) that may be refused in a minute, over all protocols together. After that it waits until the minute is over, but for connections that are in. 0: any number. Programs on this machine have no such limit.',
        allowed: 'a whole number from 0 to 1000000',
        placeholder: 'COUNT',
      }),
      queues: z.int().min(1).max(10_000_000).default(100_000).register(settingDocs, {
        summary:
          'Queues and topics that clients may make in one namespace, all together. Those that the broker makes itself, such as for dead letters, are counted and not refused.',
        allowed: 'a whole number from 1 to 10000000',
        placeholder: 'COUNT',
      }),
      cursors: z.int().min(1).max(10_000_000).default(DEFAULT_LIMITS.maxCursors).register(settingDocs, {
        summary:
          'Committed offsets of one namespace: a consumer group of Kafka has one in each partition that it reads. Those that are there may be moved, however many they are.',
        allowed: 'a whole number from 1 to 10000000',
        placeholder: 'COUNT',
      }),
      memory: size('limits.memory')
        .pipe(z.int().min(192 << 20))
        .default(256 << 20)
        .register(settingDocs, {
          summary:
            'Messages that the broker holds in memory: caches, what waits for a sync, for consumers or in connections, publishers that wait. Above it publishers wait or are refused, and consumers go on.',
          allowed: "a size from '192MiB'",
          placeholder: 'SIZE',
        }),
      amqpMessage: size('limits.amqpMessage')
        .pipe(
          z
            .int()
            .min(1024)
            .max(256 << 20),
        )
        .default(16 << 20)
        .register(settingDocs, {
          summary: 'Largest body of one message over AMQP. Each is in memory as a whole while it comes and goes.',
          allowed: "a size from '1KiB' to '256MiB'",
          placeholder: 'SIZE',
        }),
      httpBody: size('limits.httpBody')
        .pipe(
          z
            .int()
            .min(1024)
            .max(256 << 20),
        )
        .default(32 << 20)
        .register(settingDocs, {
          summary: 'Largest body of one HTTP request.',
          allowed: "a size from '1KiB' to '256MiB'",
          placeholder: 'SIZE',
        }),
      metricsSeries: z.int().min(0).max(100_000).default(1_000).register(settingDocs, {
        summary:
          'Topics and queues with series of their own in `/metrics`, and as many subscriptions: the fullest. The others are one together, named `other`.',
        allowed: 'a whole number from 0 to 100000',
        placeholder: 'COUNT',
      }),
      httpMemory: size('limits.httpMemory')
        .pipe(z.int().min(1024))
        .default(256 << 20)
        .register(settingDocs, {
          summary: 'Bodies of all HTTP requests together that are held at one time. More are answered with 429.',
          allowed: "a size, such as '256MiB'",
          placeholder: 'SIZE',
        }),
    })
    .prefault({}),
  drainTimeout: duration('drainTimeout').default(10_000).register(settingDocs, {
    summary: 'How long a stop waits for requests and connections to end by themselves.',
    allowed: "a duration, such as '10s'",
    placeholder: 'DURATION',
  }),
});

/** A checked configuration: sizes in bytes, durations in milliseconds. */
export type ServerConfig = z.output<typeof settingsSchema>;
/** What people write: sizes and durations with units, everything optional. */
export type ServerConfigInput = z.input<typeof settingsSchema>;

/** One leaf of the schema, under the names it has everywhere. */
export interface Setting {
  /** `log.level`: in errors, docs and (nested) in the config file. */
  path: string;
  /** `--log-level`, or undefined when there is none. */
  flag: string | undefined;
  /** `RAILHEAD_LOG_LEVEL`, or undefined when there is none. */
  env: string | undefined;
  kind: 'text' | 'number' | 'boolean' | 'list' | 'rich';
  default: unknown;
  doc: SettingDoc;
}

function walk(schema: z.core.$ZodType, path: string, found: Setting[]): void {
  const object = unwrap(schema);
  if (settingDocs.get(schema) === undefined && object instanceof z.ZodObject) {
    const shape: Record<string, z.core.$ZodType> = object.shape;
    for (const [key, child] of Object.entries(shape)) walk(child, path === '' ? key : `${path}.${key}`, found);
    return;
  }
  const doc = settingDocs.get(schema);
  if (doc === undefined) throw new Error(`Railhead bug: the setting ${path} has no documentation`);
  const words = path.replaceAll('.', '-').replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  found.push({
    path,
    flag: doc.secret || doc.fileOnly ? undefined : `--${words}`,
    env: doc.fileOnly ? undefined : `RAILHEAD_${words.replaceAll('-', '_').toUpperCase()}`,
    kind: doc.fileOnly ? 'rich' : kindOf(object),
    default: schema instanceof z.ZodDefault ? schema.def.defaultValue : undefined,
    doc,
  });
}

function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) {
    return unwrap(schema.def.innerType);
  }
  return schema;
}

function kindOf(schema: z.core.$ZodType): Setting['kind'] {
  if (schema instanceof z.ZodNumber) return 'number';
  if (schema instanceof z.ZodBoolean) return 'boolean';
  if (schema instanceof z.ZodArray) return 'list';
  if (schema instanceof z.ZodUnion && schema.options.some((option) => option instanceof z.ZodNumber)) return 'number';
  return 'text';
}

/** All settings, in the order of the schema. */
export function allSettings(): Setting[] {
  const found: Setting[] = [];
  walk(settingsSchema, '', found);
  return found;
}
