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
\`users\` set, every connection and every HTTP request but \`/healthz\` and \`/readyz\` needs one.

- \`RAILHEAD_TOKEN=…\` is the smallest login: one user named \`token\` with every right.
- \`railhead user NAME\` makes a token, shows it once, and prints the entry for \`users\` with its hash.
  \`railhead user NAME --password\` reads a password from standard input instead.
- Amazon's clients sign with an access key: \`RAILHEAD_ACCESS_KEY=ID:SECRET\` is one user named \`access-key\` with every
  right; a user has its own with \`accessKeys: [{ id, secret }]\`. A signature is checked with the secret itself, so that
  the file holds it as it is: keep it from others.

A grant names a namespace, a resource (a name, or a prefix and \`*\`; both default to what is written below) and actions:

| action | allows |
|---|---|
| \`configure\` | create, change and delete topics, queues, subscriptions, routers, bindings and schedules |
| \`publish\` | publish, also through a router; redrive |
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
