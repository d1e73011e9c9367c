import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { RailheadError } from '../core/errors.ts';
import type { Rail } from '../sdk/rail.ts';
import { DEFAULT_NAMESPACE, parseUrl } from '../sdk/remote/endpoint.ts';
import { note } from './terminal.ts';
import { UsageError } from './usage.ts';

/** The options by which every client verb finds its broker. */
export interface BrokerOptions {
  url?: string;
  dir?: string;
  token?: string;
  namespace?: string;
  ca?: string;
  json?: boolean;
}

const DEFAULT_URL = 'railhead://127.0.0.1:7070';

export function brokerOptions(command: Command): Command {
  return command
    .option(
      '--url <URL>',
      `the broker: railhead://HOST:PORT, railheads:// for TLS (default: RAILHEAD_URL, else ${DEFAULT_URL})`,
    )
    .option('--dir <DIR>', 'the directory of a broker instead: joins who owns it, or opens it for this command')
    .option('--namespace <NAME>', 'the namespace (default: of the URL, else "default")')
    .option('--ca <FILE>', 'PEM file with the certificates to trust, for railheads://')
    .option('--json', 'print JSON, one object a line');
}

/** Connects, works, closes. The token comes from the URL or RAILHEAD_TOKEN, never from a flag: process lists show flags. */
export async function withRail<T>(options: BrokerOptions, work: (rail: Rail) => Promise<T>): Promise<T> {
  const rail = await openRail(options);
  try {
    return await work(rail);
  } finally {
    await rail.close();
  }
}

export function urlOf(options: BrokerOptions): string {
  return options.url ?? process.env['RAILHEAD_URL'] ?? DEFAULT_URL;
}

export function namespaceOf({ namespace, ...options }: BrokerOptions): string {
  return namespace ?? (options.dir === undefined ? parseUrl(urlOf(options)).namespace : undefined) ?? DEFAULT_NAMESPACE;
}

async function openRail(options: BrokerOptions): Promise<Rail> {
  const { namespace } = options;
  if (options.dir !== undefined) {
    if (options.url !== undefined) throw new UsageError('Both --url and --dir are given. Give one of them.');
    return openDirectory(options.dir, namespace);
  }
  const { connect } = await import('../sdk/connect.ts');
  const token = process.env['RAILHEAD_TOKEN'];
  const url = urlOf(options);
  return connect(url, {
    clientName: 'railhead-cli',
    connectTimeout: '5s',
    ...(namespace !== undefined && { namespace }),
    // A token or password in the URL wins.
    ...(token !== undefined && !/^\w+:\/\/[^/]*@/.test(url) && { token }),
    ...(options.ca !== undefined && { tls: { ca: await readCertificates(options.ca) } }),
  });
}

/** Joins the owner of the directory. With none it is opened for this command, which is said: start-up takes a moment. */
async function openDirectory(dir: string, namespace: string | undefined): Promise<Rail> {
  if (!existsSync(dir)) {
    throw new UsageError(`The directory ${dir} does not exist. Give the directory of a broker with --dir.`);
  }
  const { open } = await import('../server/open.ts');
  const options = { dir, clientName: 'railhead-cli', ...(namespace !== undefined && { namespace }) };
  try {
    return await open({ ...options, own: false, connectTimeout: '200ms' });
  } catch (error) {
    if (!RailheadError.is(error, 'CONNECTION_LOST')) throw error;
  }
  note(`No broker runs in ${dir}: it is opened for this command.`);
  return open({ ...options, onNotice: note });
}

/** @throws UsageError when the file cannot be read. */
export async function readCertificates(file: string): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  try {
    return await readFile(file, 'utf8');
  } catch {
    throw new UsageError(`The file ${file} cannot be read. Give a PEM file with --ca.`);
  }
}
