import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import inspector from 'node:inspector';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { SYSTEM_NAMESPACE, USER_DOCUMENT } from '../../core/access.ts';
import { realTime } from '../../core/real-time.ts';
import type { Broker } from '../../engine/broker.ts';
import type { Listener } from '../../gateways/listener.ts';
import { usedOf } from '../alerts/look.ts';
import { isLoopback } from '../config.ts';
import type { ServerConfig } from '../settings.ts';
import type { DoctorFacts } from './checks.ts';

export interface DoctorParts {
  config: ServerConfig;
  broker: Broker;
  listeners: ReadonlyMap<string, Listener>;
  off: readonly string[];
  loginRequired: boolean;
  alertRules: number;
  scraped: boolean;
}

/** What `statfs` says of file systems that are no local disk. */
const FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x69_69, 'NFS'],
  [0xff_53_4d_42, 'CIFS'],
  [0xfe_53_4d_42, 'SMB'],
  [0x01_02_19_94, 'tmpfs, which is memory'],
  [0x85_84_58_f6, 'ramfs, which is memory'],
]);

/** Looks around: at the configuration, the process and the machine. */
export async function lookAround(parts: DoctorParts): Promise<DoctorFacts> {
  const { config, broker, listeners, off, loginRequired, alertRules, scraped } = parts;
  const { counters: _, notices, startedAt, now } = broker.info();
  const directory = config.memory ? null : config.dir;
  const everybody = rightsOf(config, broker);
  return {
    open: !config.host.every((host) => isLoopback(host)),
    insecure: config.insecure,
    loginRequired,
    onlyLogin:
      everybody.size > 0
        ? null
        : config.token !== undefined
          ? 'token'
          : config.accessKey === undefined
            ? null
            : 'accessKey',
    mayEverything: [...everybody].filter(([, all]) => all).map(([name]) => name),
    users: everybody.size,
    tls: config.tls.cert !== undefined,
    certificateEnds: endOf(config.tls.cert),
    now: realTime.now(),
    readable: secretsOf(config, directory).filter(({ file }) => isReadable(file)),
    off,
    unused: [...listeners]
      .filter(([name, each]) => name !== 'railhead' && each.figures().accepted === 0)
      .map(([name]) => name),
    upMs: now - startedAt,
    memory: config.memory,
    diskUsed: directory === null ? null : await usedOf(directory).catch(() => null),
    fileSystem: directory === null ? null : await fileSystemOf(directory),
    descriptors: descriptorLimit(),
    connections: config.limits.connections,
    ports: listeners.size,
    memoryLimit: config.limits.memory,
    machineMemory: Math.min(totalmem(), process.constrainedMemory() || Infinity),
    root: process.getuid?.() === 0,
    debugger: inspector.url() !== undefined,
    checksCertificates: process.env['NODE_TLS_REJECT_UNAUTHORIZED'] !== '0',
    privateWebhooks: config.allowPrivateWebhooks,
    clockOffMs: now - realTime.now(),
    alertRules,
    scraped,
    unhealthy: broker.health().reason,
    notices,
  };
}

/** Of each user, of the config file or stored, whether it may do everything everywhere. */
function rightsOf({ users }: ServerConfig, broker: Broker): Map<string, boolean> {
  const found = new Map<string, boolean>();
  for (const { name, grants } of users)
    found.set(
      name,
      grants.some((grant) => grant.namespace === '*' && grant.resource === '*' && grant.actions === 'all'),
    );
  for (const [name, { value }] of broker.documents(SYSTEM_NAMESPACE).of(USER_DOCUMENT)) {
    // Written by `StoredUsers`.
    const { role } = JSON.parse(value) as { role?: string | null };
    found.set(name, role === 'admin');
  }
  return found;
}

function endOf(file: string | undefined): number | null {
  if (file === undefined) return null;
  try {
    return Date.parse(new X509Certificate(readFileSync(file)).validTo);
  } catch {
    return null;
  }
}

function secretsOf(
  { tls, accessKeyFile, alertSecretFile }: ServerConfig,
  directory: string | null,
): { file: string; what: string }[] {
  const files: { file: string; what: string }[] = [];
  if (tls.key !== undefined) files.push({ file: tls.key, what: 'the private key of TLS' });
  const keyFile = accessKeyFile ?? (directory === null ? undefined : join(directory, 'railhead.key'));
  if (keyFile !== undefined) files.push({ file: keyFile, what: 'the key of all access keys' });
  if (alertSecretFile !== undefined) files.push({ file: alertSecretFile, what: 'what signs alerts' });
  if (directory !== null) files.push({ file: directory, what: 'all messages' });
  return files;
}

/** By others than its owner. False for what is not there. */
function isReadable(file: string): boolean {
  try {
    return process.platform !== 'win32' && (statSync(file).mode & 0o044) !== 0;
  } catch {
    return false;
  }
}

async function fileSystemOf(directory: string): Promise<string | null> {
  try {
    const { type } = await statfs(directory);
    return FILE_SYSTEMS.get(type >>> 0) ?? null;
  } catch {
    return null;
  }
}

/** The soft limit, where Linux says it. */
function descriptorLimit(): number | null {
  try {
    const [, limit] = /^Max open files +(\d+|unlimited) /m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return limit === undefined || limit === 'unlimited' ? null : Number(limit);
  } catch {
    return null;
  }
}
