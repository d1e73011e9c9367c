import { readFile } from 'node:fs/promises';
import { RailheadError } from '../core/errors.ts';
import { didYouMean, nearestName } from './nearest.ts';
import {
  allSettings,
  settingsSchema,
  type ServerConfig,
  type ServerConfigInput,
  type Setting,
  splitAccessKey,
} from './settings.ts';

/** Where a value came from, in words: `--port`, `RAILHEAD_PORT`, `railhead.yaml`, `default`. */
export type Origins = ReadonlyMap<string, string>;

export interface LoadedConfig {
  config: ServerConfig;
  /** By the path of the setting, one for each setting. */
  origins: Origins;
  /** A config file was read. */
  file: boolean;
}

export interface ConfigSources {
  /** By path: `{ 'log.level': 'debug' }`. Text from a command line, or values. */
  flags?: ReadonlyMap<string, unknown>;
  env?: Readonly<Record<string, string | undefined>>;
  /** Content of a config file and its name. */
  file?: { name: string; content: unknown };
}

type Tree = { [key: string]: unknown };

/** Variables that other parts of Railhead read. */
const OTHER_VARIABLES = ['RAILHEAD_URL', 'RAILHEAD_CONFIG'];

/**
 * Puts the layers together (flag over variable over file over default) and checks all of it.
 *
 * @throws CONFIG with one sentence for each thing that is wrong: the setting, what was got, from where, what is allowed.
 */
export function readConfig(sources: ConfigSources): LoadedConfig {
  const settings = allSettings();
  const origins = new Map<string, string>(settings.map((setting) => [setting.path, 'default']));
  const raw: Tree = {};
  const problems: string[] = [];

  if (sources.file !== undefined) {
    const { name, content } = sources.file;
    const byPath = new Map(settings.map((setting) => [setting.path, setting]));
    flatten(content ?? {}, '', byPath, name, problems, (path, value) => {
      put(raw, path, value);
      origins.set(path, name);
    });
  }
  for (const setting of settings) {
    const text = setting.env === undefined ? undefined : sources.env?.[setting.env];
    if (setting.env === undefined || text === undefined || text === '') continue;
    // Kubernetes sets RAILHEAD_PORT=tcp://10.0.0.7:7070 in every pod beside a service named railhead.
    if (setting.path === 'port' && text.startsWith('tcp://')) continue;
    put(raw, setting.path, fromText(setting, text));
    origins.set(setting.path, setting.env);
  }
  unknownVariables(settings, sources.env ?? {}, problems);
  for (const [path, value] of sources.flags ?? []) {
    const setting = settings.find((candidate) => candidate.path === path);
    if (setting === undefined) throw new Error(`Railhead bug: a flag for the unknown setting ${path}`);
    put(raw, path, fromText(setting, value));
    origins.set(path, setting.flag ?? path);
  }
  if (problems.length > 0) throw new RailheadError('CONFIG', problems.join(' '));
  return { config: check(raw, origins), origins, file: sources.file !== undefined };
}

/**
 * Checks a configuration that was written in code. A checked one may be handed in again.
 *
 * @throws CONFIG, as `readConfig` does.
 */
export function checkConfig(input: ServerConfigInput): ServerConfig {
  return readConfig({ file: { name: 'the configuration', content: input } }).config;
}

/**
 * Reads a YAML or JSON file (JSON is YAML).
 *
 * @throws CONFIG when it cannot be read or is not YAML.
 */
export async function readConfigFile(name: string): Promise<{ name: string; content: unknown }> {
  let text: string;
  try {
    text = await readFile(name, 'utf8');
  } catch (cause) {
    const why =
      cause instanceof Error && 'code' in cause && cause.code === 'ENOENT' ? 'does not exist' : 'cannot be read';
    throw new RailheadError('CONFIG', `The config file ${name} ${why}. Check the path given with --config.`, { cause });
  }
  const { parse } = await import('yaml');
  try {
    return { name, content: parse(text) };
  } catch (cause) {
    const first = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : '';
    throw new RailheadError(
      'CONFIG',
      `The config file ${name} is not valid YAML or JSON: ${first.replace(/:$/, '.')}`,
      { cause },
    );
  }
}

function flatten(
  value: unknown,
  prefix: string,
  settings: ReadonlyMap<string, Setting>,
  file: string,
  problems: string[],
  found: (path: string, value: unknown) => void,
): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const what = prefix === '' ? `The config file ${file}` : `${prefix} in ${file}`;
    problems.push(`${what} is ${show(value)}; write a map of settings.`);
    return;
  }
  for (const [key, child] of Object.entries(value)) {
    if (child === undefined) continue;
    const path = prefix === '' ? key : `${prefix}.${key}`;
    const setting = settings.get(path);
    if (setting !== undefined) {
      found(path, setting.kind === 'list' && typeof child === 'string' ? fromText(setting, child) : child);
    } else if ([...settings.keys()].some((known) => known.startsWith(`${path}.`))) {
      flatten(child, path, settings, file, problems, found);
    } else {
      problems.push(
        `${file} has the unknown setting ${JSON.stringify(path.slice(0, 100))}.${didYouMean(path, settings.keys())}`,
      );
    }
  }
}

function unknownVariables(
  settings: Setting[],
  env: Readonly<Record<string, string | undefined>>,
  problems: string[],
): void {
  const known = new Set([...settings.flatMap((setting) => setting.env ?? []), ...OTHER_VARIABLES]);
  for (const name of Object.keys(env)) {
    if (!name.startsWith('RAILHEAD_') || known.has(name)) continue;
    // Kubernetes sets RAILHEAD_SERVICE_HOST and the like for a service named railhead: only a near miss is a mistake.
    const near = nearestName(withoutPrefix(name), [...known].map(withoutPrefix));
    if (near !== undefined)
      problems.push(`The environment variable ${name} is unknown. Did you mean RAILHEAD_${near}?`);
  }
}

function withoutPrefix(name: string): string {
  return name.slice('RAILHEAD_'.length);
}

function fromText(setting: Setting, value: unknown): unknown {
  if (typeof value !== 'string') return value;
  switch (setting.kind) {
    case 'number':
      if (value === 'false' && setting.doc.off === true) return false;
      return /^\d+$/.test(value) ? Number(value) : value;
    case 'boolean':
      return value === 'true' || value === '1' ? true : value === 'false' || value === '0' ? false : value;
    case 'list':
      return value.split(',').map((item) => item.trim());
    default:
      return value;
  }
}

function check(raw: Tree, origins: Map<string, string>): ServerConfig {
  // Once in the life of a process: zod's own way to be quick is to compile code first.
  const parsed = settingsSchema.safeParse(raw, { jitless: true });
  if (!parsed.success) {
    const settings = allSettings();
    const sentences = new Set<string>();
    for (const issue of parsed.error.issues) {
      const path = issue.path.join('.');
      const setting = settings.find((candidate) => path === candidate.path || path.startsWith(`${candidate.path}.`));
      if (setting === undefined) sentences.add(`${path}: ${issue.message}.`);
      else sentences.add(sentence(setting, path, raw, origins));
    }
    throw new RailheadError('CONFIG', [...sentences].join(' '));
  }
  const config = parsed.data;
  refuseContradictions(config, origins);
  return config;
}

function sentence(setting: Setting, path: string, raw: Tree, origins: Origins): string {
  const origin = origins.get(setting.path) ?? 'default';
  const got = setting.doc.secret || setting.kind === 'rich' ? 'not acceptable' : show(valueAt(raw, setting.path));
  return `${path} is ${got} (from ${origin}); write ${setting.doc.allowed}.`;
}

function refuseContradictions(config: ServerConfig, origins: Origins): void {
  if ((config.tls.cert === undefined) !== (config.tls.key === undefined)) {
    const [have, lack] = config.tls.cert === undefined ? ['tls.key', 'tls.cert'] : ['tls.cert', 'tls.key'];
    throw new RailheadError(
      'CONFIG',
      `${have} is set (from ${origins.get(have) ?? ''}) and ${lack} is not. Set both for TLS, or neither.`,
    );
  }
  const { cert, clientCa, clientCertificates } = config.tls;
  if ((clientCa !== undefined && cert === undefined) || (clientCertificates === 'required' && clientCa === undefined))
    throw new RailheadError(
      'CONFIG',
      'Client certificates need tls.cert, tls.key and tls.clientCa. Set all of these, or neither of the others.',
    );
  if (config.alertSecret !== undefined && config.alertSecretFile !== undefined)
    throw new RailheadError(
      'CONFIG',
      `alertSecret (from ${origins.get('alertSecret') ?? ''}) and alertSecretFile are both set. Leave one of them out.`,
    );
  const names = new Set<string>(config.token === undefined ? [] : ['token']);
  const keys = new Set<string>();
  if (config.accessKey !== undefined) {
    names.add('access-key');
    keys.add(splitAccessKey(config.accessKey).id);
  }
  for (const { name, accessKeys } of config.users) {
    for (const { id } of accessKeys) {
      if (keys.has(id))
        throw new RailheadError('CONFIG', `The access key ${JSON.stringify(id)} is there twice. Give each its own id.`);
      keys.add(id);
    }
    if (names.has(name))
      throw new RailheadError('CONFIG', `users has the name ${JSON.stringify(name)} twice. Give each user one entry.`);
    names.add(name);
  }
  for (const [index, { name, issuer }] of config.jwt.entries()) {
    if (config.jwt.slice(0, index).some((other) => other.name === name || other.issuer === issuer))
      throw new RailheadError('CONFIG', `jwt has ${JSON.stringify(name)} or its issuer twice. Give each one entry.`);
  }
}

/** Others than this machine can connect, and that was not said to be meant so. */
export function isOpen({ host, insecure }: Pick<ServerConfig, 'host' | 'insecure'>): boolean {
  return !insecure && !host.every((each) => isLoopback(each));
}

/** @throws CONFIG where everybody could do everything, with what makes an end of that */
export function refuseStrangers(config: ServerConfig, storedUsers: 'some' | 'none'): void {
  const { token, accessKey, users, jwt, host, memory, dir } = config;
  const canLogIn = [...users, ...jwt].length > 0 || token !== undefined || accessKey !== undefined;
  if (!isOpen(config) || storedUsers === 'some' || canLogIn) return;
  const add = memory
    ? 'export RAILHEAD_TOKEN=$(openssl rand -hex 24)'
    : `printf %s "$PASSWORD" | railhead user add admin --role admin --dir ${dir}`;
  throw new RailheadError(
    'CONFIG',
    `host is ${host.join(',')}, which others can reach, and nobody needs to log in. Run these two: \`${add}\`, then \`railhead --host ${host.join(',')} --dir ${dir}\`. ` +
      'Or listen on 127.0.0.1, or say --insecure if all who reach the port may do everything.',
  );
}

/** True for an address that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function put(tree: Tree, path: string, value: unknown): void {
  const keys = path.split('.');
  const last = keys.pop() ?? path;
  let node = tree;
  for (const key of keys) {
    const next = node[key];
    const child: Tree = typeof next === 'object' && next !== null ? (next as Tree) : {};
    node[key] = child;
    node = child;
  }
  node[last] = value;
}

function valueAt(tree: unknown, path: string): unknown {
  let node = tree;
  for (const key of path.split('.')) {
    if (typeof node !== 'object' || node === null) return undefined;
    node = (node as Tree)[key];
  }
  return node;
}

function show(value: unknown): string {
  return String(JSON.stringify(value)).slice(0, 100);
}
