import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { connect } from 'amqplib';
import { start } from '../../kill/amqp-loop.ts';
import { withDirectory } from '../../kill/child.ts';
import { start as startAws } from '../../kill/aws-loop.ts';
import { testBroker } from '../../../src/testing/index.ts';
import type { TotalQueueReport } from '../../kill/total-queue.ts';
import { ecosystemClassPath } from '../../kafka/apache-kafka.ts';
import { javaShareConsumer, javaTools, startKafka } from './kafka-tools.ts';
import { perfTest } from './perf-test.ts';
import { type Program, throughKills } from './through-kills.ts';

/** What a client needs is not to be had here. */
export class Skipped extends Error {}

type Source = 'npm' | 'pip' | 'Go modules' | 'Maven' | 'Debian';

export interface Client {
  name: string;
  /** Where it comes from. */
  from: Source;
  /** In a temporary folder of its own. Returns what came out. @throws Skipped, or what went wrong */
  prove(cwd: string): Promise<string>;
}

const INSTALL_MS = 300_000;
/** So that what npm builds is for the Node that runs it. */
const THIS_NODE = {
  PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH'] ?? ''}`,
  ...headers(),
};
const SMALL_JAVA = ['-Xmx256M'];
const AWS_SDK = '@aws-sdk/client-sqs@3';

export const CLIENTS: readonly Client[] = [
  {
    name: 'amqp-tools',
    from: 'Debian',
    prove: async (cwd) => {
      await install(cwd, 'amqp-publish', ['--help']);
      return amqpTools(cwd);
    },
  },
  {
    name: 'rabbitmq-c',
    from: 'Debian',
    prove: async (cwd) => {
      await bring(cwd, 'numbers.c');
      // Its headers are in a package of their own: librabbitmq-dev.
      await install(cwd, 'cc', ['-O1', '-o', 'numbers', 'numbers.c', '-lrabbitmq']);
      return numbers((url) => {
        const { hostname, port } = new URL(url);
        return [{ command: join(cwd, 'numbers'), args: [hostname, port], cwd }];
      });
    },
  },
  {
    name: 'nestjs',
    from: 'npm',
    prove: async (cwd) => {
      const nest = ['common', 'core', 'microservices'].map((name) => `@nestjs/${name}@12`);
      await npmInstall(cwd, ...nest, 'reflect-metadata', 'rxjs@7', 'amqplib@2', 'amqp-connection-manager@5');
      await bring(cwd, 'nest.mjs');
      return numbers((url) => [{ command: process.execPath, args: ['nest.mjs', url], cwd }]);
    },
  },
  {
    name: 'celery',
    from: 'pip',
    prove: async (cwd) => {
      await install(cwd, 'python3', ['-m', 'venv', 'venv']);
      await install(cwd, 'venv/bin/pip', ['install', '--quiet', 'celery==5.*']);
      await bring(cwd, 'tasks.py', 'publish_tasks.py');
      const worker = ['-A', 'tasks', 'worker', '--pool=solo', '--loglevel=WARNING', '--without-gossip'];
      return numbers(() => [
        { command: join(cwd, 'venv/bin/celery'), args: worker, cwd },
        { command: join(cwd, 'venv/bin/python'), args: ['publish_tasks.py'], cwd },
      ]);
    },
  },
  {
    name: 'pika',
    from: 'pip',
    prove: async (cwd) => {
      await install(cwd, 'python3', ['-m', 'venv', 'venv']);
      await install(cwd, 'venv/bin/pip', ['install', '--quiet', 'pika==1.*']);
      await bring(cwd, 'pika_numbers.py');
      return numbers(() => [{ command: join(cwd, 'venv/bin/python'), args: ['pika_numbers.py'], cwd }]);
    },
  },
  {
    name: 'boto3',
    from: 'pip',
    prove: async (cwd) => {
      await install(cwd, 'python3', ['-m', 'venv', 'venv']);
      await install(cwd, 'venv/bin/pip', ['install', '--quiet', 'boto3==1.*']);
      await bring(cwd, 'boto_numbers.py');
      return numbers(() => [{ command: join(cwd, 'venv/bin/python'), args: ['boto_numbers.py'], cwd }], startAws);
    },
  },
  {
    name: 'celery-sqs',
    from: 'pip',
    prove: async (cwd) => {
      await install(cwd, 'python3', ['-m', 'venv', 'venv']);
      await install(cwd, 'venv/bin/pip', ['install', '--quiet', 'celery[sqs]==5.*']);
      await bring(cwd, 'sqs_tasks.py', 'publish_sqs_tasks.py');
      const worker = ['-A', 'sqs_tasks', 'worker', '--pool=solo', '--loglevel=WARNING', '--without-gossip'];
      return numbers(
        () => [
          { command: join(cwd, 'venv/bin/celery'), args: worker, cwd },
          { command: join(cwd, 'venv/bin/python'), args: ['publish_sqs_tasks.py'], cwd },
        ],
        startAws,
      );
    },
  },
  {
    name: 'nestjs-sqs',
    from: 'npm',
    prove: async (cwd) => {
      const nest = ['@nestjs/common@11', '@nestjs/core@11', 'reflect-metadata', 'rxjs@7'];
      await npmInstall(cwd, ...nest, '@ssut/nestjs-sqs@3', AWS_SDK);
      await bring(cwd, 'nest-sqs.mjs');
      return numbers(() => [{ command: process.execPath, args: ['nest-sqs.mjs'], cwd }], startAws);
    },
  },
  {
    name: 'sqs-consumer',
    from: 'npm',
    prove: async (cwd) => {
      await npmInstall(cwd, 'sqs-consumer', 'sqs-producer', AWS_SDK);
      await bring(cwd, 'sqs-numbers.mjs');
      return numbers(() => [{ command: process.execPath, args: ['sqs-numbers.mjs'], cwd }], startAws);
    },
  },
  ...[
    { name: 'boto3-debian', needs: 'boto3', program: 'boto_numbers.py', betweenKills: 100 },
    // A process for each step takes its time.
    { name: 'awscli-debian', needs: 'awscli', program: 'aws_numbers.py', betweenKills: 20 },
  ].map(({ name, needs, program, betweenKills }) => ({
    name,
    from: 'Debian' as const,
    prove: async (cwd: string) => {
      await install(cwd, '/usr/bin/env', ['test', '-e', `/usr/lib/python3/dist-packages/${needs}`]);
      await bring(cwd, program);
      return numbers(() => [{ command: '/usr/bin/python3', args: [program], cwd }], startAws, betweenKills);
    },
  })),
  {
    name: 'java',
    from: 'Maven',
    prove: async (cwd) => {
      await javaProgram(cwd, 'Numbers', 'com.rabbitmq:amqp-client:5.22.0');
      return numbers((url) => [java(cwd, 'Numbers', url)]);
    },
  },
  {
    name: 'perf-test',
    from: 'Maven',
    prove: async (cwd) => {
      await jars(cwd, 'com.rabbitmq:perf-test:2.22.1');
      return perfTest(cwd);
    },
  },
  {
    name: 'spring-amqp',
    from: 'Maven',
    prove: async (cwd) => {
      await javaProgram(cwd, 'SpringNumbers', 'org.springframework.amqp:spring-rabbit:3.2.0');
      return numbers(() => [java(cwd, 'SpringNumbers')]);
    },
  },
  {
    name: 'aws-sdk-java',
    from: 'Maven',
    prove: async (cwd) => {
      const sdk = ['sqs', 'sns'].map((name) => `software.amazon.awssdk:${name}:2.29.52`);
      await javaProgram(cwd, 'SqsNumbers', ...sdk);
      return numbers(() => [java(cwd, 'SqsNumbers')], startAws);
    },
  },
  {
    name: 'aws-sdk-java-1',
    from: 'Maven',
    prove: async (cwd) => {
      await javaProgram(cwd, 'OldSqsNumbers', 'com.amazonaws:aws-java-sdk-sqs:1.12.780');
      return numbers(() => [java(cwd, 'OldSqsNumbers')], startAws);
    },
  },
  {
    name: 'spring-cloud-aws',
    from: 'Maven',
    prove: async (cwd) => {
      await javaProgram(cwd, 'SpringSqsNumbers', 'io.awspring.cloud:spring-cloud-aws-starter-sqs:3.3.0');
      return numbers(() => [java(cwd, 'SpringSqsNumbers')], startAws);
    },
  },
  {
    name: 'sqs-jms',
    from: 'Maven',
    prove: async (cwd) => {
      await javaProgram(cwd, 'JmsNumbers', 'com.amazonaws:amazon-sqs-java-messaging-lib:2.1.4');
      return numbers(() => [java(cwd, 'JmsNumbers')], startAws);
    },
  },
  {
    name: 'aws-sdk-go',
    from: 'Go modules',
    prove: async (cwd) => {
      await goProgram(cwd, 'sqs_numbers.go', [
        'github.com/aws/aws-sdk-go-v2/credentials@v1.17.67',
        'github.com/aws/aws-sdk-go-v2/service/sns@v1.34.4',
        'github.com/aws/aws-sdk-go-v2/service/sqs@v1.38.5',
      ]);
      return numbers(() => [{ command: join(cwd, 'numbers'), args: [], cwd }], startAws);
    },
  },
  {
    name: 'amqp091-go',
    from: 'Go modules',
    prove: async (cwd) => {
      await goProgram(cwd, 'numbers.go', ['github.com/rabbitmq/amqp091-go@v1']);
      return numbers((url) => [{ command: join(cwd, 'numbers'), args: [url], cwd }]);
    },
  },
  {
    name: 'franz-go',
    from: 'Go modules',
    prove: async (cwd) => {
      await goProgram(cwd, 'kafka_numbers.go', ['github.com/twmb/franz-go/pkg/kgo@v1']);
      return numbers((url) => [{ command: join(cwd, 'numbers'), args: [url], cwd }], startKafka);
    },
  },
  ...['1', '2'].map((version) => ({
    name: `platformatic-kafka-${version}`,
    from: 'npm' as const,
    prove: async (cwd: string) => {
      await npmInstall(cwd, `@platformatic/kafka@${version}`);
      await bring(cwd, 'platformatic.mjs');
      const outcomes: string[] = [];
      for (const protocol of ['classic', 'consumer']) {
        const program = (url: string) => ({
          command: process.execPath,
          args: ['platformatic.mjs', url, protocol],
          cwd,
        });
        outcomes.push(`${protocol}: ${await numbers((url) => [program(url)], startKafka)}`);
      }
      return outcomes.join('; ');
    },
  })),
  ...['node-rdkafka', '@confluentinc/kafka-javascript'].map((name) => ({
    name: name.replace(/^@/, '').replace('/', '-'),
    from: 'npm' as const,
    prove: async (cwd: string) => {
      await npmInstall(cwd, name);
      await bring(cwd, 'rdkafka.cjs');
      return numbers((url) => [{ command: process.execPath, args: ['rdkafka.cjs', name, url], cwd }], startKafka);
    },
  })),
  {
    name: 'nestjs-kafka',
    from: 'npm',
    prove: async (cwd) => {
      const nest = ['common', 'core', 'microservices'].map((name) => `@nestjs/${name}@12`);
      await npmInstall(cwd, ...nest, 'reflect-metadata', 'rxjs@7', 'kafkajs@2');
      await bring(cwd, 'nest-kafka.mjs');
      return numbers((url) => [{ command: process.execPath, args: ['nest-kafka.mjs', url], cwd }], startKafka);
    },
  },
  {
    name: 'kcat',
    from: 'Debian',
    prove: async (cwd) => {
      await install(cwd, 'kcat', ['-V']);
      await bring(cwd, 'kcat.mjs');
      return numbers((url) => [{ command: process.execPath, args: ['kcat.mjs', url], cwd }], startKafka);
    },
  },
  {
    name: 'kafka-tools',
    from: 'Maven',
    prove: async () => (await javaTools()) ?? withoutJava(),
  },
  {
    name: 'kafka-share-consumer',
    from: 'Maven',
    prove: async (cwd) => {
      await bring(cwd, 'ShareNumbers.java');
      return (await javaShareConsumer(cwd)) ?? withoutJava();
    },
  },
  {
    name: 'kafka-streams',
    from: 'Maven',
    prove: async (cwd) => {
      const classPath = `${cwd}:${(await ecosystemClassPath()) ?? withoutJava()}`;
      await bring(cwd, 'StreamsNumbers.java');
      await command(cwd, 'javac', ['-cp', classPath, 'StreamsNumbers.java']);
      const outcomes: string[] = [];
      for (const guarantee of ['at_least_once', 'exactly_once_v2']) {
        const own = join(cwd, guarantee);
        await mkdir(own);
        const args = [...SMALL_JAVA, '-cp', classPath, 'StreamsNumbers', guarantee];
        const report = await throughKills(() => [{ command: 'java', args, cwd: own }], startKafka);
        if (guarantee === 'exactly_once_v2') assert.equal(report.duplicated, 0);
        outcomes.push(`${guarantee}: ${outcomeOf(report)}`);
      }
      return outcomes.join('; ');
    },
  },
  ...['standalone', 'distributed', 'two', 'exactly-once'].map((kind) => ({
    name: `kafka-connect-${kind}`,
    from: 'Maven' as const,
    prove: async (cwd: string) => {
      const classPath = (await ecosystemClassPath()) ?? withoutJava();
      await bring(cwd, 'kafka-connect.mjs');
      const args = ['kafka-connect.mjs', kind, classPath];
      return numbers(() => [{ command: process.execPath, args, cwd }], startKafka);
    },
  })),
  {
    name: 'mirror-maker',
    from: 'Maven',
    prove: async (cwd) => {
      const classPath = `${cwd}:${(await ecosystemClassPath()) ?? withoutJava()}`;
      await bring(cwd, 'MirrorNumbers.java');
      await command(cwd, 'javac', ['-cp', classPath, 'MirrorNumbers.java']);
      await using broker = await testBroker();
      const { url } = await broker.endpoint('kafka');
      const args = [...SMALL_JAVA, '-cp', classPath, 'MirrorNumbers', url];
      return await numbers(() => [{ command: 'java', args, cwd }], startKafka);
    },
  },
  {
    name: 'confluent-kafka',
    from: 'pip',
    prove: async (cwd) => {
      await install(cwd, 'python3', ['-m', 'venv', 'venv']);
      await install(cwd, 'venv/bin/pip', ['install', '--quiet', 'confluent-kafka==2.*']);
      await bring(cwd, 'confluent_numbers.py', 'consumer_protocol.py', 'cooperative_members.py');
      const outcomes: string[] = [];
      for (const kind of ['classic', 'cooperative', 'consumer']) {
        const args = (url: string) => ['confluent_numbers.py', url, kind];
        const python = join(cwd, 'venv/bin/python');
        outcomes.push(`${kind}: ${await numbers((url) => [{ command: python, args: args(url), cwd }], startKafka)}`);
      }
      for (const program of ['consumer_protocol.py', 'cooperative_members.py']) {
        await using broker = await testBroker();
        const { url } = await broker.endpoint('kafka');
        outcomes.push((await command(cwd, 'venv/bin/python', [program, url])).trim());
      }
      return outcomes.join('; ');
    },
  },
];

async function numbers(...run: Parameters<typeof throughKills>): Promise<string> {
  return outcomeOf(await throughKills(...run));
}

function outcomeOf({ confirmed, received, duplicated, lost, unexpected }: TotalQueueReport): string {
  assert.deepEqual({ lost, unexpected }, { lost: [], unexpected: [] });
  return `${confirmed} confirmed, ${received} received, ${duplicated} of them again, none lost through 3 kills`;
}

/** They do not reconnect and know no confirms: what they published is there after a kill, for others of them. */
function amqpTools(cwd: string): Promise<string> {
  return withDirectory(async (dir) => {
    let server = await start(dir, 0);
    try {
      const { url } = server;
      const count = 50;
      await command(cwd, 'amqp-declare-queue', ['-u', url, '-q', 'tools', '-d']);
      for (let n = 0; n < count; n++)
        await command(cwd, 'amqp-publish', ['-u', url, '-r', 'tools', '-p', '-b', `message ${n}\n`]);
      const connection = await connect(url);
      const channel = await connection.createChannel();
      const { messageCount } = await channel.checkQueue('tools');
      connection.on('error', () => {});
      assert.equal(messageCount, count);
      await server.child.kill();
      server = await start(dir, server.port);
      const first = await command(cwd, 'amqp-get', ['-u', url, '-q', 'tools']);
      const rest = await command(cwd, 'amqp-consume', ['-u', url, '-q', 'tools', '-c', String(count - 1), 'cat']);
      assert.equal(first + rest, Array.from({ length: count }, (_, n) => `message ${n}\n`).join(''));
      return `${count} published, and after a kill got and consumed in their order`;
    } finally {
      await server.child.kill();
    }
  });
}

/** The jars of what `group:name:version` say, with all that they need, in `lib`. */
async function jars(cwd: string, ...artifacts: readonly string[]): Promise<void> {
  const dependencies = artifacts.map((artifact) => {
    const [group, name, version] = artifact.split(':');
    return `<dependency><groupId>${group}</groupId><artifactId>${name}</artifactId><version>${version}</version></dependency>`;
  });
  const itself = '<groupId>conformance</groupId><artifactId>conformance</artifactId><version>1</version>';
  const pom = `<project><modelVersion>4.0.0</modelVersion>${itself}<dependencies>${dependencies.join('')}</dependencies></project>`;
  await writeFile(join(cwd, 'pom.xml'), pom);
  await install(cwd, 'mvn', ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=lib']);
}

async function javaProgram(cwd: string, name: string, ...artifacts: readonly string[]): Promise<void> {
  await jars(cwd, ...artifacts);
  await install(cwd, 'javac', ['-version']);
  await bring(cwd, `${name}.java`);
  await command(cwd, 'javac', ['-encoding', 'UTF-8', '-cp', 'lib/*', `${name}.java`]);
}

function java(cwd: string, name: string, ...args: readonly string[]): Program {
  return { command: 'java', args: ['-Xmx256M', '-cp', 'lib/*:.', name, ...args], cwd };
}

async function goProgram(cwd: string, file: string, modules: readonly string[]): Promise<void> {
  await bring(cwd, file);
  await install(cwd, 'go', ['mod', 'init', 'conformance']);
  await install(cwd, 'go', ['get', ...modules]);
  await command(cwd, 'go', ['build', '-o', 'numbers', file]);
}

function withoutJava(): never {
  throw new Skipped('Maven or Java are not there');
}

async function bring(cwd: string, ...files: string[]): Promise<void> {
  for (const file of files) await copyFile(join(import.meta.dirname, 'programs', file), join(cwd, file));
}

/** Of the Node of the package `node`, which brings them. */
function headers(): { npm_config_nodedir?: string } {
  try {
    const name = `node-${process.platform}-${process.arch}/package.json`;
    return { npm_config_nodedir: dirname(createRequire(process.execPath).resolve(name)) };
  } catch {
    return {};
  }
}

async function npmInstall(cwd: string, ...packages: string[]): Promise<void> {
  await writeFile(join(cwd, 'package.json'), '{"private":true}');
  await install(cwd, 'npm', ['install', '--no-audit', '--no-fund', ...packages]);
}

/** A step that needs a program or a registry that may not be there. */
async function install(cwd: string, program: string, args: readonly string[]): Promise<void> {
  try {
    await command(cwd, program, args);
  } catch (error) {
    const { message } = error instanceof Error ? error : new Error(String(error));
    throw new Skipped(message.trim().split('\n').slice(0, 6).join('\n'));
  }
}

async function command(cwd: string, program: string, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(program.includes('/') ? resolve(cwd, program) : program, args, {
    cwd,
    env: { ...process.env, ...THIS_NODE },
    timeout: INSTALL_MS,
  });
  return stdout;
}
