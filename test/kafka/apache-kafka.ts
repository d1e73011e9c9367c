import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { end, freePort, untilListens } from '../peer-process.ts';

const VERSION = '4.1.1';
/** Kafka 4.1 has share groups only where its storage was made with them. */
export const WITH_SHARE_GROUPS = ['--feature', 'share.version=1'] as const;
/** Outside of the repository: fetched once. */
const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'railhead-tests');
const CLUSTER_ID = 'cmFpbGhlYWQtcGVlci0xMg';

/** Apache Kafka as one process that is broker and controller, with ports and a directory of its own. */
export interface ApacheKafka {
  readonly version: string;
  /** As clients take it: `127.0.0.1:PORT`. */
  readonly address: string;
  readonly port: number;
  readonly pid: number;
  /** kill -9, as the crash of a process. */
  kill(): Promise<void>;
  /** On the same directory and port, after `kill`. Resolves when it takes connections. */
  startAgain(): Promise<void>;
  stop(): Promise<void>;
}

/** Jars of the broker and of its tools, from Maven. Undefined when they are not to be had here. */
export function kafkaClassPath(): Promise<string | undefined> {
  return classPathOf('kafka', ['kafka_2.13', 'kafka-tools']);
}

/** Jars of Kafka Streams, Kafka Connect with its connectors for files, and MirrorMaker, in the same way. */
export function ecosystemClassPath(): Promise<string | undefined> {
  return classPathOf('ecosystem', ['kafka-streams', 'connect-runtime', 'connect-file', 'connect-mirror']);
}

async function classPathOf(name: string, artifacts: readonly string[]): Promise<string | undefined> {
  const jars = join(CACHE, `${name}-${VERSION}`);
  if (!existsSync(jars)) {
    const dir = await mkdtemp(join(tmpdir(), 'railhead-kafka-jars-'));
    try {
      await writeFile(join(dir, 'pom.xml'), pomOf(artifacts));
      const args = ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=libs'];
      execFileSync('mvn', args, { cwd: dir, stdio: 'ignore', timeout: 600_000 });
      await mkdir(CACHE, { recursive: true });
      await rename(join(dir, 'libs'), jars);
    } catch {
      return undefined;
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  }
  return join(jars, '*');
}

function pomOf(artifacts: readonly string[]): string {
  const dependencies = artifacts.map(
    (name) =>
      `<dependency><groupId>org.apache.kafka</groupId><artifactId>${name}</artifactId><version>${VERSION}</version></dependency>`,
  );
  return `<project><modelVersion>4.0.0</modelVersion><groupId>peer</groupId><artifactId>peer</artifactId><version>1</version>
<dependencies>${dependencies.join('')}</dependencies></project>`;
}

/**
 * @param settings beside those that make it one broker on the loopback
 * @param features as the tool takes them that makes the storage
 * @returns undefined when Maven or Java are not there
 */
export async function startApacheKafka(
  settings: Readonly<Record<string, string>> = {},
  features: readonly string[] = [],
): Promise<ApacheKafka | undefined> {
  const classPath = await kafkaClassPath();
  if (classPath === undefined) return undefined;
  const dir = await mkdtemp(join(tmpdir(), 'railhead-kafka-'));
  const [port, controllerPort] = [await freePort(), await freePort()];
  const properties: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(dir, 'data'),
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '5',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '5',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    ...settings,
  };
  const file = join(dir, 'server.properties');
  await writeFile(
    file,
    Object.entries(properties)
      .map((pair) => pair.join('='))
      .join('\n'),
  );
  // As its own start script does.
  const java = ['-Xms1G', '-Xmx1G', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-cp', classPath];
  const format = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', file, ...features];
  execFileSync('java', [...java, ...format], { cwd: dir, stdio: 'ignore' });
  const launch = async (): Promise<ChildProcess> => {
    const child = spawn('java', [...java, 'kafka.Kafka', file], { cwd: dir, stdio: 'ignore' });
    await untilListens(child, port);
    return child;
  };
  let server = await launch();
  return {
    version: VERSION,
    address: `127.0.0.1:${port}`,
    port,
    get pid(): number {
      return server.pid ?? 0;
    },
    kill: () => end(server, 'SIGKILL'),
    startAgain: async () => {
      server = await launch();
    },
    stop: async () => {
      await end(server, 'SIGKILL');
      await rm(dir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
