import type { Move } from './script.ts';

export const acls: Move = (m) => {
  const { random } = m;
  const acl = {
    resourceType: random.pick([2, 3, 5]),
    resourceName: m.a,
    resourcePatternType: random.pick([3, 4]),
    principal: 'User:alice',
    host: '*',
    operation: random.pick([2, 3, 4, 8]),
    permissionType: random.pick([2, 3]),
  };
  const filter = {
    resourceTypeFilter: random.pick([1, 2]),
    resourceNameFilter: m.a,
    patternTypeFilter: random.pick([1, 2, 3, 4]),
    principalFilter: random.pick([null, null, 'User:alice', 'User:nobody']),
    hostFilter: null,
    operation: random.pick([1, 1, 3]),
    permissionType: random.pick([1, 1, 2]),
  };
  m.ask('createAcls', { creations: [acl, ...(random.chance(0.3) ? [{ ...acl, operation: 7 }] : [])] });
  m.ask('describeAcls', filter);
  if (random.chance(0.5)) m.ask('deleteAcls', { filters: [filter, ...(random.chance(0.2) ? [filter] : [])] });
};

export const quotas: Move = (m) => {
  const { random } = m;
  const client = { entityType: 'client-id', entityName: m.name('client') };
  const user = { entityType: 'user', entityName: m.name('user') };
  const entity = random.pick([
    [client],
    [client],
    [user],
    [user, client],
    [{ entityType: 'odd', entityName: m.name('client') }],
    [],
  ]);
  const ops = [
    {
      key: random.pick(['producer_byte_rate', 'consumer_byte_rate', 'consumer_byte_rate', 'no_such']),
      value: random.pick([1e9, 2e9, 1e9, -1, 0]),
      remove: random.chance(0.2),
    },
  ];
  m.ask('alterClientQuotas', { entries: [{ entity, ops }], validateOnly: random.chance(0.2) });
  m.ask('describeClientQuotas', {
    components: random.pick([
      [{ entityType: 'client-id', matchType: 0, match: m.name('client') }],
      [{ entityType: 'user', matchType: 0, match: m.name('user') }],
      [
        { entityType: 'user', matchType: 0, match: m.name('user') },
        { entityType: 'client-id', matchType: 2, match: null },
      ],
      [{ entityType: 'odd', matchType: 0, match: 'x' }],
    ]),
    strict: random.chance(0.5),
  });
};

export const scram: Move = (m) => {
  const { random } = m;
  const name = m.name('user');
  const mechanism = random.pick([1, 2, 2, 0, 9]);
  const one = {
    name,
    mechanism,
    iterations: random.pick([4096, 8192, 4096, 10, 1_000_000]),
    salt: Buffer.alloc(16, 1),
    saltedPassword: Buffer.alloc(mechanism === 2 ? 64 : 32, 2),
  };
  const gone = { name: random.pick([name, m.name('nobody')]), mechanism: random.pick([1, 2]) };
  const roll = random.next();
  if (roll < 0.4) m.ask('alterUserScramCredentials', { deletions: [], upsertions: [one] });
  else if (roll < 0.6) m.ask('alterUserScramCredentials', { deletions: [gone], upsertions: [] });
  else if (roll < 0.8) m.ask('alterUserScramCredentials', { deletions: [gone], upsertions: [one] });
  m.ask('describeUserScramCredentials', {
    users: random
      .pick([['alice'], [name], ['alice', m.name('nobody')], ['alice', 'alice']])
      .map((each) => ({ name: each })),
  });
};
