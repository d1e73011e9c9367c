import { allSettings, type Setting } from '../../src/server/settings.ts';
import { formatDuration, formatSize } from '../../src/core/units.ts';

const INTRODUCTION = `# Configuration

Every setting can be given in three places. A flag wins over an environment variable, a variable over the config file,
the file over the default. The server logs at its start which settings are not the default and where each came from.

\`\`\`yaml
# railhead.yaml, used with: railhead --config railhead.yaml
dir: /var/lib/railhead
host: [0.0.0.0]
tls: { cert: /etc/railhead/cert.pem, key: /etc/railhead/key.pem }
log: { level: info, format: json }
users:
  - name: shop
    tokenHash: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
    grants:
      - { namespace: default, resource: orders*, actions: [publish, consume] }
\`\`\`

The file is YAML or JSON, named by \`--config FILE\` or \`RAILHEAD_CONFIG\`. An unknown setting, a value that is not
allowed and a setting that would have no effect are refused at start, in words that say what to write instead. Paths
are relative to the directory in which the server starts.

## Settings
`;

const LOGIN = `
## Who may log in

Without a login the server listens on loopback only, and everybody there may do everything. With \`token\`, \`accessKey\` or
\`users\` set, or with the first user that is stored, every connection and every HTTP request but \`/healthz\` and
\`/readyz\` needs one; over [the management API of AMQP](protocols/amqp-management.md) three health checks need none. On
any other address a server without users does not start, and says which two commands help.

- \`RAILHEAD_TOKEN=…\` is the smallest login: one user named \`token\` with every right. Where a protocol has names and
  passwords it is the password of that name, and so is any other token.
- \`railhead user add NAME --role admin --dir DIR\` stores a user with the broker, also before its first start. Users are
  changed while it runs (\`railhead user\`, \`/api/v1/users\`), and what they may not do any more ends at once: consumers,
  and the connections of who was deleted.
- A **role** counts in all namespaces: \`viewer\` (definitions and counts), \`operator\` (everything with queues and
  messages), \`admin\`. A **rule** allows something with names: \`railhead user allow ann publish,consume 'orders*'
  --namespace shop\`; \`publish\` and \`consume\` include looking at definitions and counts, \`manage\` is to create, change,
  delete, purge, pause. Users may also have RabbitMQ's patterns (\`railhead user permit\`).
- An **access key** (\`railhead user keys NAME --add\`) signs requests of Amazon's clients, is the token \`ID.SECRET\`, and is
  a name and a password where a protocol has those. Its secret is encrypted with \`accessKeyFile\`: keep that file apart
  from backups of the data, and do not lose it.
- \`railhead user entry NAME\` makes a token, shows it once, and prints the entry for \`users\` of a config file with its
  hash. With \`--password\` it reads a password from standard input instead.
- \`RAILHEAD_ACCESS_KEY=ID:SECRET\` is one user named \`access-key\` with every right; a user of the config file has its
  own with \`accessKeys: [{ id, secret }]\`. A signature is checked with the secret itself, so that the file holds it as
  it is: keep it from others.

A grant names a namespace, a resource (a name, or a prefix and \`*\`; both default to what is written below) and actions:

| action | allows |
|---|---|
| \`configure\` | create, change and delete topics, queues, subscriptions, routers, bindings and schedules |
| \`publish\` | publish, also through a router; redrive, to another queue with the right on that too |
| \`consume\` | receive, settle, peek, read by offset |
| \`inspect\` | definitions, counts |
| \`manage\` | purge, trim, pause, cancel, reschedule, drop, seek, snapshots |
| \`admin\` | facts and acts of the whole broker |

\`namespace\` defaults to \`default\`, \`resource\` to \`*\`, \`actions\` to \`all\`.
`;

/** The text of `docs/configuration.md`. */
export function configurationPage(): string {
  const rows = allSettings().map(
    (setting) =>
      `| \`${setting.path}\` | ${code(setting.flag)} | ${code(setting.env)} | ${defaultOf(setting)} | ${setting.doc.summary} Write ${setting.doc.allowed}. |`,
  );
  const table = ['| in the file | flag | variable | default | what it is |', '|---|---|---|---|---|', ...rows].join(
    '\n',
  );
  return `${INTRODUCTION}\n${table}\n${LOGIN}`;
}

function code(name: string | undefined): string {
  return name === undefined ? '' : `\`${name}\``;
}

/** Numbers of bytes and milliseconds as people write them. */
function defaultOf(setting: Setting): string {
  const value = setting.default;
  if (setting.doc.fallback !== undefined) return setting.doc.fallback;
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return 'none';
  if (typeof value === 'number' && setting.doc.placeholder === 'SIZE')
    return `\`${formatSize(value).replace('.0 ', '')}\``;
  if (typeof value === 'number' && setting.doc.placeholder === 'DURATION') return `\`${formatDuration(value)}\``;
  return `\`${Array.isArray(value) ? value.join(',') : String(JSON.stringify(value)).replaceAll('"', '')}\``;
}
