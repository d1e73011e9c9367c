import { type Command, Option } from 'commander';
import { type StoredUsers, SYSTEM_NAMESPACE } from '../../core/access.ts';
import { type Acl, ACL_KINDS, ACL_OPERATIONS } from '../../core/acl.ts';
import { RailheadError } from '../../core/errors.ts';
import { StoredQuotas } from '../../core/quotas.ts';
import type { ScramAlgorithm } from '../../core/scram.ts';
import { formatSize, type Size, sizeBytes } from '../../core/units.ts';
import { type BrokerOptions, withRail } from '../broker.ts';
import { note, print, printJson, safe, table, type Column } from '../terminal.ts';
import { UsageError } from '../usage.ts';

type WithUsers = <T>(options: BrokerOptions, work: (users: StoredUsers) => Promise<T>) => Promise<T>;
type Verb = (name: string, description: string) => Command;

interface AclOptions extends BrokerOptions {
  prefixed?: boolean;
  deny?: boolean;
  rm?: boolean;
}

interface QuotaOptions extends BrokerOptions {
  user?: string;
  clientId?: string;
  producer?: string;
  consumer?: string;
}

/** What Kafka's tools set of users: ACLs, quotas, SCRAM credentials. */
export function kafkaRights(verb: Verb, withUsers: WithUsers): void {
  verb('acls', "List Kafka's ACLs.")
    .argument('[user]', 'only of this one')
    .action(async (user: string | undefined, options: BrokerOptions) => {
      const acls = await withUsers(options, (users) => users.acls());
      const found = acls.filter((acl) => user === undefined || acl.user === user);
      if (options.json) for (const acl of found) printJson(acl);
      else if (found.length === 0) note('No ACLs.');
      else for (const line of table(ACLS, found)) print(line);
    });
  verb('acl', "Add one of Kafka's ACLs, as in: acl ann read topic orders; or remove one.")
    .argument('<user>', 'the user, or * for all stored ones')
    .argument('<operation>', `${ACL_OPERATIONS.join(', ')} or all`)
    .argument('<kind>', ACL_KINDS.join(', '))
    .argument('<name>', 'of the resource; * for every one')
    .option('--prefixed', 'all names that begin so')
    .option('--deny', 'deny it, whatever allows it')
    .option('--rm', 'remove it')
    .action((user: string, operation: string, kind: string, name: string, options: AclOptions) =>
      changeAcl(withUsers, aclOf({ user, operation, kind, name }, options), options),
    );
  verb('quotas', "List Kafka's quotas.").action(listQuotas);
  verb('quota', "Set one of Kafka's quotas, or take a limit away with none.")
    .option('--user <NAME>', 'of this user; * for everybody who has none of their own')
    .option('--client-id <NAME>', 'of what clients call themselves so; * for everybody who has none of their own')
    .option('--producer <SIZE>', 'so much may be produced in a second, such as 1MB, or none')
    .option('--consumer <SIZE>', 'so much may be consumed in a second, or none')
    .action(setQuota);
  verb('scram', "Take a credential for SCRAM away, as Kafka's tools do. passwd makes both anew.")
    .argument('<user>', 'the user')
    .addOption(new Option('--rm <ALGORITHM>', 'which').choices(['sha256', 'sha512']).makeOptionMandatory())
    .action(async (user: string, options: BrokerOptions & { rm: ScramAlgorithm }) => {
      await withUsers(options, (users) => users.removeScram(user, options.rm));
      if (options.json) printJson({ removed: true });
      else print(`${user} has no credential for SCRAM with ${options.rm} any more.`);
    });
}

/** @throws UsageError */
function aclOf(
  { user, operation, kind, name }: Record<'user' | 'operation' | 'kind' | 'name', string>,
  { prefixed, deny }: AclOptions,
): Acl {
  const known = operation === 'all' ? operation : ACL_OPERATIONS.find((each) => each === operation);
  if (known === undefined)
    throw new UsageError(`The operation is ${JSON.stringify(operation)}. Write ${ACL_OPERATIONS.join(', ')}, or all.`);
  const of = ACL_KINDS.find((each) => each === kind);
  if (of === undefined) throw new UsageError(`The kind is ${JSON.stringify(kind)}. Write ${ACL_KINDS.join(', ')}.`);
  const pattern = prefixed === true ? 'prefixed' : 'literal';
  return { user, kind: of, pattern, name, operation: known, permission: deny === true ? 'deny' : 'allow' };
}

async function changeAcl(withUsers: WithUsers, acl: Acl, options: AclOptions): Promise<void> {
  const { user, permission, operation, kind, name } = acl;
  const what = `${user}: ${permission} ${operation} ${kind} ${safe(name)}`;
  if (options.rm === true) {
    const { deleted } = await withUsers(options, (users) => users.removeAcl(acl));
    if (!deleted) throw new RailheadError('NOT_FOUND', `${JSON.stringify(user)} has no such ACL.`);
    if (options.json) printJson({ deleted });
    else print(`Removed ${what}.`);
    return;
  }
  const { created } = await withUsers(options, (users) => users.addAcl(acl));
  if (options.json) printJson({ created });
  else print(`${created ? 'Added' : 'There already'} ${what}.`);
}

async function listQuotas(options: BrokerOptions): Promise<void> {
  const { showQuota } = await import('../../gateways/http/routes/kafka-rights.ts');
  const quotas = await withQuotas(options, async (stored) => (await stored.list()).map(showQuota));
  if (options.json) for (const quota of quotas) printJson(quota);
  else if (quotas.length === 0) note('No quotas.');
  else for (const line of table(QUOTAS, quotas)) print(line);
}

async function setQuota(options: QuotaOptions): Promise<void> {
  const { user, clientId, producer, consumer } = options;
  if (user === undefined && clientId === undefined) throw new UsageError('Say of whom: --user, --client-id or both.');
  if (producer === undefined && consumer === undefined)
    throw new UsageError('Say how much: --producer, --consumer or both.');
  const { changeQuota } = await import('../../gateways/http/routes/kafka-rights.ts');
  const change = {
    ...(user !== undefined && { user: nameOf(user) }),
    ...(clientId !== undefined && { clientId: nameOf(clientId) }),
    ...(producer !== undefined && { producerByteRate: rateOf(producer, '--producer') }),
    ...(consumer !== undefined && { consumerByteRate: rateOf(consumer, '--consumer') }),
  };
  await withQuotas(options, (stored) => changeQuota(stored, change));
  if (options.json) printJson({ set: true });
  else print('Set.');
}

function withQuotas<T>(options: BrokerOptions, work: (quotas: StoredQuotas) => Promise<T>): Promise<T> {
  return withRail({ ...options, namespace: SYSTEM_NAMESPACE }, (rail) => work(new StoredQuotas(rail)));
}

function nameOf(text: string): string | null {
  return text === '*' ? null : text;
}

function rateOf(text: string, option: string): number | null {
  return text === 'none' ? null : sizeBytes(text as Size, option);
}

const ACLS: Column<Acl>[] = [
  { title: 'USER', of: ({ user }) => safe(user) },
  { title: 'MAY', of: ({ permission }) => (permission === 'allow' ? 'may' : 'may not') },
  { title: 'OPERATION', of: ({ operation }) => operation },
  { title: 'KIND', of: ({ kind }) => kind },
  { title: 'NAME', of: ({ name, pattern }) => (pattern === 'prefixed' ? `${safe(name)}…` : safe(name)) },
];

interface ShownQuota {
  user?: string | null | undefined;
  clientId?: string | null | undefined;
  producerByteRate?: number | null | undefined;
  consumerByteRate?: number | null | undefined;
}

function whoever(name: string | null | undefined): string {
  return name === undefined ? '-' : name === null ? '*' : safe(name);
}

function rateText(rate: number | null | undefined): string {
  return typeof rate === 'number' ? `${formatSize(rate)}/s` : '-';
}

const QUOTAS: Column<ShownQuota>[] = [
  { title: 'USER', of: ({ user }) => whoever(user) },
  { title: 'CLIENT ID', of: ({ clientId }) => whoever(clientId) },
  { title: 'PRODUCER', of: ({ producerByteRate }) => rateText(producerByteRate), align: 'right' },
  { title: 'CONSUMER', of: ({ consumerByteRate }) => rateText(consumerByteRate), align: 'right' },
];
