import { type Action, DEFAULT_ROUTER, isAuthorized, type Principal, type Resource } from '../../core/auth.ts';
import { AmqpError } from './errors.ts';
import { named } from './translate.ts';

type Kind = 'queue' | 'exchange';
type Right = 'configure' | 'write' | 'read';

/**
 * What a method of AMQP takes, by RabbitMQ's table: `configure`, `write` and `read` on queues and exchanges. In the words
 * of the engine these are `configure`, `publish` and `consume`.
 */
export class Rights {
  readonly #principal: Principal;
  readonly #namespace: string;

  constructor(principal: Principal, namespace: string) {
    this.#principal = principal;
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

  /** To publish: through the default exchange to the queue that the key names. */
  publish(exchange: string, key: string): void {
    const resource =
      exchange === '' ? { kind: 'topic' as const, name: key } : { kind: 'router' as const, name: exchange };
    this.#check('write', 'publish', 'exchange', resource, exchange === '' ? DEFAULT_ROUTER : exchange);
  }

  #check(right: Right, action: Action, kind: Kind, resource: Omit<Resource, 'namespace'>, shown = resource.name): void {
    const namespace = this.#namespace;
    if (isAuthorized(this.#principal, action, { namespace, ...resource })) return;
    throw new AmqpError(
      'ACCESS_REFUSED',
      `${right} access to ${named(kind, shown, namespace)} refused for user '${this.#principal.name}'`,
    );
  }
}
