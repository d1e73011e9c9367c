import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { StoredUsers, SYSTEM_NAMESPACE } from '../../src/core/access.ts';
import { LOCAL_PRINCIPAL } from '../../src/core/auth.ts';
import { RULE_VERBS } from '../../src/core/roles.ts';
import { type RunningServer, startServer } from '../../src/server/index.ts';

/** Stored users to whom everything in the namespace `default` is refused: one has no right, the other no right there. */
export const STRANGERS = ['nobody', 'neighbour'] as const;

/** Where `neighbour` may do everything. Also an account of Amazon's. */
export const ELSEWHERE = '123456789012';

/** In the names of all that is in `default`. */
export const HIDDEN = 'hidden';

export interface AccessKey {
  readonly id: string;
  readonly secret: string;
}

export interface Place {
  readonly server: RunningServer;
  readonly users: StoredUsers;
  /** Of the strangers, and of `root`, who may do everything. */
  readonly keyOf: (user: string) => AccessKey;
  readonly tokenOf: (user: string) => string;
  /** Does it at the end of the test, before the server closes, which waits for its clients. */
  readonly beforeEnd: (leave: () => unknown) => void;
}

/** A server that speaks everything but Kafka, which has a table of its own beside its ACLs. */
export async function place(t: TestContext): Promise<Place> {
  const server = await startServer({ memory: true, port: 0, kafka: false, log: { level: 'silent' } });
  const leaving: (() => unknown)[] = [];
  t.after(async () => {
    for (const leave of leaving) await leave();
    await server.close();
  });
  const users = new StoredUsers(server.broker.connect({ principal: LOCAL_PRINCIPAL, namespace: SYSTEM_NAMESPACE }));
  await users.put({ name: 'root', role: 'admin', tags: ['administrator'] });
  await users.put({ name: 'nobody' });
  await users.put({ name: 'neighbour', tags: ['management'] });
  await users.allow({ user: 'neighbour', namespace: ELSEWHERE, pattern: '*', verbs: RULE_VERBS });
  await users.setPermission('neighbour', ELSEWHERE, { configure: '.*', write: '.*', read: '.*' });
  const keys = new Map<string, AccessKey>();
  for (const name of ['root', ...STRANGERS]) keys.set(name, await users.addAccessKey(name, 1));
  const keyOf = (user: string): AccessKey => {
    const key = keys.get(user);
    assert.ok(key, user);
    return key;
  };
  return {
    server,
    users,
    keyOf,
    beforeEnd: (leave) => leaving.push(leave),
    tokenOf: (user) => `${keyOf(user).id}.${keyOf(user).secret}`,
  };
}

/** Every command has one line in the lists, and no line is about something that is no command. */
export function assertListed(commands: Iterable<string>, ...lists: object[]): void {
  const listed = lists.flatMap((list) => Object.keys(list)).sort();
  assert.deepEqual(
    listed,
    [...commands].sort(),
    'Give a new command its line: what it takes, or why it takes no right.',
  );
}

/**
 * Asks for every command as every stranger, who must be refused, and then as `root`, who must not: so that no command is
 * refused for another reason.
 *
 * @param outcome of one command, `refused` where it is refused in the words of the protocol for a right that is missing
 */
export async function assertRefused(
  commands: readonly string[],
  outcome: (command: string, user: string) => Promise<string>,
): Promise<void> {
  const wrong: string[] = [];
  for (const user of STRANGERS)
    for (const command of commands) {
      const found = await outcome(command, user);
      if (found !== 'refused') wrong.push(`${command}, to ${user}: ${found}`);
    }
  for (const command of commands)
    if ((await outcome(command, 'root')) === 'refused') wrong.push(`${command}, to root: refused`);
  assert.deepEqual(wrong, []);
}
