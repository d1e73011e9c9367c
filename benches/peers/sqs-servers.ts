import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
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
