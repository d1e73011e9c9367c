import { execFileSync, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { end, freePort, untilListens } from '../../test/peer-process.ts';
import { type PeerServer } from './servers.ts';

const ELASTICMQ = '1.7.1';

/**
 * ElasticMQ as its documentation starts the server, in memory. Fetched from Maven Central by Maven, once, into the
 * user's cache. A sentence when it cannot be had.
 */
export async function startElasticMq(): Promise<PeerServer | string> {
  const lib = fetched();
  if (!existsSync(lib)) return lib;
  const port = await freePort();
  const settings = [
    'rest-sqs.bind-hostname=127.0.0.1',
    `rest-sqs.bind-port=${port}`,
    'node-address.host=127.0.0.1',
    `node-address.port=${port}`,
    'rest-stats.enabled=false',
  ];
  const server = spawn(
    'java',
    [...settings.map((each) => `-D${each}`), '-cp', join(lib, '*'), 'org.elasticmq.server.Main'],
    { stdio: 'ignore' },
  );
  await untilListens(server, port);
  return { version: ELASTICMQ, port, pid: server.pid ?? 0, stop: () => end(server, 'SIGTERM') };
}

/** fauxqs as its own command starts it: in memory, and with a line of log for each request and each answer, to a file. */
export async function startFauxqsCommand(dir: string): Promise<PeerServer | undefined> {
  const dist = folderOf('fauxqs');
  if (dist === undefined) return undefined;
  const port = await freePort();
  const log = openSync(join(dir, 'fauxqs.log'), 'w');
  const server = spawn(process.execPath, [join(dist, 'cli.js')], {
    stdio: ['ignore', log, 'inherit'],
    env: { ...process.env, FAUXQS_PORT: `${port}` },
  });
  closeSync(log);
  await untilListens(server, port);
  const { version } = JSON.parse(readFileSync(join(dist, '../package.json'), 'utf8')) as { version: string };
  return { version, port, pid: server.pid ?? 0, stop: () => end(server, 'SIGTERM') };
}

/** Where the program of a package of `benches/package.json` is, or undefined when it is not installed. */
function folderOf(name: string): string | undefined {
  try {
    return dirname(fileURLToPath(import.meta.resolve(name)));
  } catch {
    return undefined;
  }
}

/** The folder of its jars, or why there is none. */
function fetched(): string {
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'railhead-benches');
  const lib = join(cache, `elasticmq-${ELASTICMQ}`);
  if (existsSync(lib)) return lib;
  mkdirSync(cache, { recursive: true });
  const fresh = mkdtempSync(join(cache, 'fetching-'));
  const dependency = `<groupId>org.elasticmq</groupId><artifactId>elasticmq-server_2.13</artifactId><version>${ELASTICMQ}</version>`;
  writeFileSync(
    join(fresh, 'pom.xml'),
    `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>railhead</groupId><artifactId>peers</artifactId><version>1</version><dependencies><dependency>${dependency}</dependency></dependencies></project>`,
  );
  try {
    execFileSync('java', ['-version'], { stdio: 'pipe' });
    const goal = ['dependency:copy-dependencies', '-DoutputDirectory=lib', '-DincludeScope=runtime'];
    execFileSync('mvn', ['-q', '-B', ...goal], { cwd: fresh, stdio: 'pipe', timeout: 300_000 });
    renameSync(join(fresh, 'lib'), lib);
    return lib;
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    return `ElasticMQ ${ELASTICMQ} could not be fetched with Maven (${why}).`;
  }
}
