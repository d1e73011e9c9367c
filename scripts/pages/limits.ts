import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { LOGIN_LIMITS } from '../../src/core/login-limits.ts';
import { DEFAULT_LIMITS } from '../../src/engine/limits.ts';
import { AMQP_LIMITS } from '../../src/gateways/amqp/limits.ts';
import { HTTP_LIMITS } from '../../src/gateways/http-sockets.ts';
import { HISTORY_LIMITS } from '../../src/gateways/http/live/history.ts';
import { LIVE_LIMITS } from '../../src/gateways/http/live/limits.ts';
import { KAFKA_LIMITS } from '../../src/gateways/kafka/limits.ts';
import { LISTENER_LIMITS } from '../../src/gateways/listener.ts';
import { NATIVE_LIMITS } from '../../src/gateways/native/limits.ts';
import { DEFINITION_LIMITS } from '../../src/server/definition-limits.ts';
import { allSettings } from '../../src/server/settings.ts';

const root = resolve(import.meta.dirname, '../..');

const INTRODUCTION = `# Limits

What a client can make grow has a bound, with a default. Those that a deployment may want to change are
[settings](configuration.md). One thing has none but what users set: messages on disk, which queues and topics bound
(\`maxMessages\`, \`maxBytes\`, \`retain\`; where a disk is full publishers wait or are refused). What a journal has more of than
is allowed by now is read and kept; only new ones are refused.
`;

export const LIMIT_SECTIONS: readonly { title: string; file: string; values: object }[] = [
  { title: 'Connections, on every port', file: 'src/gateways/listener.ts', values: LISTENER_LIMITS },
  { title: 'What clients define', file: 'src/server/definition-limits.ts', values: DEFINITION_LIMITS },
  { title: 'A broker, and its shard', file: 'src/engine/limits.ts', values: DEFAULT_LIMITS },
  { title: 'A connection of the native protocol', file: 'src/gateways/native/limits.ts', values: NATIVE_LIMITS },
  { title: 'A connection of HTTP (also SQS and SNS)', file: 'src/gateways/http-sockets.ts', values: HTTP_LIMITS },
  { title: 'Streams of events (the dashboard)', file: 'src/gateways/http/live/limits.ts', values: LIVE_LIMITS },
  { title: 'Histories (charts)', file: 'src/gateways/http/live/history.ts', values: HISTORY_LIMITS },
  { title: 'A connection of AMQP', file: 'src/gateways/amqp/limits.ts', values: AMQP_LIMITS },
  { title: 'A connection of Kafka', file: 'src/gateways/kafka/limits.ts', values: KAFKA_LIMITS },
  { title: 'Logins', file: 'src/core/login-limits.ts', values: LOGIN_LIMITS },
];

/** The text of `docs/limits.md`: values from the code, words from the comments beside them. */
export async function limitsPage(): Promise<string> {
  const settings = allSettings()
    .filter(({ path }) => path.startsWith('limits.'))
    .map(({ path, doc }) => `| \`${path}\` | ${doc.summary} |`);
  const sections = await Promise.all(
    LIMIT_SECTIONS.map(async ({ title, file, values }) => {
      const source = await readFile(join(root, file), 'utf8');
      const rows = Object.entries(values).map(
        ([name, value]) => `| \`${name}\` | ${show(name, value)} | ${words(source, name)} |`,
      );
      return [`\n## ${title}\n`, '| limit | default | what it bounds |\n|---|---|---|', ...rows].join('\n');
    }),
  );
  return `${[INTRODUCTION, '| setting | what it bounds |\n|---|---|', ...settings, ...sections].join('\n')}\n`;
}

/** What the comment above a field of the interface says. @throws where there is none: then nobody knows what it bounds */
function words(source: string, name: string): string {
  const comment = new RegExp(`/\\*\\*((?:(?!\\*/)[\\s\\S])*)\\*/\\s*${name}\\??: number;`).exec(source)?.[1];
  if (comment === undefined) throw new Error(`Nothing says what ${name} bounds.`);
  return comment.replaceAll(/\s*\n?\s*\*?\s+/g, ' ').trim();
}

function show(name: string, value: unknown): string {
  if (typeof value !== 'number') return String(value);
  if (value === Infinity) return 'none';
  if (/bytes$|^frameMax$/i.test(name)) return bytes(value);
  if (/ms$/i.test(name)) return duration(value);
  return value.toLocaleString('en-US');
}

function bytes(value: number): string {
  for (const [unit, size] of [
    ['GiB', 1 << 30],
    ['MiB', 1 << 20],
    ['KiB', 1 << 10],
  ] as const)
    if (value >= size && value % size === 0) return `${value / size} ${unit}`;
  return `${value} bytes`;
}

function duration(value: number): string {
  for (const [unit, size] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
    ['s', 1000],
  ] as const)
    if (value >= size && value % size === 0) return `${value / size} ${unit}`;
  return `${value} ms`;
}
