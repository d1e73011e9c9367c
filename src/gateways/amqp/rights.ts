import {
  type Action,
  askingForKeys,
  DEFAULT_ROUTER,
  isAuthorized,
  isKeyAuthorized,
  type Principal,
  type Resource,
} from '../../core/auth.ts';
import { type PublishTarget, routingKeys } from '../../core/publish-target.ts';
import { AmqpError } from './errors.ts';
import { named } from './translate.ts';
import type { Exchange, Vhost } from './vhost.ts';

type Kind = 'queue' | 'exchange';
type Right = 'configure' | 'write' | 'read';

/**
 * What a method of AMQP takes, by RabbitMQ's table: `configure`, `write` and `read` on queues and exchanges. In the words
 * of the engine these are `configure`, `publish` and `consume`.
 */
export class Rights {
  readonly #principal: Principal;
  /** For all that is no question of routing keys: those are asked apart. */
  readonly #asking: Principal;
  readonly #namespace: string;

  constructor(principal: Principal, namespace: string) {
    this.#principal = principal;
    this.#asking = askingForKeys(principal);
    this.#namespace = namespace;
  }

  /** @throws ACCESS_REFUSED, as the others do */
  configure(kind: Kind, name: string): void {
    this.#check('configure', 'configure', kind, { kind: kind === 'queue' ? 'topic' : 'router', name });
  }

  /** To bind to it. */
  write(kind: Kind, name: string): void {
    this.#check('write', 'publish', kind, { kind: 'binding', name });
  }

  /** To consume from a queue, to bind from an exchange. */
  read(kind: Kind, name: string): void {
    this.#check('read', 'consume', kind, { kind: kind === 'queue' ? 'topic' : 'router', name });
  }

  /** To ask whether it is there: whoever may do something with it. */
  any(kind: Kind, name: string): void {
    const own = { kind: kind === 'queue' ? 'topic' : 'router', name } as const;
    const may =
      this.#may('inspect', own) || this.#may('consume', own) || this.#may('publish', { kind: 'binding', name });
    if (!may) this.configure(kind, name);
  }

  /** To publish: through the default exchange to the queue that the key names. */
  publish(exchange: string, key: string): void {
    const resource =
      exchange === '' ? { kind: 'topic' as const, name: key } : { kind: 'router' as const, name: exchange };
    this.#check('write', 'publish', 'exchange', resource, exchange === '' ? DEFAULT_ROUTER : exchange);
  }

  /** To publish with a routing key, or to bind by one, where the exchange is one of topics. */
  key(right: 'write' | 'read', { name, type }: Pick<Exchange, 'name' | 'type'>, key: string): void {
    const namespace = this.#namespace;
    const action = right === 'write' ? 'publish' : 'consume';
    if (type !== 'topic' || isKeyAuthorized(this.#principal, action, { namespace, name }, key)) return;
    throw new AmqpError(
      'ACCESS_REFUSED',
      `${right} access to topic '${key}' in ${named('exchange', name, namespace)} refused for user '${this.#principal.name}'`,
    );
  }

  /** All routing keys of a publish, copies among them. */
  keys(vhost: Pick<Vhost, 'known'>, to: PublishTarget): void {
    const exchange = 'router' in to ? vhost.known(to.router) : undefined;
    if (exchange !== undefined && 'router' in to) for (const key of routingKeys(to)) this.key('write', exchange, key);
  }

  #may(action: Action, resource: Omit<Resource, 'namespace'>): boolean {
    return isAuthorized(this.#asking, action, { namespace: this.#namespace, ...resource });
  }

  #check(right: Right, action: Action, kind: Kind, resource: Omit<Resource, 'namespace'>, shown = resource.name): void {
    if (this.#may(action, resource)) return;
    throw new AmqpError(
      'ACCESS_REFUSED',
      `${right} access to ${named(kind, shown, this.#namespace)} refused for user '${this.#principal.name}'`,
    );
  }
}
