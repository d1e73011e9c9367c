import type { BindingDefinition } from '../core/definitions.ts';
import type { MessageId, PublishReceipt } from '../core/session.ts';
import { messageId } from '../core/session.ts';
import type { Filter } from '../core/policy.ts';
import { RecordBatchWriter } from '../core/records.ts';
import type { Headers } from '../core/records.ts';
import { BodyType } from './body.ts';
import type { Client } from './client.ts';
import type { Directory } from './directory.ts';
import { headOf } from './envelope.ts';
import type { SendOptions } from './envelope.ts';
import { sendFailure } from './failure.ts';
import type { Once } from './once.ts';
import type { QueueLike, TopicLike } from './host.ts';

/** Which messages a binding takes. */
export interface BindOptions {
  /** Routing key (`direct`), or pattern (`topic`): `*` is one word, `#` any number of words, between dots. Default ''. */
  routingKey?: string;
  /** For `headers` routers: values that must be equal. */
  headers?: Headers;
  /** For `headers` routers: headers that must be there, whatever their value. */
  present?: readonly string[];
  /** Whether all of `headers` and `present` must hold, or any. Default `all`. */
  match?: 'all' | 'any';
  /** Checked after the router's own match. */
  filter?: Filter;
}

export interface RouteOptions extends SendOptions {
  /** What `direct` and `topic` routers choose by. Default ''. */
  routingKey?: string;
}

/** Where a routed message went. */
export interface Routed {
  /** One for each queue and topic that took it; none when no binding did. */
  readonly ids: MessageId[];
}

/** Where a binding leads: a queue, a topic or another router. */
export type BindingEnd = QueueLike<unknown> | TopicLike<unknown> | Router;

/** A named point to publish to that keeps nothing: its bindings say where a message goes. A handle: making one does no I/O. */
export class Router implements AsyncDisposable {
  readonly name: string;
  readonly #client: Client;
  readonly #declared: Once<unknown>;
  readonly #directory: Directory;
  readonly #type: BodyType<unknown, unknown>;

  /** Made by `rail.router`. */
  constructor(client: Client, name: string, declared: Once<unknown>, directory: Directory) {
    this.#client = client;
    this.name = name;
    this.#declared = declared;
    this.#directory = directory;
    this.#type = new BodyType(name);
  }

  /** Declares it now, if that was not done yet. @throws POLICY_MISMATCH, NOT_FOUND, FORBIDDEN, CONNECTION_LOST. */
  async ready(): Promise<this> {
    await this.#declared.get();
    return this;
  }

  /** Sends what matches to that queue, topic or router. False when the binding was there already. */
  async bind(end: BindingEnd, options: BindOptions = {}): Promise<boolean> {
    const binding = await this.#binding(end, options);
    const { created } = await this.#client.request('bind', { router: this.name, binding });
    return created;
  }

  /** Removes the binding made with the same options. False when there was none. */
  async unbind(end: BindingEnd, options: BindOptions = {}): Promise<boolean> {
    const binding = await this.#binding(end, options);
    const { removed } = await this.#client.request('unbind', { router: this.name, binding });
    return removed;
  }

  /** Publishes one message. Resolves when every queue and topic that took it has it. @throws as `queue.send`. */
  publish(body: unknown, options: RouteOptions = {}): Promise<Routed> {
    const { routingKey = '', ...rest } = options;
    const { traced } = this.#client.producer('router', this.name);
    if (traced === undefined) return this.#publish(body, routingKey, rest);
    return traced.send(rest, (carried) => this.#publish(body, routingKey, carried));
  }

  async #publish(body: unknown, routingKey: string, options: SendOptions | undefined): Promise<Routed> {
    const writer = new RecordBatchWriter(1024);
    try {
      writer.append(headOf(options, this.#type.contentType(body)), this.#type.encode(body));
    } catch (error) {
      throw sendFailure(error, false);
    }
    return this.#client
      .producer('router', this.name)
      .publish({ router: this.name, key: routingKey }, writer.take(), this.#declared, routed);
  }

  /** Waits for the publishes under way. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#client.producer('router', this.name).drain();
  }

  async #binding(end: BindingEnd, options: BindOptions): Promise<BindingDefinition> {
    await this.#declared.get();
    const to = await this.#declaredEnd(end);
    const { routingKey = '', headers, present, match = 'all', filter = null } = options;
    const looks = headers !== undefined || present !== undefined;
    const wanted = { headers: headers ?? {}, ...(present !== undefined && { present }), mode: match };
    return { to, key: routingKey, match: looks ? wanted : null, filter };
  }

  async #declaredEnd(end: BindingEnd): Promise<BindingDefinition['to']> {
    if (end instanceof Router) {
      await end.#declared.get();
      return { router: end.name };
    }
    const target = this.#directory.anyTarget(end);
    await target.declared.get();
    return { topic: target.name };
  }
}

function routed(receipt: PublishReceipt): Routed {
  const ids: MessageId[] = [];
  for (const run of receipt.runs) {
    for (let i = 0; i < run.count; i++) ids.push(messageId(run.topicId, run.partition, run.offset + i));
  }
  return { ids };
}
