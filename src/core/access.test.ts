import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACCESS_KEY, ACL, StoredUsers, USER_DOCUMENT } from './access.ts';
import { type Acl, aclToText } from './acl.ts';
import { LOGIN_LIMITS } from './login-limits.ts';
import type { Session } from './session.ts';

/** Stored users over documents that are only listed. */
function stored(kinds: Readonly<Record<string, readonly { name: string; value: string }[]>>): StoredUsers {
  const request = async (operation: string, args: object): Promise<object> => {
    if (operation === 'listDocuments' && 'kind' in args) return { documents: kinds[String(args.kind)] ?? [] };
    return operation === 'seal' ? { sealed: 'x' } : { created: true };
  };
  // The operations that users are kept with.
  return new StoredUsers({ request: request as Session['request'] });
}

const ANN = { [USER_DOCUMENT]: [{ name: 'ann', value: '{}' }] };

test('a user has no more access keys and tags, and all users no more ACLs, than are allowed', async () => {
  const { accessKeysOfUser, tagsOfUser, acls } = LOGIN_LIMITS;
  const keys = (count: number, user = 'ann') =>
    Array.from({ length: count }, (_, i) => ({ name: `K${user}${i}`, value: JSON.stringify({ user }) }));
  await stored({ ...ANN, [ACCESS_KEY]: [...keys(accessKeysOfUser - 1), ...keys(50, 'bob')] }).addAccessKey('ann', 1);
  await assert.rejects(stored({ ...ANN, [ACCESS_KEY]: keys(accessKeysOfUser) }).addAccessKey('ann', 1), {
    code: 'TOO_LARGE',
  });
  const tags = (count: number) => Array.from({ length: count }, (_, i) => `tag-${i}`);
  await stored({}).put({ name: 'ann', tags: tags(tagsOfUser) });
  await assert.rejects(stored({}).put({ name: 'ann', tags: tags(tagsOfUser + 1) }), { code: 'INVALID' });
  const acl = (name: string): Acl => ({
    user: 'ann',
    kind: 'topic',
    name,
    pattern: 'literal',
    operation: 'read',
    permission: 'allow',
  });
  const some = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ name: aclToText(acl(`t${i}`)), value: '' }));
  await stored({ ...ANN, [ACL]: some(acls - 1) }).addAcl(acl('more'));
  await assert.rejects(stored({ ...ANN, [ACL]: some(acls) }).addAcl(acl('more')), { code: 'TOO_LARGE' });
});
