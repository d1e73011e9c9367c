import { AmqpError } from './errors.ts';
import { flagOf, integerOf, type Table, textOf, TYPE_NAMES } from './fields.ts';

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

  flag(name: string): boolean | undefined {
    const field = this.#table.get(name);
    if (field === undefined) return undefined;
    const value = flagOf(field);
    if (value === undefined) throw this.invalid(name, `{unacceptable_type,${TYPE_NAMES[field.type]}}`);
    return value;
  }

  /** @param why what is said of another value, where RabbitMQ has a word of its own for it */
  oneOf(name: string, allowed: readonly string[], why?: string): string | undefined {
    const field = this.#table.get(name);
    if (field === undefined) return undefined;
    const value = textOf(field);
    if (value === undefined) throw this.invalid(name, `{unacceptable_type,${TYPE_NAMES[field.type]}}`);
    if (!allowed.includes(value)) throw this.invalid(name, why ?? `invalid_value '${value}'`);
    return value;
  }

  invalid(name: string, why: string): AmqpError {
    return new AmqpError('PRECONDITION_FAILED', `invalid arg '${name}' for ${this.#what}: ${why}`);
  }

  /** RabbitMQ knows it, but not for this type of queue. */
  notOf(name: string, type: string): AmqpError {
    return new AmqpError(
      'PRECONDITION_FAILED',
      `invalid arg '${name}' for ${this.#what} of queue type rabbit_${type}_queue`,
    );
  }

  /** A property that this type of queue cannot have. */
  noProperty(name: string): AmqpError {
    return new AmqpError('PRECONDITION_FAILED', `invalid property '${name}' for ${this.#what}`);
  }
}
