import type { Move } from './script.ts';

export const metadata: Move = (m) => {
  const topics = m.random
    .pick([[m.a], [m.a, m.b], [m.name('none')], ['not legal!'], []])
    .map((name) => ({ name, topicId: '00'.repeat(16) }));
  m.ask(
    'metadata',
    { topics, allowAutoTopicCreation: false, includeTopicAuthorizedOperations: m.random.chance(0.2) },
    { from: 4 },
  );
  if (m.random.chance(0.3))
    m.ask(
      'metadata',
      { topics: [{ name: null, topicId: m.id(m.random.pick([m.a, m.name('none')])) }], allowAutoTopicCreation: false },
      { from: 12 },
    );
  if (m.random.chance(0.1)) m.ask('metadata', { topics: null, allowAutoTopicCreation: false }, { from: 4 });
  if (m.random.chance(0.2)) m.ask('metadata', { topics: [{ name: m.a, topicId: '00'.repeat(16) }] }, { to: 3 });
};

export const createTopics: Move = (m) => {
  const { random } = m;
  const fresh = m.name(`c${m.partitions.size}`);
  const [name, count] = random.pick<[string, number]>([
    [fresh, 1],
    [fresh, 3],
    [m.a, 1],
    ['', 1],
    ['a b', 1],
    ['..', 1],
    [m.name('x'.repeat(250)), 1],
    [m.name('zero'), 0],
    [m.name('minus'), -3],
  ]);
  const shape = {
    name,
    numPartitions: count,
    replicationFactor: random.chance(0.1) ? 3 : 1,
    assignments: [] as object[],
    configs: [] as object[],
  };
  const roll = random.next();
  if (roll < 0.1) shape.configs = [{ name: 'no.such.config', value: '1' }];
  else if (roll < 0.2) shape.configs = [{ name: 'retention.ms', value: random.pick(['1000000', 'abc', '-1', '-5']) }];
  else if (roll < 0.3)
    Object.assign(shape, {
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: random.pick([0, 0, 1]), brokerIds: random.pick([[1], [1], [9], [1, 1]]) }],
    });
  const validateOnly = random.chance(0.3);
  const isMade = !validateOnly && name === fresh && shape.replicationFactor !== 3;
  m.ask(
    'createTopics',
    { topics: random.chance(0.1) ? [shape, shape] : [shape], timeoutMs: 10_000, validateOnly },
    { from: 1, settle: 'topics' },
  );
  if (isMade) m.partitions.set(fresh, count);
};

export const deleteTopics: Move = (m) => {
  const fresh = m.name(`d${m.steps.length}`);
  const topic = { numPartitions: 1, replicationFactor: 1, assignments: [], configs: [], name: fresh };
  m.partitions.set(fresh, 1);
  m.ask('createTopics', { topics: [topic], timeoutMs: 10_000 }, { settle: 'topics' });
  const name = m.random.pick([fresh, fresh, m.name('none')]);
  if (m.random.chance(0.4))
    m.ask(
      'deleteTopics',
      { topics: [{ name: null, topicId: m.id(name) }], timeoutMs: 10_000 },
      { from: 6, settle: 'topics' },
    );
  else
    m.ask(
      'deleteTopics',
      { topics: [{ name, topicId: '00'.repeat(16) }], topicNames: [name], timeoutMs: 10_000 },
      { settle: 'topics' },
    );
  m.ask(
    'metadata',
    { topics: [{ name: fresh, topicId: '00'.repeat(16) }], allowAutoTopicCreation: false },
    { from: 4 },
  );
};

export const createPartitions: Move = (m) => {
  const name = m.random.pick([m.b, m.b, m.name('none')]);
  const now = m.partitions.get(name) ?? 1;
  const count = m.random.pick([now + 1, now, 0, -1, now - 1]);
  const assignments = m.random.chance(0.2) ? m.random.pick([[{ brokerIds: [1] }], [{ brokerIds: [9] }], []]) : null;
  const validateOnly = m.random.chance(0.4);
  m.ask(
    'createPartitions',
    { topics: [{ name, count, assignments }], timeoutMs: 10_000, validateOnly },
    { settle: 'topics' },
  );
  if (name === m.b && count > now && !validateOnly && (assignments === null || assignments[0]?.brokerIds[0] === 1))
    m.partitions.set(name, count);
};

/** Of time and of bytes: no broker throws records away while a script runs. */
const MUCH = '1000000000';

const KEYS = [
  'retention.ms',
  'retention.bytes',
  'cleanup.policy',
  'message.timestamp.type',
  'compression.type',
  'min.insync.replicas',
  'min.compaction.lag.ms',
  'max.compaction.lag.ms',
  'delete.retention.ms',
];

export const configs: Move = (m) => {
  const { random } = m;
  const resource = { resourceType: random.chance(0.05) ? 3 : 2, resourceName: m.topic() };
  const change = (): object => ({
    name: random.pick([...KEYS, 'no.such']),
    value: random.pick([MUCH, '-1', 'compact', 'delete', 'LogAppendTime', 'CreateTime', 'producer', 'abc']),
  });
  const roll = random.next();
  if (random.chance(0.15))
    m.ask('describeConfigs', {
      resources: [
        {
          resourceType: random.pick([4, 4, 3]),
          resourceName: random.pick(['1', '', '9', 'x']),
          configurationKeys: ['broker.id', 'no.such', 'delete.topic.enable'],
        },
      ],
    });
  if (roll < 0.5)
    m.ask('incrementalAlterConfigs', {
      resources: [{ ...resource, configs: [{ ...change(), configOperation: random.pick([0, 0, 1, 2, 3]) }] }],
      validateOnly: random.chance(0.2),
    });
  else if (roll < 0.65)
    m.ask('alterConfigs', { resources: [{ ...resource, configs: [change()] }], validateOnly: random.chance(0.2) });
  m.ask('describeConfigs', {
    resources: [{ ...resource, resourceType: 2, configurationKeys: random.chance(0.2) ? ['no.such'] : KEYS }],
    includeSynonyms: false,
  });
};
