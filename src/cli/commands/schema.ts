import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { compileSchema, type SchemaText } from '../../core/bodies/schema.ts';
import { RailheadError } from '../../core/errors.ts';
import { Schemas, type TopicSchema } from '../../gateways/schemas.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { note, print, printJson, safe, table, type Column } from '../terminal.ts';
import { json, UsageError } from '../usage.ts';

interface SetOptions extends BrokerOptions {
  message?: string;
}

export function configure(command: Command): void {
  brokerOptions(
    command
      .command('set')
      .description('Say how the bodies of a topic or queue are read, also where they died.')
      .argument('<name>', 'the topic or queue')
      .argument('<file>', 'a schema of Avro (.avsc), a .proto file, or what protoc --descriptor_set_out writes')
      .option('--message <TYPE>', 'of Protobuf: the type of the bodies, with its package'),
  ).action(set);
  brokerOptions(command.command('ls').description('List the schemas of the namespace.')).action(list);
  brokerOptions(
    command
      .command('rm')
      .description('Forget how the bodies of a topic or queue are read.')
      .argument('<name>', 'the topic or queue'),
  ).action(remove);
}

async function set(topic: string, file: string, options: SetOptions): Promise<void> {
  const text = await schemaIn(file, options.message);
  const { created } = await withRail(options, (rail) => new Schemas(rail).put({ topic, ...text }));
  if (options.json) printJson({ created });
  else print(`Bodies of ${safe(topic)} are read as ${safe(compileSchema(text).name)}.`);
}

/** By how its name ends. */
async function schemaIn(file: string, message: string | undefined): Promise<SchemaText> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch {
    throw new UsageError(`The file ${file} cannot be read. Give an .avsc, a .proto or a set of descriptors.`);
  }
  const type = message === undefined ? {} : { message };
  if (/\.(?:avsc|json)$/i.test(file)) return { avro: json(bytes.toString(), `The file ${file}`), ...type };
  if (/\.proto$/i.test(file)) return { protobuf: bytes.toString(), ...type };
  return { descriptors: bytes.toString('base64'), ...type };
}

async function list(options: BrokerOptions): Promise<void> {
  const found = await withRail(options, (rail) => new Schemas(rail).list());
  if (options.json) for (const schema of found) printJson(schema);
  else if (found.length === 0) note('No schemas.');
  else for (const line of table(COLUMNS, found)) print(line);
}

async function remove(topic: string, options: BrokerOptions): Promise<void> {
  const { deleted } = await withRail(options, (rail) => new Schemas(rail).delete(topic));
  if (!deleted) throw new RailheadError('NOT_FOUND', `There is no schema of ${JSON.stringify(topic)}.`);
  if (options.json) printJson({ deleted });
  else print(`Forgot the schema of ${safe(topic)}.`);
}

const COLUMNS: Column<TopicSchema>[] = [
  { title: 'NAME', of: ({ topic }) => safe(topic) },
  { title: 'BODIES', of: (schema) => safe(compileSchema(schema).name) },
];
