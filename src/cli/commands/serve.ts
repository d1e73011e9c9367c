import type { Command } from 'commander';
import { VERSION } from '../../core/version.ts';
import { readConfig, readConfigFile, type LoadedConfig } from '../../server/config.ts';
import { createLogger, type Logger } from '../../server/log.ts';
import type { RunningServer } from '../../server/running-server.ts';
import { startServer } from '../../server/server.ts';
import { allSettings } from '../../server/settings.ts';
import { countBuffersAsHeap } from '../collecting.ts';
import { writeCompiled } from '../compiled.ts';
import { paint, print, printJson } from '../terminal.ts';

/** After a start, by when the first clients have been there. */
const WRITE_COMPILED_MS = 3_000;

type Flags = Record<string, unknown> & { config?: string; json?: boolean };

/** The flags come from the schema of the settings: nothing can be set here that a config file cannot say. */
export function configure(command: Command): void {
  command.option('--config <FILE>', 'YAML or JSON file with settings (default: RAILHEAD_CONFIG)');
  for (const { flag, kind, doc } of allSettings()) {
    if (flag === undefined) continue;
    command.option(kind === 'boolean' ? flag : `${flag} <${doc.placeholder ?? 'VALUE'}>`, doc.summary);
    if (doc.off === true) command.option(flag.replace('--', '--no-'), `turns ${flag} off`);
  }
  command.option('--json', 'print one line of JSON when it is ready');
  command.addHelpText(
    'after',
    '\nEvery setting has an environment variable too, and logins have only that: see docs/configuration.md.',
  );
  command.action(async (flags: Flags) => {
    countBuffersAsHeap();
    const loaded = await load(flags);
    const log = createLogger(loaded.config.log, process.stderr, (level, text) =>
      paint(COLOURS[level] ?? 'reset', text, process.stderr),
    );
    const server = await startServer(loaded.config, {
      log,
      loop: 'own',
      origins: loaded.origins,
      // Whoever wrote a file wants what it says, and what it leaves out, on every start.
      ...(loaded.file && { defaultPorts: 'must-be-free' as const }),
    });
    logSettings(log, loaded);
    announce(server, loaded, flags);
    setTimeout(writeCompiled, WRITE_COMPILED_MS).unref();
    await untilStopped(server, log);
  });
}

const COLOURS: Record<string, 'dim' | 'green' | 'yellow' | 'red'> = {
  debug: 'dim',
  info: 'green',
  warn: 'yellow',
  error: 'red',
};

async function load(flags: Flags): Promise<LoadedConfig> {
  const given = new Map<string, unknown>();
  for (const { path, flag } of allSettings()) {
    // Commander names --log-level `logLevel`.
    const value =
      flag === undefined
        ? undefined
        : flags[flag.slice(2).replaceAll(/-[a-z]/g, (part) => part.slice(1).toUpperCase())];
    if (value !== undefined) given.set(path, value);
  }
  const name = flags.config ?? process.env['RAILHEAD_CONFIG'];
  return readConfig({
    flags: given,
    env: process.env,
    ...(name !== undefined && { file: await readConfigFile(name) }),
  });
}

/** What differs from the default, and who said so. Never a value that is a secret. */
function logSettings(log: Logger, { origins }: LoadedConfig): void {
  const changed = [...origins]
    .filter(([, origin]) => origin !== 'default')
    .map(([path, origin]) => `${path} (${origin})`);
  if (changed.length > 0) log.info({ settings: changed.join(', ') }, 'settings that are not the default');
}

function announce(server: RunningServer, { config }: LoadedConfig, flags: Flags): void {
  if (flags.json) {
    printJson({
      url: server.url,
      http: server.httpUrl,
      amqp: server.amqpUrl,
      amqpManagement: server.amqpManagementUrl,
      aws: server.awsUrl,
      kafka: server.kafkaAddress,
      dir: config.memory ? null : config.dir,
      pid: process.pid,
    });
    return;
  }
  const data = config.memory ? 'in memory, gone when it stops' : `in ${config.dir}`;
  print(`${paint('bold', 'Railhead')} ${VERSION} takes connections at ${paint('cyan', server.url)}`);
  if (server.amqpUrl !== null) print(`RabbitMQ's clients (AMQP 0-9-1) at ${server.amqpUrl}`);
  if (server.amqpManagementUrl !== null) print(`RabbitMQ's tools (management HTTP API) at ${server.amqpManagementUrl}`);
  if (server.awsUrl !== null) print(`Amazon's clients (SQS, SNS) at ${server.awsUrl}`);
  if (server.kafkaAddress !== null) print(`Kafka's clients at ${server.kafkaAddress}`);
  print(`HTTP and JSON at ${server.httpUrl}/api/v1, data ${data}. Ctrl-C stops it.`);
}

/** The first signal drains, a second one does not wait. Signals are the program's business: the library has none. */
async function untilStopped(server: RunningServer, log: Logger): Promise<void> {
  let stopping = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(1);
    stopping = true;
    log.info({ signal }, 'stopping: connections drain, a second signal does not wait');
    void server.close();
  };
  const onRenewal = (): void => {
    server.renewTls().catch((error: unknown) => {
      log.error(
        { reason: error instanceof Error ? error.message : String(error) },
        'the old certificates and keys stay',
      );
    });
  };
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal).on('SIGHUP', onRenewal);
  try {
    const failure = await server.closed;
    // Already in the log, in words.
    if (failure !== null) process.exitCode = 1;
  } finally {
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal).off('SIGHUP', onRenewal);
  }
}
