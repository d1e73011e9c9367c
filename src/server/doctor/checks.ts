import type { DoctorFinding } from '../../gateways/http/server-facts.ts';
import { formatDuration, formatSize } from '../../core/units.ts';

/** What the list in docs/security.md is held against. Null: it could not be found out, and nothing is said of it. */
export interface DoctorFacts {
  /** Others than this machine can connect. */
  open: boolean;
  insecure: boolean;
  loginRequired: boolean;
  /** Where the only logins are the ones for the smallest set-up. */
  onlyLogin: 'token' | 'accessKey' | null;
  /** Names of those who may do everything everywhere. */
  mayEverything: readonly string[];
  users: number;
  tls: boolean;
  /** When the certificate ends, ms. */
  certificateEnds: number | null;
  now: number;
  /** Files that others than the owner can read, and what is in them. */
  readable: readonly { file: string; what: string }[];
  /** Protocols that were to be spoken and are not. */
  off: readonly string[];
  /** Protocols that are spoken on a port of their own, and that nobody has connected to. */
  unused: readonly string[];
  upMs: number;
  memory: boolean;
  /** Percent of the file system of the directory. */
  diskUsed: number | null;
  /** Where the directory lies, if that is no local disk. */
  fileSystem: string | null;
  descriptors: number | null;
  /** What each port may have, and how many ports there are. */
  connections: number;
  ports: number;
  memoryLimit: number;
  machineMemory: number;
  root: boolean;
  debugger: boolean;
  checksCertificates: boolean;
  privateWebhooks: boolean;
  /** Between what the broker takes for the time and what the system does. */
  clockOffMs: number;
  alertRules: number;
  scraped: boolean;
  unhealthy: string | null;
  notices: readonly string[];
}

const DAY_MS = 86_400_000;
const CERTIFICATE_DAYS = 21;
/** Files and sockets of the broker itself. */
const OWN_DESCRIPTORS = 200;
const OWN_MEMORY = 256 << 20;
const DISK_PERCENT = 85;
const CLOCK_MS = 5_000;
/** Before that nobody had time to connect, or to scrape. */
const SETTLED_MS = 3_600_000;

type Check = (facts: DoctorFacts) => Finding | readonly Finding[] | null;
type Finding = Omit<DoctorFinding, 'check'>;

const error = (says: string, fix: string): Finding => ({ level: 'error', says, fix });
const warning = (says: string, fix: string): Finding => ({ level: 'warning', says, fix });
const hint = (says: string, fix: string): Finding => ({ level: 'hint', says, fix });

/** By name, in the order in which they are shown. */
const CHECKS: Readonly<Record<string, Check>> = {
  unhealthy: ({ unhealthy }) =>
    unhealthy === null ? null : error(`The broker says: ${unhealthy}.`, 'See its log, and docs/storage.md.'),
  'no-login': ({ loginRequired, open }) => {
    if (loginRequired) return null;
    const fix = 'Add a user: railhead user add NAME --role admin.';
    return open
      ? error('Everybody who reaches its ports may do everything: nobody has to log in.', fix)
      : hint('Everybody on this machine may do everything: nobody has to log in.', fix);
  },
  insecure: ({ insecure, loginRequired }) =>
    insecure && loginRequired
      ? warning(
          '`insecure` is set, and users are there: it would open the broker if they were deleted.',
          'Take it out.',
        )
      : null,
  'one-login': ({ onlyLogin }) =>
    onlyLogin === null
      ? null
      : warning(
          `All programs share one login (\`${onlyLogin}\`), which may do everything.`,
          'Give each program a user with rules for what it uses: railhead user add, railhead user allow.',
        ),
  'too-many-rights': ({ mayEverything, users }) =>
    users > 1 && mayEverything.length === users
      ? warning(
          `All ${users} users may do everything: ${mayEverything.slice(0, 5).join(', ')}${users > 5 ? ', …' : ''}.`,
          'Keep that for people who run the broker. Programs get rules: railhead user allow NAME publish,consume orders*.',
        )
      : null,
  'no-tls': ({ tls, open }) =>
    open && !tls
      ? error(
          'Others connect without TLS: what they send, and their passwords, can be read on the way.',
          'Set tls.cert and tls.key.',
        )
      : null,
  certificate: ({ certificateEnds, now }) => {
    if (certificateEnds === null) return null;
    const fix = 'Renew it, and send the server a SIGHUP.';
    if (certificateEnds <= now) return error('The certificate is over: clients that check it cannot connect.', fix);
    const leftMs = certificateEnds - now;
    if (leftMs > CERTIFICATE_DAYS * DAY_MS) return null;
    return warning(`The certificate ends in ${Math.floor(leftMs / DAY_MS)} days.`, fix);
  },
  'readable-file': ({ readable }) =>
    readable.map(({ file, what }) =>
      error(`${file} holds ${what} and can be read by others on this machine.`, `chmod go= ${file}`),
    ),
  'protocol-off': ({ off }) =>
    off.map((protocol) =>
      warning(
        `The port of ${protocol} was taken when the broker started, so that ${protocol} is off.`,
        `Stop what has it, or name another with --${protocol} PORT, or say --no-${protocol}; then start the broker again.`,
      ),
    ),
  'protocol-unused': ({ unused, open, upMs }) =>
    open && upMs > SETTLED_MS
      ? unused.map((protocol) =>
          hint(
            `${protocol} listens, and nobody has connected to it since the start.`,
            `Turn it off with --no-${protocol} where it is not needed.`,
          ),
        )
      : null,
  'open-files': ({ descriptors, connections, ports }) => {
    const needed = connections * ports + OWN_DESCRIPTORS;
    return descriptors === null || descriptors >= needed
      ? null
      : warning(
          `The process may open ${descriptors} files; limits.connections is ${connections} for each of ${ports} ports, and the broker needs some ${OWN_DESCRIPTORS} beside.`,
          `Raise it (LimitNOFILE=, ulimit -n) to ${needed} or more, lower limits.connections, or turn off protocols that nobody speaks.`,
        );
  },
  'machine-memory': ({ memoryLimit, machineMemory }) =>
    2 * memoryLimit + OWN_MEMORY <= machineMemory
      ? null
      : warning(
          `limits.memory is ${formatSize(memoryLimit)}, for which the process may take ${formatSize(2 * memoryLimit + OWN_MEMORY)}; there are ${formatSize(machineMemory)}.`,
          'Lower limits.memory, or give the machine or container more.',
        ),
  'in-memory': ({ memory }) =>
    memory
      ? warning('Everything is kept in memory: a stop loses all messages.', 'Leave `memory` out and set `dir`.')
      : null,
  'disk-full': ({ diskUsed }) =>
    diskUsed === null || diskUsed < DISK_PERCENT
      ? null
      : warning(
          `The file system of the directory is full to ${Math.round(diskUsed)} %.`,
          'Make room: without it publishers wait or are refused.',
        ),
  'file-system': ({ fileSystem }) =>
    fileSystem === null
      ? null
      : warning(
          `The directory lies on ${fileSystem}, which may lose or reorder what was synced, or is gone after a restart.`,
          'Use a local disk.',
        ),
  clock: ({ clockOffMs }) =>
    Math.abs(clockOffMs) < CLOCK_MS
      ? null
      : warning(
          `The clock of the system was set since the start: it is ${formatDuration(Math.round(Math.abs(clockOffMs) / 1000) * 1000)} ${clockOffMs > 0 ? 'behind' : 'ahead of'} the broker's.`,
          'Keep it set by NTP; the broker goes by the new time after its next start.',
        ),
  root: ({ root }) =>
    root ? warning('The broker runs as root.', 'Run it as a user that can do nothing else: see deploy/.') : null,
  debugger: ({ debugger: isOpen }) =>
    isOpen
      ? error('A debugger can attach (--inspect) and do everything in this process.', 'Start it without --inspect.')
      : null,
  'unchecked-certificates': ({ checksCertificates }) =>
    checksCertificates
      ? null
      : error(
          'NODE_TLS_REJECT_UNAUTHORIZED=0: webhooks are posted to whoever answers.',
          'Take it out of the environment.',
        ),
  'private-webhooks': ({ privateWebhooks, open }) =>
    privateWebhooks && open
      ? warning(
          '`allowPrivateWebhooks`: who may subscribe to a topic of SNS can have the broker post into your own network.',
          'Leave it out.',
        )
      : null,
  unwatched: ({ scraped, alertRules, upMs }) =>
    scraped || alertRules > 0 || upMs < SETTLED_MS
      ? null
      : warning(
          'Nobody looks: /metrics was not scraped since the start, and there are no alert rules.',
          'Scrape it (docs/metrics.md), or set alerts (docs/alerts.md).',
        ),
  notices: ({ notices }) => notices.map((notice) => warning(`At the last start: ${notice}`, 'See docs/storage.md.')),
};

/** What should be changed, the worst first. */
export function diagnose(facts: DoctorFacts): DoctorFinding[] {
  const found = Object.entries(CHECKS).flatMap(([check, look]) =>
    [look(facts) ?? []].flat().map((finding) => ({ check, ...finding })),
  );
  const rank = { error: 0, warning: 1, hint: 2 };
  return found.toSorted((a, b) => rank[a.level] - rank[b.level]);
}

export const CHECK_NAMES = Object.keys(CHECKS);
