import type { StoredUsers } from '../../core/access.ts';
import { type StoredPassword, withScram } from '../../core/passwords.ts';
import { RailheadError } from '../../core/errors.ts';
import { parseScram, type ScramAlgorithm, scramToText, verifierOfSalted } from '../../core/scram.ts';
import { allowed } from './access.ts';
import type { Handlers } from './client.ts';
import { asKafkaError, ERROR, KafkaError } from './errors.ts';
import type { RequestOf, ResponseOf } from './fields.ts';
import type { alterUserScramCredentials, describeUserScramCredentials } from './messages/users.ts';

type Alteration = RequestOf<typeof alterUserScramCredentials>;
type Upsertion = Alteration['upsertions'][number];
type Described = ResponseOf<typeof describeUserScramCredentials>['results'][number];

const NUMBER = { sha256: 1, sha512: 2 } as const satisfies Record<ScramAlgorithm, number>;
const ALGORITHMS: readonly ScramAlgorithm[] = ['sha256', 'sha512'];
/** As Kafka's. */
const ITERATIONS = { min: 4096, max: 16_384 };
const NOT_ALLOWED = { errorCode: ERROR.CLUSTER_AUTHORIZATION_FAILED, errorMessage: 'Not allowed.' };

/**
 * The credentials of stored users. Kafka's tools do not tell the password, only what SCRAM needs of it: that is then also
 * what a login with the password itself is compared with, over this protocol and others.
 */
export const scramAdmin: Handlers<'describeUserScramCredentials' | 'alterUserScramCredentials'> = {
  async describeUserScramCredentials(client, { users: asked }) {
    if (!allowed(client, 'describe', 'cluster', undefined, ['admin'])) return { ...NOT_ALLOWED, results: [] };
    const stored = await (await client.shared.users()).list();
    const infos = new Map(
      stored.map(({ name, password }) => [name, ALGORITHMS.flatMap((each) => infoOf(password, each))]),
    );
    const names = asked?.map(({ name }) => name) ?? [...infos.keys()].filter((name) => infos.get(name)?.length !== 0);
    const results = [...new Set(names)].map((user): Described => {
      const credentialInfos = infos.get(user) ?? [];
      const errorCode =
        names.indexOf(user) !== names.lastIndexOf(user)
          ? ERROR.DUPLICATE_RESOURCE
          : credentialInfos.length === 0
            ? ERROR.RESOURCE_NOT_FOUND
            : ERROR.NONE;
      const errorMessage = errorCode === ERROR.NONE ? null : `Not one user with such credentials: ${user}`;
      return { user, errorCode, errorMessage, credentialInfos: errorCode === ERROR.NONE ? credentialInfos : [] };
    });
    return { errorCode: ERROR.NONE, errorMessage: null, results };
  },

  /** All that is asked for one user, or nothing of it. */
  async alterUserScramCredentials(client, request) {
    const names = [...new Set([...request.deletions, ...request.upsertions].map(({ name }) => name))];
    const mayAlter = allowed(client, 'alter', 'cluster');
    const users = await client.shared.users();
    const results: ResponseOf<typeof alterUserScramCredentials>['results'][number][] = [];
    for (const user of names) {
      try {
        if (!mayAlter) throw new KafkaError('CLUSTER_AUTHORIZATION_FAILED', 'Not allowed.');
        await alter(users, user, request);
        results.push({ user, errorCode: ERROR.NONE, errorMessage: null });
      } catch (error) {
        const { code: errorCode, message: errorMessage } = RailheadError.is(error, 'INVALID')
          ? new KafkaError('UNACCEPTABLE_CREDENTIAL', error.message)
          : asKafkaError(error, 'cluster');
        results.push({ user, errorCode, errorMessage });
      }
    }
    return { results };
  },
};

function infoOf(password: StoredPassword | null, algorithm: ScramAlgorithm): Described['credentialInfos'][number][] {
  const text = password?.scram?.[algorithm];
  return text === undefined ? [] : [{ mechanism: NUMBER[algorithm], iterations: parseScram(text).iterations }];
}

/** What one change does: the mechanism, and what is stored for it, or nothing any more. */
type Change = readonly [algorithm: ScramAlgorithm, stored: string | undefined];

/**
 * A user may be changed in both mechanisms at once. Of what is wrong the first change tells the reason; one that follows is
 * one too many, as in Kafka.
 *
 * @throws KafkaError, INVALID
 */
async function alter(users: StoredUsers, name: string, { deletions, upsertions }: Alteration): Promise<void> {
  const before = (await users.find(name))?.password ?? null;
  const asked = [
    ...deletions.filter((each) => each.name === name).map((each) => () => deletionOf(each, before)),
    ...upsertions.filter((each) => each.name === name).map((each) => () => verifierOf(each)),
  ];
  const changes: Change[] = [];
  for (const read of asked) {
    const change = changes.length === 0 ? read() : orDuplicate(read);
    if (changes.some(([algorithm]) => algorithm === change[0])) throw duplicate();
    changes.push(change);
  }
  const gone = changes.flatMap(([algorithm, stored]) => (stored === undefined ? [algorithm] : []));
  const put = changes.flatMap(([algorithm, stored]): [ScramAlgorithm, string][] =>
    stored === undefined ? [] : [[algorithm, stored]],
  );
  await users.put({ name, password: withScram(before, { gone, put }) });
}

function orDuplicate(read: () => Change): Change {
  try {
    return read();
  } catch {
    throw duplicate();
  }
}

function duplicate(): KafkaError {
  return new KafkaError('DUPLICATE_RESOURCE', 'A request changes one user twice.');
}

/** @throws KafkaError */
function deletionOf({ name, mechanism }: Alteration['deletions'][number], before: StoredPassword | null): Change {
  assertNamed(name);
  const algorithm = algorithmOf(mechanism);
  if (before?.scram?.[algorithm] === undefined)
    throw new KafkaError('RESOURCE_NOT_FOUND', `${name} has no such credential.`);
  return [algorithm, undefined];
}

/** @throws KafkaError */
function assertNamed(name: string): void {
  if (name === '') throw new KafkaError('UNACCEPTABLE_CREDENTIAL', 'The name of a user is not empty.');
}

/** @throws KafkaError, INVALID */
function verifierOf({ name, mechanism, iterations, salt, saltedPassword }: Upsertion): Change {
  assertNamed(name);
  const algorithm = algorithmOf(mechanism);
  if (iterations < ITERATIONS.min || iterations > ITERATIONS.max)
    throw new KafkaError(
      'UNACCEPTABLE_CREDENTIAL',
      `${iterations} iterations; allowed are ${ITERATIONS.min} to ${ITERATIONS.max}.`,
    );
  return [algorithm, scramToText(verifierOfSalted(saltedPassword, { algorithm, salt, iterations }))];
}

/** @throws KafkaError */
function algorithmOf(mechanism: number): ScramAlgorithm {
  const found = ALGORITHMS.find((algorithm) => NUMBER[algorithm] === mechanism);
  if (found === undefined) throw new KafkaError('UNSUPPORTED_SASL_MECHANISM', `There is no mechanism ${mechanism}.`);
  return found;
}
