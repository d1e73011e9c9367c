import type { Command } from 'commander';
import { type StoredPermission, type StoredUser, StoredUsers, SYSTEM_NAMESPACE } from '../../core/access.ts';
import { RailheadError } from '../../core/errors.ts';
import { storedPassword } from '../../core/passwords.ts';
import { brokerOptions, withRail, type BrokerOptions } from '../broker.ts';
import { readPassword } from '../password.ts';
import { note, print, printJson, safe, table, type Column } from '../terminal.ts';
import { collect } from '../usage.ts';

interface SetOptions extends BrokerOptions {
  configure: string;
  write: string;
  read: string;
}

/** Users that are stored with the broker, and their permissions by patterns. */
export function configure(command: Command): void {
  const user = (name: string, description: string): Command =>
    brokerOptions(command.command(name).description(description).argument('<user>', 'the user'));
  brokerOptions(command.command('users').description('List the stored users.')).action(listUsers);
  user('add', 'Add a user, or change one. The password comes from standard input.')
    .option('--tag <TAG>', 'administrator, monitoring, policymaker or management; may be repeated', collect)
    .action(add);
  user('remove', 'Delete a user and what it was permitted.').action(remove);
  brokerOptions(command.command('ls').description('List the permissions.')).action(list);
  user('set', 'Say what a user may do in a namespace (--namespace), by patterns of names.')
    .requiredOption('--configure <PATTERN>', 'names of what it may declare and delete')
    .requiredOption('--write <PATTERN>', 'names of what it may publish to and bind to')
    .requiredOption('--read <PATTERN>', 'names of what it may consume and bind from')
    .action(set);
  user('clear', 'Take away what a user may do in a namespace.').action(clear);
}

/** The namespace of the options is the one that a permission is for. */
function withUsers<T>(options: BrokerOptions, work: (users: StoredUsers) => Promise<T>): Promise<T> {
  return withRail({ ...options, namespace: SYSTEM_NAMESPACE }, (rail) => work(new StoredUsers(rail)));
}

async function listUsers(options: BrokerOptions): Promise<void> {
  const users = await withUsers(options, (stored) => stored.list());
  if (options.json) for (const { name, tags } of users) printJson({ name, tags });
  else if (users.length === 0) note('No stored users.');
  else for (const line of table(USER_COLUMNS, users)) print(line);
}

async function add(name: string, options: BrokerOptions & { tag?: string[] }): Promise<void> {
  const password = await storedPassword(await readPassword(`railhead access add ${name}`));
  const { tag: tags = [] } = options;
  const { created } = await withUsers(options, (users) => users.put({ name, password, tags }));
  if (options.json) printJson({ created });
  else print(`${created ? 'Added' : 'Changed'} ${name}.`);
}

async function remove(name: string, options: BrokerOptions): Promise<void> {
  const { deleted } = await withUsers(options, (users) => users.delete(name));
  if (!deleted) throw new RailheadError('NOT_FOUND', `There is no stored user ${JSON.stringify(name)}.`);
  if (options.json) printJson({ deleted });
  else print(`Deleted ${name}.`);
}

async function list(options: BrokerOptions): Promise<void> {
  const { namespace } = options;
  const all = await withUsers(options, (users) => users.permissions());
  const permissions = all.filter((permission) => namespace === undefined || permission.namespace === namespace);
  if (options.json) for (const permission of permissions) printJson(permission);
  else if (permissions.length === 0) note('No permissions.');
  else for (const line of table(PERMISSION_COLUMNS, permissions)) print(line);
}

async function set(user: string, options: SetOptions): Promise<void> {
  const { namespace = 'default', configure: own, write, read } = options;
  const patterns = { configure: own, write, read };
  const { created } = await withUsers(options, (users) => users.setPermission(user, namespace, patterns));
  if (options.json) printJson({ created });
  else print(`${user} may now do in ${safe(namespace)} what these patterns say.`);
}

async function clear(user: string, options: BrokerOptions): Promise<void> {
  const { namespace = 'default' } = options;
  const { deleted } = await withUsers(options, (users) => users.clearPermission(user, namespace));
  if (!deleted) throw new RailheadError('NOT_FOUND', `${JSON.stringify(user)} has no permission in ${namespace}.`);
  if (options.json) printJson({ deleted });
  else print(`${user} may do nothing in ${safe(namespace)} any more.`);
}

const USER_COLUMNS: Column<StoredUser>[] = [
  { title: 'NAME', of: ({ name }) => safe(name) },
  { title: 'TAGS', of: ({ tags }) => safe(tags.join(',')) || '-' },
];

const PERMISSION_COLUMNS: Column<StoredPermission>[] = [
  { title: 'USER', of: ({ user }) => safe(user) },
  { title: 'NAMESPACE', of: ({ namespace }) => safe(namespace) },
  { title: 'CONFIGURE', of: ({ configure: pattern }) => safe(JSON.stringify(pattern)) },
  { title: 'WRITE', of: ({ write }) => safe(JSON.stringify(write)) },
  { title: 'READ', of: ({ read }) => safe(JSON.stringify(read)) },
];
