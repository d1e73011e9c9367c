import { randomBytes } from 'node:crypto';
import { RailheadError } from '../../core/errors.ts';
import type { BindingDefinition } from '../../core/definitions.ts';
import { DIRECT_REPLY, isDirectReply } from './direct-reply.ts';
import { AmqpError } from './errors.ts';
import { textOf } from './fields.ts';
import type { Arguments } from './methods.ts';
import { queueTypeOf } from './queue-arguments.ts';
import { effectiveAlternate, effectiveQueue, effectiveStream, exchangeTarget, queueTarget } from './policies.ts';
import type { Rights } from './rights.ts';
import { streamPolicy } from './streams.ts';
import { noteUse } from './take-one.ts';
import {
  assertExchangeType,
  assertSameExchange,
  assertSameQueue,
  declaredExchange,
  declaredQueue,
  exchangeSettings,
  isQuorum,
  isStream,
  named,
  queueSettings,
  toAttributes,
  toBinding,
  withDefaultType,
} from './translate.ts';
import type { Queue, Vhost } from './vhost.ts';

export interface TopologyContext {
  readonly vhost: Vhost;
  /** What the client may do. What is done then is done by the session of the vhost. */
  readonly rights: Rights;
  /** The connection: owner of the exclusive queues that it declares. */
  readonly owner: object;
}

const RESERVED_PREFIX = 'amq.';

/** The methods of a channel that make, bind and delete exchanges and queues. */
export class Topology {
  readonly #context: TopologyContext;
  /** What an empty name of a queue means. */
  #lastQueue = '';

  constructor(context: TopologyContext) {
    this.#context = context;
  }

  /** The name of a queue in a method that may leave it out. @throws NOT_FOUND */
  queueName(name: string): string {
    if (name !== '') return name;
    if (this.#lastQueue === '') throw new AmqpError('NOT_FOUND', 'no previously declared queue');
    return this.#lastQueue;
  }

  /** @throws NOT_FOUND, RESOURCE_LOCKED */
  queue(name: string): Promise<Queue> {
    return this.#context.vhost.queue(this.queueName(name), this.#context.owner);
  }

  /** One that the client may consume from. @throws ACCESS_REFUSED too */
  async readable(name: string): Promise<Queue> {
    this.#context.rights.read('queue', this.queueName(name));
    return this.queue(name);
  }

  // ---- Exchanges --------------------------------------------------------------------------------------------------

  async declareExchange(declare: Arguments<'exchangeDeclare'>): Promise<void> {
    const { vhost, rights } = this.#context;
    const name = withoutLineEnds(declare.exchange);
    if (!declare.passive) assertExchangeType(declare.type);
    refuseDefault(name);
    if (declare.passive) {
      rights.any('exchange', name);
      await vhost.exchange(name);
      return;
    }
    rights.configure('exchange', name);
    const { type, alternate, hashHeader } = exchangeSettings({ ...declare, exchange: name }, vhost.namespace);
    const declared = declaredExchange(declare);
    let existing = await vhost.findExchange(name);
    if (existing === undefined) {
      refuseReserved('exchange', name);
      if (alternate !== null) {
        rights.read('exchange', name);
        rights.publish(alternate, '');
      }
      const { policies } = vhost;
      await vhost.session.request('declareRouter', {
        name,
        type,
        hashHeader,
        alternate: effectiveAlternate(alternate ?? undefined, policies.of(exchangeTarget(name))),
        attributes: toAttributes(declared),
        ...(!declare.durable && { transient: true }),
      });
      existing = await vhost.exchange(name);
    }
    assertSameExchange(named('exchange', name, vhost.namespace), declared, existing.declared);
  }

  async deleteExchange({ exchange, ifUnused }: Arguments<'exchangeDelete'>): Promise<void> {
    const { vhost, rights } = this.#context;
    const name = withoutLineEnds(exchange);
    refuseDefault(name);
    rights.configure('exchange', name);
    const what = named('exchange', name, vhost.namespace);
    if (name.startsWith(RESERVED_PREFIX))
      throw new AmqpError('ACCESS_REFUSED', `deletion of system ${what} not allowed`);
    try {
      await vhost.session.request('deleteRouter', { name, ...(ifUnused && { ifUnused }) });
    } catch (error) {
      if (RailheadError.is(error, 'IN_USE')) throw new AmqpError('PRECONDITION_FAILED', `${what} in use`);
      throw error;
    }
    vhost.forget(name);
    await vhost.dropUnbound();
  }

  async bindExchange(method: Arguments<'exchangeBind'>, how: 'bind' | 'unbind'): Promise<void> {
    const { vhost, rights } = this.#context;
    const [source, destination] = [withoutLineEnds(method.source), withoutLineEnds(method.destination)];
    refuseDefault(destination);
    refuseDefault(source);
    rights.write('exchange', destination);
    rights.read('exchange', source);
    // What is not there is not bound.
    if (how === 'unbind')
      for (const name of [source, destination]) if ((await vhost.findExchange(name)) === undefined) return;
    rights.key('read', await vhost.exchange(source), method.routingKey);
    await vhost.exchange(destination);
    await this.#bind(how, source, { router: destination }, method);
  }

  // ---- Queues -----------------------------------------------------------------------------------------------------

  async declareQueue(
    asDeclared: Arguments<'queueDeclare'>,
  ): Promise<{ queue: string; messageCount: number; consumerCount: number }> {
    const { vhost, owner, rights } = this.#context;
    const declare = withDefaultType(asDeclared, vhost.facts.defaultQueueType);
    const asked = withoutLineEnds(declare.queue);
    if (asked === DIRECT_REPLY || isDirectReply(asked)) return this.#checkDirectReply(asked);
    const passive = declare.passive;
    const name = asked === '' && !passive ? serverNamed(declare) : asked;
    if (passive) rights.any('queue', name);
    else rights.configure('queue', name);
    const existing = passive ? await vhost.queue(name, owner) : await vhost.findQueue(name, owner);
    let fresh = false;
    if (existing === undefined) {
      if (asked !== '') refuseReserved('queue', name);
      fresh = await vhost.declaring(name, () => this.#createQueue(name, declare));
    } else if (!passive) {
      const want = declaredQueue(declare);
      if (want.exclusive !== existing.declared.exclusive) throw vhost.locked(name);
      assertSameQueue(named('queue', name, vhost.namespace), want, existing.declared);
    }
    this.#lastQueue = name;
    // Of a quorum queue a declare does not, as in RabbitMQ.
    if (existing?.expires === true && !isQuorum(existing.declared)) await noteUse(vhost.session, name);
    if (!passive) vhost.traffic.queuesDeclared++;
    if (fresh) vhost.traffic.queuesCreated++;
    if (fresh) return { queue: name, messageCount: 0, consumerCount: 0 };
    const { ready, consumers } = await vhost.counts(existing ?? (await vhost.queue(name, owner)));
    return { queue: name, messageCount: ready, consumerCount: consumers };
  }

  /** Every declare of it only asks whether it is there; if it is, it has one consumer. */
  #checkDirectReply(name: string): { queue: string; messageCount: number; consumerCount: number } {
    const { vhost } = this.#context;
    if (name !== DIRECT_REPLY && !vhost.directReplies.has(name)) throw vhost.noQueue(name);
    return { queue: name, messageCount: 0, consumerCount: 1 };
  }

  async #createQueue(name: string, declare: Arguments<'queueDeclare'>): Promise<boolean> {
    const { vhost, owner, rights } = this.#context;
    if (isStream(declare)) return this.#createStream(name, declare);
    queueSettings(declare, name, vhost.namespace);
    const deadLetterExchange = textOf(declare.arguments.get('x-dead-letter-exchange'));
    if (deadLetterExchange !== undefined) {
      rights.read('queue', name);
      rights.publish(deadLetterExchange, textOf(declare.arguments.get('x-dead-letter-routing-key')) ?? '');
    }
    const declared = declaredQueue(declare);
    const { policies, policyGeneration } = vhost;
    const target = queueTarget(name, declared);
    const { policy, subscription } = effectiveQueue(name, vhost.namespace, declare, policies.of(target));
    if (declare.exclusive) vhost.owners.set(name, owner);
    try {
      const { created } = await vhost.session.request('declareTopic', {
        name,
        kind: 'queue',
        policy,
        subscription,
        attributes: toAttributes(declared),
        ...(!declared.durable && { transient: true }),
        ifDifferent: 'keep',
      });
      if (vhost.policyGeneration !== policyGeneration) await vhost.applyPolicies();
      await vhost.queue(name, owner);
      return created;
    } catch (error) {
      if (vhost.owners.get(name) === owner) vhost.owners.delete(name);
      throw error;
    }
  }

  async #createStream(name: string, declare: Arguments<'queueDeclare'>): Promise<boolean> {
    const { vhost } = this.#context;
    // What the client asks for itself must make sense, whatever its policy says.
    streamPolicy(declare, name, vhost.namespace);
    const declared = declaredQueue(declare);
    const { policies, policyGeneration } = vhost;
    const policy = policies.of(queueTarget(name, declared));
    const { created } = await vhost.session.request('declareTopic', {
      name,
      kind: 'topic',
      policy: effectiveStream(name, vhost.namespace, declared, policy),
      attributes: toAttributes(declared),
      ifDifferent: 'keep',
    });
    if (vhost.policyGeneration !== policyGeneration) await vhost.applyPolicies();
    return created;
  }

  async deleteQueue({ queue, ifUnused, ifEmpty }: Arguments<'queueDelete'>): Promise<number> {
    const { vhost, owner, rights } = this.#context;
    const name = withoutLineEnds(this.queueName(queue));
    rights.configure('queue', name);
    const found = await vhost.findQueue(name, owner);
    if (found === undefined) return 0;
    const what = named('queue', name, vhost.namespace);
    const { consumers, ready } = await vhost.counts(found);
    if (ifUnused && consumers > 0) throw new AmqpError('PRECONDITION_FAILED', `${what} in use`);
    // RabbitMQ minds neither for streams, and counts nothing.
    if (ifEmpty && ready > 0 && found.kind === 'queue') throw new AmqpError('PRECONDITION_FAILED', `${what} not empty`);
    await vhost.session.request('deleteTopic', { name });
    vhost.traffic.queuesDeleted++;
    vhost.owners.delete(name);
    await vhost.dropUnbound();
    return found.kind === 'queue' ? ready : 0;
  }

  async purgeQueue({ queue }: Arguments<'queuePurge'>): Promise<number> {
    const { vhost } = this.#context;
    const found = await this.readable(queue);
    const { name } = found;
    refuseStream(found, 'queue.purge', vhost.namespace);
    const { purged } = await vhost.session.request('purge', { topic: name, subscription: name });
    return purged;
  }

  async bindQueue(method: Omit<Arguments<'queueBind'>, 'noWait'>, how: 'bind' | 'unbind'): Promise<void> {
    const { vhost, rights, owner } = this.#context;
    const queue = this.queueName(method.queue);
    // Left out together, both mean the queue that was declared last.
    const routingKey = method.queue === '' && method.routingKey === '' ? queue : method.routingKey;
    const exchange = withoutLineEnds(method.exchange);
    if (isDirectReply(queue) || queue === DIRECT_REPLY)
      throw new AmqpError('ACCESS_REFUSED', 'cannot bind or unbind to a volatile (direct reply-to) queue');
    rights.write('queue', withoutLineEnds(queue));
    refuseDefault(exchange);
    rights.read('exchange', exchange);
    if (how === 'unbind') {
      // What is not there is not bound.
      const there = (await vhost.findExchange(exchange)) !== undefined;
      if (!there || (await vhost.findQueue(withoutLineEnds(queue), owner)) === undefined) return;
    }
    rights.key('read', await vhost.exchange(exchange), routingKey);
    const { name } = await this.queue(withoutLineEnds(queue));
    await this.#bind(how, exchange, { topic: name }, { routingKey, arguments: method.arguments });
  }

  async #bind(
    how: 'bind' | 'unbind',
    router: string,
    to: BindingDefinition['to'],
    method: Pick<Arguments<'exchangeBind'>, 'routingKey' | 'arguments'>,
  ): Promise<void> {
    const { vhost } = this.#context;
    const { type } = await vhost.exchange(router);
    const binding = toBinding(type, to, method.routingKey, method.arguments);
    if (how === 'bind') {
      await vhost.session.request('bind', { router, binding });
      vhost.noteBound(router);
      return;
    }
    const { removed } = await vhost.session.request('unbind', { router, binding });
    // One that was not made by an AMQP client has no arguments but those that it matches by.
    const { attributes: _, ...plain } = binding;
    if (!removed && type === 'headers') await vhost.session.request('unbind', { router, binding: plain });
    await vhost.dropUnbound([router]);
  }
}

function withoutLineEnds(name: string): string {
  return name.replaceAll(/[\r\n]/g, '');
}

/** @throws PRECONDITION_FAILED for a type whose queues have to be named */
function serverNamed({ arguments: args }: Pick<Arguments<'queueDeclare'>, 'arguments'>): string {
  const type = queueTypeOf(args);
  if (type !== 'classic')
    throw new AmqpError('PRECONDITION_FAILED', `Cannot declare a server-named queue for type rabbit_${type}_queue`);
  return `amq.gen-${randomBytes(16).toString('base64url')}`;
}

function refuseDefault(exchange: string): void {
  if (exchange === '') throw new AmqpError('ACCESS_REFUSED', 'operation not permitted on the default exchange');
}

function refuseReserved(kind: 'queue' | 'exchange', name: string): void {
  if (name.startsWith(RESERVED_PREFIX))
    throw new AmqpError('ACCESS_REFUSED', `${kind} name '${name}' contains reserved prefix 'amq.*'`);
}

/** @throws NOT_IMPLEMENTED for a stream */
export function refuseStream({ name, kind }: Queue, what: string, namespace: string): void {
  if (kind === 'stream')
    throw new AmqpError('NOT_IMPLEMENTED', `${what} not supported by stream queues ${named('queue', name, namespace)}`);
}
