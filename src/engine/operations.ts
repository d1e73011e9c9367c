import type { Action, Resource } from '../core/auth.ts';
import { RailheadError } from '../core/errors.ts';
import type { OperationName, Operations } from '../core/session.ts';
import type { Parts } from './broker.ts';

const MAX_SEALED_LENGTH = 4096;

interface Handler<O extends OperationName> {
  /** What the principal must be allowed to do. */
  action: Action;
  /**
   * What it writes is little; still, it must not fill a commit log that cannot grow. Without room for publishers it is
   * `refused` as OUT_OF_SPACE; what consumers need, and what makes room, `waits` as settlements do. Absent: it reads.
   */
  full?: 'refused' | 'waits';
  /** What else, on what. */
  also?: (args: Operations[O]['args']) => Also[];
  run: (parts: Parts, namespace: string, args: Operations[O]['args']) => Promise<Operations[O]['result']>;
}

type Also = { readonly action: Action } & Pick<Resource, 'kind' | 'name'>;

function onTopic(action: Action, name: string): Also {
  return { action, kind: 'topic', name };
}

/** Every request, what it takes to be allowed, and who does it. */
export const operations: { readonly [O in OperationName]: Handler<O> } = {
  declareTopic: {
    action: 'configure',
    full: 'waits',
    run: ({ definitions, caretaker, evictor, shard }, namespace, args) => {
      const result = definitions.declareTopic(namespace, args);
      if (result.updated) evictor.outgrow(definitions.topic(namespace, args.name));
      if (result.created || result.updated) caretaker.watch(definitions.topic(namespace, args.name));
      return shard.durable(result);
    },
  },
  declareSubscription: {
    action: 'configure',
    full: 'waits',
    run: ({ definitions, caretaker, shard }, namespace, args) => {
      const result = definitions.declareSubscription(namespace, args);
      if (result.created) caretaker.watch(definitions.topic(namespace, args.topic));
      return shard.durable(result);
    },
  },
  declareRouter: {
    action: 'configure',
    full: 'waits',
    run: ({ routers, shard }, namespace, args) => shard.durable(routers.declare(namespace, args)),
  },
  bind: {
    action: 'configure',
    full: 'waits',
    run: ({ routers, shard }, namespace, args) => shard.durable(routers.bind(namespace, args)),
  },
  unbind: {
    action: 'configure',
    full: 'waits',
    run: ({ routers, shard }, namespace, args) => shard.durable(routers.unbind(namespace, args)),
  },
  deleteTopic: {
    action: 'configure',
    full: 'waits',
    run: ({ definitions, shard }, namespace, args) => shard.durable(definitions.deleteTopic(namespace, args)),
  },
  deleteSubscription: {
    action: 'configure',
    full: 'waits',
    run: ({ definitions, shard }, namespace, args) => shard.durable(definitions.deleteSubscription(namespace, args)),
  },
  deleteRouter: {
    action: 'configure',
    full: 'waits',
    run: ({ routers, shard }, namespace, args) => shard.durable(routers.delete(namespace, args)),
  },
  describeTopic: {
    action: 'inspect',
    run: ({ definitions, shard }, namespace, args) => shard.durable(definitions.describeTopic(namespace, args)),
  },
  describeRouter: {
    action: 'inspect',
    run: ({ routers, shard }, namespace, args) => shard.durable(routers.describe(namespace, args)),
  },
  traceRoute: {
    action: 'inspect',
    run: ({ routers, shard }, namespace, args) => shard.durable(routers.trace(namespace, args)),
  },
  listTopics: {
    action: 'inspect',
    run: ({ definitions, shard }, namespace, args) => shard.durable(definitions.listTopics(namespace, args)),
  },
  listRouters: {
    action: 'inspect',
    run: ({ routers, shard }, namespace) => shard.durable(routers.list(namespace)),
  },
  topicStats: {
    action: 'inspect',
    run: ({ definitions, operator, shard }, namespace, args) =>
      shard.durable(operator.topicStats(definitions.topic(namespace, args.name))),
  },
  subscriptionStats: {
    action: 'inspect',
    run: ({ operator, settler, shard }, namespace, args) =>
      shard.durable(operator.subscriptionStats(settler.find(namespace, args))),
  },
  allStats: {
    action: 'inspect',
    run: ({ operator, shard }, namespace, args) => shard.durable(operator.allStats(namespace, args)),
  },
  listConsumers: {
    action: 'inspect',
    run: ({ operator, settler, shard }, namespace, args) =>
      shard.durable({ consumers: operator.consumersOf(settler.find(namespace, args)) }),
  },
  peek: { action: 'consume', run: ({ reader }, namespace, args) => reader.peek(namespace, args) },
  purge: {
    action: 'manage',
    full: 'waits',
    run: ({ operator, shard }, namespace, args) => shard.durable(operator.purge(namespace, args)),
  },
  trimTopic: {
    action: 'manage',
    full: 'waits',
    run: ({ caretaker, definitions, shard }, namespace, args) =>
      shard.durable(caretaker.trim(definitions.topic(namespace, args.topic), args)),
  },
  pause: {
    action: 'manage',
    full: 'waits',
    run: ({ definitions, shard }, namespace, args) => {
      definitions.setPaused(namespace, args, true);
      return shard.durable({ paused: true as const });
    },
  },
  resume: {
    action: 'manage',
    full: 'waits',
    run: ({ definitions, shard }, namespace, args) => {
      definitions.setPaused(namespace, args, false);
      return shard.durable({ paused: false as const });
    },
  },
  cancel: {
    action: 'manage',
    full: 'waits',
    run: ({ operator, shard }, namespace, args) => shard.durable(operator.cancel(namespace, args)),
  },
  reschedule: {
    action: 'manage',
    full: 'waits',
    run: ({ operator, shard }, namespace, args) => shard.durable(operator.reschedule(namespace, args)),
  },
  redrive: {
    action: 'publish',
    full: 'refused',
    also: ({ to }) => (to === undefined ? [] : [onTopic('publish', to)]),
    run: ({ redriver }, namespace, args) => redriver.redrive(namespace, args),
  },
  redriveProgress: {
    action: 'inspect',
    // Whose redrive it is, nobody knows: to end one takes the right to begin any.
    also: ({ cancel }) => (cancel === true ? [onTopic('publish', '')] : []),
    run: ({ redriver, shard }, _namespace, args) => shard.durable(redriver.progress(args.id, args.cancel === true)),
  },
  drop: { action: 'manage', full: 'waits', run: ({ redriver }, namespace, args) => redriver.drop(namespace, args) },
  seek: {
    action: 'manage',
    full: 'refused',
    run: ({ definitions, caretaker, operator, shard, snapshots }, namespace, { to, ...ref }) => {
      const subscription =
        typeof to === 'object' && 'snapshot' in to
          ? snapshots.restore(namespace, ref, to.snapshot)
          : definitions.seek(namespace, { ...ref, to });
      caretaker.fill(subscription);
      return shard.durable({ ready: operator.subscriptionStats(subscription).ready });
    },
  },
  createSnapshot: {
    action: 'manage',
    full: 'refused',
    run: ({ shard, snapshots }, namespace, args) => shard.durable(snapshots.create(namespace, args)),
  },
  listSnapshots: {
    action: 'inspect',
    run: ({ shard, snapshots }, namespace, args) => shard.durable(snapshots.list(namespace, args)),
  },
  deleteSnapshot: {
    action: 'manage',
    full: 'waits',
    run: ({ shard, snapshots }, namespace, args) => shard.durable(snapshots.delete(namespace, args)),
  },
  read: { action: 'consume', run: ({ reader }, namespace, args) => reader.read(namespace, args) },
  awaitRecords: {
    action: 'consume',
    also: ({ places }) => places.map(({ topic }) => onTopic('consume', topic)),
    run: ({ reader }, namespace, args) => reader.awaitRecords(namespace, args),
  },
  readBody: { action: 'consume', run: ({ reader }, namespace, args) => reader.readBody(namespace, args) },
  fetchCursors: {
    action: 'consume',
    run: ({ cursors, shard }, namespace, args) => shard.durable(cursors.fetch(namespace, args)),
  },
  listCursors: {
    action: 'inspect',
    run: ({ cursors, shard }, namespace, args) => shard.durable(cursors.list(namespace, args)),
  },
  deleteCursor: {
    action: 'consume',
    full: 'waits',
    run: ({ cursors, shard }, namespace, args) => shard.durable(cursors.delete(namespace, args)),
  },
  claimProducer: {
    action: 'publish',
    full: 'refused',
    run: ({ transactor, shard }, namespace, args) => shard.durable(transactor.claim(namespace, args)),
  },
  beginTransaction: {
    action: 'publish',
    full: 'refused',
    run: ({ transactor, shard }, namespace, args) => shard.durable(transactor.begin(namespace, args)),
  },
  addToTransaction: {
    action: 'publish',
    full: 'refused',
    also: ({ cursors = [], settlements = [] }) => [
      ...[...cursors, ...settlements].map(({ topic }) => onTopic('consume', topic)),
      ...cursors.map(({ cursor }): Also => ({ action: 'consume', kind: 'cursor', name: cursor })),
    ],
    run: ({ transactor, shard }, namespace, args) => shard.durable(transactor.add(namespace, args)),
  },
  endTransaction: {
    action: 'publish',
    full: 'waits',
    run: ({ transactor }, namespace, args) => transactor.end(namespace, args),
  },
  describeProducer: {
    action: 'inspect',
    run: ({ transactor, shard }, namespace, args) => shard.durable(transactor.describe(namespace, args)),
  },
  listProducers: {
    action: 'inspect',
    run: ({ transactor, shard }, namespace, args) => shard.durable(transactor.list(namespace, args)),
  },
  putSchedule: {
    action: 'configure',
    full: 'refused',
    also: ({ topic }) => [onTopic('publish', topic)],
    run: ({ caretaker, shard }, namespace, args) => shard.durable(caretaker.putSchedule(namespace, args)),
  },
  deleteSchedule: {
    action: 'configure',
    full: 'waits',
    run: ({ caretaker, shard }, namespace, args) => shard.durable(caretaker.deleteSchedule(namespace, args.name)),
  },
  listSchedules: {
    action: 'inspect',
    run: ({ caretaker, shard }, namespace) => shard.durable(caretaker.listSchedules(namespace)),
  },
  putDocument: {
    action: 'admin',
    full: 'refused',
    run: async ({ documents, shard }, namespace, args) => {
      const result = documents.put(namespace, args);
      await documents.changed(namespace, args.kind);
      return shard.durable(result);
    },
  },
  deleteDocument: {
    action: 'admin',
    full: 'waits',
    run: async ({ documents, shard }, namespace, args) => {
      const result = documents.delete(namespace, args);
      await documents.changed(namespace, args.kind);
      return shard.durable(result);
    },
  },
  listDocuments: {
    action: 'admin',
    run: ({ documents, shard }, namespace, args) => shard.durable(documents.list(namespace, args)),
  },
  seal: {
    action: 'admin',
    run: async ({ vault }, _namespace, { purpose, text }) => {
      if (text.length <= MAX_SEALED_LENGTH) return { sealed: vault.seal(purpose, text) };
      throw new RailheadError('TOO_LARGE', `A secret has at most ${MAX_SEALED_LENGTH} characters.`);
    },
  },
  holdStorage: { action: 'admin', run: ({ holds }, _namespace, args) => holds.hold(args) },
  releaseStorage: { action: 'admin', run: async ({ holds }, _namespace, args) => holds.release(args) },
  info: { action: 'inspect', run: async ({ info }) => info() },
  shortage: { action: 'inspect', run: ({ shortages }, _namespace, args) => shortages.wait(args) },
};

/** What an operation acts on, as `authorize` names it. */
export function resourceOf(operation: OperationName, args: object): Omit<Resource, 'namespace'> {
  const named = new Map<string, unknown>(Object.entries(args));
  const text = (name: string): string => {
    const value = named.get(name);
    return typeof value === 'string' ? value : '';
  };
  switch (operation) {
    case 'awaitRecords': {
      const [first]: unknown[] = Array.isArray(named.get('places')) ? (named.get('places') as unknown[]) : [];
      return {
        kind: 'topic',
        name: typeof first === 'object' && first !== null && 'topic' in first ? String(first.topic) : '',
      };
    }
    case 'declareRouter':
    case 'deleteRouter':
    case 'describeRouter':
    case 'listRouters':
      return { kind: 'router', name: text('name') };
    case 'bind':
    case 'unbind':
    case 'traceRoute':
      return { kind: 'router', name: text('router') };
    case 'putSchedule':
    case 'deleteSchedule':
    case 'listSchedules':
      return { kind: 'schedule', name: text('name') };
    case 'deleteCursor':
    case 'fetchCursors':
    case 'listCursors':
      return { kind: 'cursor', name: text('cursor') };
    case 'claimProducer':
    case 'beginTransaction':
    case 'addToTransaction':
    case 'endTransaction':
    case 'describeProducer':
    case 'listProducers':
      return { kind: 'producer', name: text('producer') };
    case 'putDocument':
    case 'deleteDocument':
    case 'listDocuments':
    case 'seal':
      return { kind: 'document', name: text('kind') };
    case 'holdStorage':
    case 'releaseStorage':
    case 'info':
    case 'shortage':
    case 'redriveProgress':
      return { kind: 'broker', name: '' };
    default:
      return { kind: 'topic', name: text('topic') || text('name') };
  }
}
