import { z } from 'zod';
import { ERRORS } from '../../src/core/errors.ts';
import { STATUS } from '../../src/gateways/http/errors.ts';
import { ROUTES } from '../../src/gateways/http/routes/index.ts';
import type { Route } from '../../src/gateways/http/route.ts';

const INTRODUCTION = `# The HTTP API

Everything a broker does, as HTTP and JSON on the port that it has anyway (7070): for programs in other languages, for
scripts, for \`curl\`. \`/openapi.json\` is the same as an OpenAPI 3.1 document, to make clients from.

\`\`\`ts
const broker = 'http://localhost:7070';

async function call<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await fetch(\`\${broker}/api/v1\${path}\`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as Answer;
}

await call('PUT', '/queues/emails', { lease: '1m', maxAttempts: 5 });
await call('POST', '/queues/emails/messages', { body: { to: 'user@example.com' }, key: 'user-7', delay: '100ms' });

// Waits for the first message up to 20 seconds. The lease is yours until you settle it, or until it ends.
type Received = { messages: { body: { to: string }; delivery: string }[] };
const { messages } = await call<Received>('POST', '/queues/emails/receive', { max: 10, wait: '20s' });
for (const { body, delivery } of messages) {
  console.log('to', body.to);
  await call('POST', '/settle', { deliveries: [delivery], action: 'ack' });
}
if (messages.length !== 1) throw new Error('one message was expected');
\`\`\`

- **Login**: \`Authorization: Bearer TOKEN\`, when the broker has one (see [configuration](configuration.md)); an access
  key is the token \`ID.SECRET\`. People log in with \`POST /api/v1/login\` and \`{ user, password }\` or \`{ token }\`,
  which sets a cookie; whatever changes something then needs the header \`Railhead-Csrf\` with the token that it, and
  \`GET /api/v1/whoami\`, tell. \`POST /api/v1/logout\` ends it. After ten refused logins from one address in a minute,
  over any protocol: 429 ([security](security.md#refused-logins)).
- **Namespace**: the header \`Railhead-Namespace\`; default \`default\`.
- **Bodies**: a JSON body stands in \`body\`, and comes out digit for digit as it went in. Any other is \`base64\` with its
  \`contentType\`. The request itself is always \`Content-Type: application/json\`, at most \`limits.httpBody\`.
- **Units**: durations (\`30s\`), sizes (\`10MB\`) and rates (\`500/s\`) have one; times are ISO 8601. An unknown field is an
  error, never ignored.
- **A publish** is answered when it is as safe as the queue's \`durability\` says. Sent again after a lost answer it is
  stored again, unless it has a \`dedupeId\` (with the queue's \`dedupeWindow\`) or a \`producer\`.
- **A lease** taken over HTTP is bound to its time and not to your connection: it goes on when you disconnect and when the
  broker restarts. When you go away while a receive waits, what was meant for you is given back and counts no attempt.
- **Browsers** are kept out: there are no CORS headers, an \`Origin\` that is not the broker's own is refused, and without
  a login so is a \`Host\` that is not (see \`allowedHosts\`).
- **Names** with special characters are percent-encoded: \`/queues/a%2Fb\`.

\`/healthz\` answers 200 while the process works, \`/readyz\` while the broker takes requests; both 503 otherwise, with a
reason. Neither needs a login. \`/metrics\` is [for Prometheus](metrics.md).

## Errors

Every failure has one form: \`{ "error": { "code", "message", "retryable" } }\`, some with \`details\`. The codes are those
of [errors.md](errors.md):
`;

/** The text of `docs/http-api.md`. */
export function httpApiPage(): string {
  const errors = Object.entries(STATUS)
    .filter(([code]) => code !== 'CONFIG')
    .map(([code, status]) => `| \`${code}\` | ${status} | ${retryable(code) ? 'yes' : 'no'} |`);
  const tags = [...new Set(ROUTES.map(({ spec }) => spec.tag))];
  const sections = tags.map((tag) =>
    section(
      tag,
      ROUTES.filter(({ spec }) => spec.tag === tag),
    ),
  );
  return [
    INTRODUCTION,
    '| code | status | retryable |\n|---|---|---|',
    ...errors,
    '| `INTERNAL` | 500 | no |',
    '\n## Routes\n',
    'All below `/api/v1`. Fields in brackets may be left out.\n',
    sections.join('\n'),
  ].join('\n');
}

function retryable(code: string): boolean {
  return Object.entries(ERRORS).some(([name, { retryable: again }]) => name === code && again);
}

function section(tag: string, routes: readonly Route[]): string {
  const title = `### ${tag[0]?.toUpperCase() ?? ''}${tag.slice(1)}\n`;
  const seen = new Map<string, string[]>();
  // A queue's route and its twin for topics or subscriptions say the same: they share a row.
  for (const { spec } of routes) {
    const what = `${spec.summary}${fields('Query', spec.query)}${fields('Body', spec.body)}`;
    seen.set(what, [...(seen.get(what) ?? []), `\`${spec.method.toUpperCase()} ${spec.path}\``]);
  }
  const rows = [...seen].map(([what, paths]) => `| ${paths.join('<br>')} | ${what} |`);
  return [title, '| route | what it does |', '|---|---|', ...rows, ''].join('\n');
}

interface JsonSchema {
  properties?: Record<string, { description?: string }>;
  required?: string[];
  oneOf?: JsonSchema[];
  anyOf?: JsonSchema[];
}

function fields(place: string, schema: z.ZodType | undefined): string {
  if (schema === undefined) return '';
  const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  const branches = json.oneOf ?? json.anyOf ?? [json];
  const names = new Map<string, boolean>();
  for (const { properties, required } of branches) {
    for (const name of Object.keys(properties ?? {})) {
      const always = branches.every((branch) => branch.required?.includes(name)) && required?.includes(name) === true;
      names.set(name, always);
    }
  }
  if (names.size === 0) return '';
  return `<br>${place}: ${[...names].map(([name, always]) => (always ? `\`${name}\`` : `[\`${name}\`]`)).join(' ')}`;
}
