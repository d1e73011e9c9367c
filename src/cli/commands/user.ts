import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { type StoredUser, StoredUsers, SYSTEM_NAMESPACE } from '../../core/access.ts';
import type { UserLimits } from '../../core/auth.ts';
import { RailheadError } from '../../core/errors.ts';
import { hashPassword, storedPassword } from '../../core/passwords.ts';
import { type Role, ROLES, RULE_VERBS, type RuleVerb } from '../../core/roles.ts';
import { hashToken } from '../../server/users.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { readPassword } from '../password.ts';
import { note, print, printJson, safe, table, type Column } from '../terminal.ts';
import { collect, UsageError, wholeNumber } from '../usage.ts';
import { kafkaRights } from './user-kafka.ts';

interface UserOptions extends BrokerOptions {
  role?: Role | 'none';
  tag?: string[];
  /** `--no-password` */
  password: boolean;
  maxConnections?: string;
  maxChannels?: string;
}

/** Users that are stored with the broker: who they are, what they show, and what they may do. */
export function configure(command: Command): void {
  const verb = (name: string, description: string): Command =>
    brokerOptions(command.command(name).description(description));
  const user = (name: string, description: string): Command => verb(name, description).argument('<user>', 'the user');
  verb('ls', 'List the stored users and what they may do.').action(list);
  user('add', 'Add a user, or change its role and tags. The password comes from standard input.')
    .addOption(new Option('--role <ROLE>', 'what it is in all namespaces').choices([...ROLES, 'none']))
    .option('--tag <TAG>', "of RabbitMQ's management: administrator, monitoring, …; may be repeated", collect)
    .option('--no-password', 'without one: for who only has access keys; of one that is there it stays')
    .option('--max-connections <N>', 'of AMQP, at one time; -1 is no limit')
    .option('--max-channels <N>', 'of AMQP, over all connections; -1 is no limit')
    .action(add);
  user('passwd', 'Set another password, from standard input. Browsers have to log in again.').action(passwd);
  user('rm', 'Delete a user with its keys and what it may do, and end its connections.').action(remove);
  user('keys', 'List the access keys of a user, add one or remove one.')
    .option('--add', 'make a key; its secret is shown this once')
    .option('--rm <ID>', 'remove a key, and end its connections')
    .action(keys);
  user('allow', 'Allow a user something with names, as in: allow ann publish,consume orders* --namespace shop.')
    .argument('<verbs>', `${RULE_VERBS.join(', ')}, with commas between them, or none`)
    .argument('<pattern>', 'a name of queues, topics, routers, groups; or the beginning of names and *')
    .action(allow);
  user('permit', "Say what a user may do in a namespace by RabbitMQ's patterns.")
    .option('--configure <PATTERN>', 'names of what it may declare and delete', '')
    .option('--write <PATTERN>', 'names of what it may publish to and bind to', '')
    .option('--read <PATTERN>', 'names of what it may consume and bind from', '')
    .option('--clear', 'take it away')
    .action(permit);
  user('permit-topic', 'Say by which routing keys a user may publish to an exchange of type topic, and bind to it.')
    .argument('<exchange>', 'the exchange')
    .option('--write <PATTERN>', 'routing keys to publish with; {username} and {vhost} stand for these', '')
    .option('--read <PATTERN>', 'routing keys to bind by', '')
    .option('--clear', 'take it away: any routing key goes')
    .action(permitTopic);
  kafkaRights(verb, withUsers);
  command
    .command('entry')
    .description('Print an entry for `users` in a config file, with a new token or the hash of a password.')
    .argument('<user>', 'the user')
    .option('--password', 'with a password from standard input, instead of a new token')
    .option('--json', 'print JSON')
    .action(entry);
}

/** The namespace of the options is the one that a rule is for. */
function withUsers<T>(options: BrokerOptions, work: (users: StoredUsers) => Promise<T>): Promise<T> {
  return withRail({ ...options, namespace: SYSTEM_NAMESPACE }, (rail) => work(new StoredUsers(rail)));
}

function say(options: BrokerOptions, result: object, text: string): void {
  if (options.json) printJson(result);
  else print(text);
}

async function add(name: string, options: UserOptions): Promise<void> {
  const { role, tag: tags, password: wanted, dir } = options;
  const limits = limitsOf(options);
  const password = wanted ? await storedPassword(await readPassword(`railhead user add ${name}`)) : undefined;
  // The first user of a broker that has not started yet.
  if (dir !== undefined) await mkdir(dir, { recursive: true, mode: 0o700 });
  const { created, first } = await withUsers(options, async (users) => {
    const isFirst = (await users.list()).length === 0;
    const change = {
      name,
      ...(password !== undefined && { password }),
      ...(tags !== undefined && { tags }),
      ...(role !== undefined && { role: role === 'none' ? null : role }),
      ...(limits !== undefined && { limits }),
    };
    return { ...(await users.put(change)), first: isFirst };
  });
  say(options, { created }, `${created ? 'Added' : 'Changed'} ${name}.`);
  if (!first) return;
  note('From now on everybody has to log in.');
  if (role !== 'admin')
    note('Nobody who is stored may change users: `railhead user add NAME --role admin --dir DIR` on its machine does.');
}

function limitsOf({ maxConnections, maxChannels }: UserOptions): UserLimits | undefined {
  if (maxConnections === undefined && maxChannels === undefined) return undefined;
  const limit = (text: string): number => (text === '-1' ? -1 : wholeNumber(text));
  return {
    ...(maxConnections !== undefined && { 'max-connections': limit(maxConnections) }),
    ...(maxChannels !== undefined && { 'max-channels': limit(maxChannels) }),
  };
}

async function passwd(name: string, options: BrokerOptions): Promise<void> {
  const password = await storedPassword(await readPassword(`railhead user passwd ${name}`));
  await withUsers(options, async (users) => {
    if ((await users.find(name)) === undefined) throw unknown(name);
    await users.put({ name, password });
  });
  say(options, { changed: true }, `${name} has another password.`);
}

async function remove(name: string, options: BrokerOptions): Promise<void> {
  const { deleted } = await withUsers(options, (users) => users.delete(name));
  if (!deleted) throw unknown(name);
  say(options, { deleted }, `Deleted ${name}.`);
}

async function keys(user: string, options: BrokerOptions & { add?: boolean; rm?: string }): Promise<void> {
  const { add: wanted, rm: id } = options;
  if (wanted === true) {
    const { id: made, secret } = await withUsers(options, (users) => users.addAccessKey(user, Date.now()));
    if (options.json) printJson({ id: made, secret, token: `${made}.${secret}` });
    else {
      print(`id:     ${made}`);
      print(`secret: ${secret}`);
      note('The secret is shown this once. As a token: ID.SECRET; as a name and a password: ID and SECRET.');
    }
    return;
  }
  if (id !== undefined) {
    const found = await withUsers(options, async (users) => {
      if (!(await users.accessKeys()).some((key) => key.id === id && key.user === user)) return false;
      return (await users.removeAccessKey(id)).deleted;
    });
    if (!found)
      throw new RailheadError('NOT_FOUND', `${JSON.stringify(user)} has no access key ${JSON.stringify(id)}.`);
    say(options, { deleted: true }, `Removed ${id}.`);
    return;
  }
  const all = await withUsers(options, (users) => users.accessKeys());
  for (const key of all.filter((each) => each.user === user)) {
    const createdAt = new Date(key.createdAt).toISOString();
    say(options, { id: key.id, createdAt }, `${safe(key.id)}  ${createdAt}`);
  }
}

async function allow(user: string, verbs: string, pattern: string, options: BrokerOptions): Promise<void> {
  const { namespace = 'default' } = options;
  if (verbs === 'none') {
    const { deleted } = await withUsers(options, (users) => users.disallow({ user, namespace, pattern }));
    if (!deleted) throw new RailheadError('NOT_FOUND', `${JSON.stringify(user)} has no rule with this pattern there.`);
    say(options, { deleted }, `${user} has no rule for ${safe(pattern)} in ${safe(namespace)} any more.`);
    return;
  }
  const words = verbs.split(',');
  const known = words.filter((word): word is RuleVerb => RULE_VERBS.some((each) => each === word));
  if (known.length < words.length)
    throw new UsageError(`The verbs are ${JSON.stringify(verbs)}. Write ${RULE_VERBS.join(', ')}, or none.`);
  const { created } = await withUsers(options, (users) => users.allow({ user, namespace, pattern, verbs: known }));
  say(options, { created }, `${user} may ${known.join(', ')} ${safe(pattern)} in ${safe(namespace)}.`);
}

interface PermitOptions extends BrokerOptions {
  configure: string;
  write: string;
  read: string;
  clear?: boolean;
}

async function permit(user: string, options: PermitOptions): Promise<void> {
  const { namespace = 'default', configure: own, write, read, clear = false } = options;
  if (clear) {
    const { deleted } = await withUsers(options, (users) => users.clearPermission(user, namespace));
    if (!deleted) throw new RailheadError('NOT_FOUND', `${JSON.stringify(user)} has no permission in ${namespace}.`);
    say(options, { deleted }, `${user} has no patterns in ${safe(namespace)} any more.`);
    return;
  }
  const patterns = { configure: own, write, read };
  const { created } = await withUsers(options, (users) => users.setPermission(user, namespace, patterns));
  say(options, { created }, `${user} may now do in ${safe(namespace)} what these patterns say.`);
}

async function permitTopic(user: string, exchange: string, options: Omit<PermitOptions, 'configure'>): Promise<void> {
  const { namespace = 'default', write, read, clear = false } = options;
  const of = { user, namespace, router: exchange };
  if (clear) {
    const { deleted } = await withUsers(options, (users) => users.clearKeyPermission(of));
    if (!deleted)
      throw new RailheadError('NOT_FOUND', `${JSON.stringify(user)} has no topic permission for ${exchange}.`);
    say(options, { deleted }, `${user} may use any routing key with ${safe(exchange)} in ${safe(namespace)}.`);
    return;
  }
  const { created } = await withUsers(options, (users) => users.setKeyPermission({ ...of, write, read }));
  say(
    options,
    { created },
    `${user} may use the routing keys that match, with ${safe(exchange)} in ${safe(namespace)}.`,
  );
}

interface Row {
  user: StoredUser;
  keys: number;
  may: string;
}

async function list(options: BrokerOptions): Promise<void> {
  const [users, rules, permissions, topicPermissions, accessKeys] = await withUsers(options, async (stored) => [
    await stored.list(),
    await stored.rules(),
    await stored.permissions(),
    await stored.keyPermissions(),
    await stored.accessKeys(),
  ]);
  const rows = users.map((user) => {
    const own = {
      rules: rules.filter(isOf(user)),
      permissions: permissions.filter(isOf(user)),
      topicPermissions: topicPermissions
        .filter(isOf(user))
        .map(({ router, ...rest }) => ({ ...rest, exchange: router })),
    };
    const may = [
      ...own.rules.map(({ verbs, pattern, namespace }) => `${verbs.join(',')} ${pattern} in ${namespace}`),
      ...own.permissions.map(
        ({ namespace, configure: c, write, read }) => `${JSON.stringify([c, write, read])} in ${namespace}`,
      ),
      ...own.topicPermissions.map(
        ({ namespace, exchange, write, read }) =>
          `keys ${JSON.stringify([write, read])} of ${exchange} in ${namespace}`,
      ),
    ];
    return { user, keys: accessKeys.filter(isOf(user)).length, may: may.join('; '), ...own };
  });
  if (options.json)
    for (const { user, keys: count, may: _, ...own } of rows) {
      const { name, role, tags, password, limits } = user;
      const scram = Object.keys(password?.scram ?? {});
      const facts = { name, role, tags, password: password !== null, scram, keys: count, limits };
      printJson({ ...facts, ...own });
    }
  else if (rows.length === 0) note('No stored users.');
  else for (const line of table(COLUMNS, rows)) print(line);
}

function isOf({ name }: StoredUser): (what: { user: string }) => boolean {
  return ({ user }) => user === name;
}

function unknown(name: string): RailheadError {
  return new RailheadError('NOT_FOUND', `There is no stored user ${JSON.stringify(name)}.`);
}

const COLUMNS: Column<Row>[] = [
  { title: 'NAME', of: ({ user }) => safe(user.name) },
  { title: 'ROLE', of: ({ user }) => user.role ?? '-' },
  { title: 'TAGS', of: ({ user }) => safe(user.tags.join(',')) || '-' },
  { title: 'SCRAM', of: ({ user }) => Object.keys(user.password?.scram ?? {}).join(',') || '-' },
  { title: 'KEYS', of: ({ keys: count }) => String(count) },
  { title: 'MAY', of: ({ may }) => safe(may) || '-' },
];

/** Hashes are made here, so that no secret has to be in a config file. */
async function entry(name: string, options: { password?: boolean; json?: boolean }): Promise<void> {
  if (options.password) {
    const passwordHash = await hashPassword(await readPassword(`railhead user entry ${name} --password`));
    if (options.json) printJson({ name, passwordHash });
    else printEntry(name, `passwordHash: ${passwordHash}`);
    return;
  }
  const token = `rh_${randomBytes(24).toString('base64url')}`;
  const tokenHash = hashToken(token);
  if (options.json) {
    printJson({ name, token, tokenHash });
    return;
  }
  note(`The token, shown this once: ${token}`);
  printEntry(name, `tokenHash: ${tokenHash}`);
}

function printEntry(name: string, secret: string): void {
  note('Put this under "users:" in the config file:');
  print(`  - name: ${JSON.stringify(name)}`);
  print(`    ${secret}`);
  print('    grants:');
  print('      - { namespace: default, resource: "*", actions: all }');
}
