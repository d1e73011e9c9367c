import { QUEUE_TYPES, type QueueType } from '../vhost-facts.ts';
import { AmqpError } from './errors.ts';
import { flagOf, integerOf, type Table, textOf, TYPE_NAMES } from './fields.ts';

const NOT_STREAMS: readonly QueueType[] = ['classic', 'quorum'];

/**
 * Every argument of a queue that RabbitMQ 4.3 knows, and the types of queues that have it: others refuse it, and two
 * declares of one queue must agree on those of its type. In the order in which they are compared.
 */
const TYPES_WITH: ReadonlyMap<string, readonly QueueType[]> = new Map([
  ['x-expires', NOT_STREAMS],
  ['x-message-ttl', NOT_STREAMS],
  ['x-dead-letter-exchange', NOT_STREAMS],
  ['x-dead-letter-routing-key', NOT_STREAMS],
  ['x-dead-letter-strategy', ['quorum']],
  ['x-max-length', NOT_STREAMS],
  ['x-max-length-bytes', QUEUE_TYPES],
  ['x-max-in-memory-length', ['quorum']],
  ['x-max-in-memory-bytes', ['quorum']],
  ['x-max-priority', ['classic']],
  ['x-overflow', NOT_STREAMS],
  ['x-queue-mode', ['classic']],
  ['x-queue-version', ['classic']],
  ['x-single-active-consumer', NOT_STREAMS],
  ['x-queue-type', QUEUE_TYPES],
  ['x-queue-master-locator', ['classic']],
  ['x-queue-leader-locator', QUEUE_TYPES],
  ['x-quorum-initial-group-size', ['quorum']],
  ['x-initial-cluster-size', ['stream']],
  ['x-delivery-limit', ['quorum']],
  ['x-consumer-timeout', ['quorum']],
  ['x-consumer-disconnected-timeout', ['quorum']],
  ['x-delayed-retry-type', ['quorum']],
  ['x-delayed-retry-min', ['quorum']],
  ['x-delayed-retry-max', ['quorum']],
  ['x-max-age', ['stream']],
  ['x-stream-max-segment-size-bytes', ['stream']],
  ['x-stream-filter-size-bytes', ['stream']],
]);

/** What two declares of a queue of this type must agree on. */
export function argumentsOf(type: QueueType): ReadonlySet<string> {
  return new Set([...TYPES_WITH].filter(([, types]) => types.includes(type)).map(([name]) => name));
}

/** Ten years: RabbitMQ lets nothing live longer. */
export const LONGEST_LIFE_MS = 315_360_000_000;

/** The type of a queue that names none, whose virtual host has no other. */
export const USUAL_TYPE: QueueType = 'classic';

export function queueTypeOf(args: Table): QueueType {
  const type = textOf(args.get('x-queue-type'));
  return QUEUE_TYPES.find((each) => each === type) ?? USUAL_TYPE;
}

/** What RabbitMQ knows, but not for this type of queue: in its words. */
export function notOfType(name: string, what: string, type: QueueType): AmqpError {
  return new AmqpError('PRECONDITION_FAILED', `invalid arg '${name}' for ${what} of queue type rabbit_${type}_queue`);
}

const LEADER_LOCATORS = ['client-local', 'balanced', 'random', 'least-leaders'];

interface Lasting {
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly autoDelete: boolean;
}

/** The arguments of a declare of a queue, checked as RabbitMQ does and refused in its words. */
export class QueueArguments {
  readonly #table: Table;
  readonly #what: string;

  constructor(table: Table, what: string) {
    this.#table = table;
    this.#what = what;
  }

  has(name: string): boolean {
    return this.#table.has(name);
  }

  /** The type that is asked for, with no argument that it has not. @throws PRECONDITION_FAILED */
  type(): QueueType {
    this.oneOf('x-queue-type', QUEUE_TYPES, (asked) => `"unsupported queue type '${asked}'"`);
    const type = queueTypeOf(this.#table);
    for (const [name, types] of TYPES_WITH) if (this.has(name) && !types.includes(type)) throw this.notOf(name, type);
    this.#checkPlacement();
    return type;
  }

  /** Where and how RabbitMQ stores means nothing here; what it refuses is refused. */
  #checkPlacement(): void {
    this.oneOf('x-dead-letter-strategy', ['at-most-once', 'at-least-once'], () => 'invalid_dlx_strategy');
    this.oneOf('x-queue-leader-locator', LEADER_LOCATORS, () => 'invalid_queue_locator_arg');
    this.whole('x-queue-version', 1, 2);
    for (const name of ['x-quorum-initial-group-size', 'x-initial-cluster-size']) this.whole(name, 1);
    for (const name of ['x-max-in-memory-length', 'x-max-in-memory-bytes', 'x-consumer-disconnected-timeout'])
      this.whole(name, 0);
  }

  /** Milliseconds of a life. */
  life(name: string, least: number): number | undefined {
    const value = this.whole(name, least);
    if (value !== undefined && value > LONGEST_LIFE_MS) throw this.invalid(name, `{value_too_large,${value}}`);
    return value;
  }

  integer(name: string): number | undefined {
    const field = this.#table.get(name);
    if (field === undefined) return undefined;
    const value = integerOf(field);
    if (value === undefined) throw this.invalid(name, `"expected integer, got ${TYPE_NAMES[field.type]}"`);
    return value;
  }

  whole(name: string, least: number, most = 2 ** 48): number | undefined {
    const value = this.integer(name);
    if (value === undefined) return undefined;
    if (value < 0) throw this.invalid(name, `{value_negative,${value}}`);
    if (value < least) throw this.invalid(name, '{value_zero,0}');
    if (value > most) throw this.invalid(name, `{max_value_exceeded,${value}}`);
    return value;
  }

  text(name: string): string | undefined {
    const field = this.#table.get(name);
    if (field === undefined) return undefined;
    const value = textOf(field);
    if (value === undefined) throw this.invalid(name, `{unacceptable_type,${TYPE_NAMES[field.type]}}`);
    return value;
  }

  /** The name of an exchange. */
  exchange(name: string): string | undefined {
    const field = this.#table.get(name);
    const value = textOf(field);
    if (field !== undefined && value === undefined)
      throw new AmqpError(
        'PRECONDITION_FAILED',
        `invalid type '${TYPE_NAMES[field.type]}' for arg '${name}' in ${this.#what}`,
      );
    return value;
  }

  flag(name: string): boolean | undefined {
    const field = this.#table.get(name);
    if (field === undefined) return undefined;
    const value = flagOf(field);
    if (value === undefined) throw this.invalid(name, `{unacceptable_type,${TYPE_NAMES[field.type]}}`);
    return value;
  }

  /** @param why what is said of another value */
  oneOf(name: string, allowed: readonly string[], why: (value: string) => string): string | undefined {
    const field = this.#table.get(name);
    if (field === undefined) return undefined;
    const value = textOf(field);
    if (value === undefined) throw this.invalid(name, `{unacceptable_type,${TYPE_NAMES[field.type]}}`);
    if (!allowed.includes(value)) throw this.invalid(name, why(value));
    return value;
  }

  invalid(name: string, why: string): AmqpError {
    return new AmqpError('PRECONDITION_FAILED', `invalid arg '${name}' for ${this.#what}: ${why}`);
  }

  /** RabbitMQ knows it, but not for this type of queue. */
  notOf(name: string, type: QueueType): AmqpError {
    return notOfType(name, this.#what, type);
  }

  /** @throws PRECONDITION_FAILED for what only classic queues can be */
  assertLasting({ durable, exclusive, autoDelete }: Lasting): void {
    if (autoDelete) throw this.noProperty('auto-delete');
    if (exclusive) throw this.noProperty('exclusive-owner');
    if (!durable) throw this.noProperty('non-durable');
  }

  /** A property that this type of queue cannot have. */
  noProperty(name: string): AmqpError {
    return new AmqpError('PRECONDITION_FAILED', `invalid property '${name}' for ${this.#what}`);
  }
}
