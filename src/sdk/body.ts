import { RailheadError } from '../core/errors.ts';
import { DEFAULT_CONTENT_TYPE, asBuffer, textOf } from '../core/records.ts';
import type { Envelope } from '../core/records.ts';
import { OCTET_STREAM } from './codec.ts';
import type { Codec } from './codec.ts';
import { describeIssues } from './standard-schema.ts';
import type { SchemaResult, StandardSchemaV1 } from './standard-schema.ts';

/**
 * What a definition says of its bodies: how they become bytes, and which schema they must fit. The value that was
 * sent travels as it is; the schema's transforms and defaults are applied where it is received.
 */
export class BodyType<In, Out> {
  readonly #name: string;
  readonly #schema: StandardSchemaV1<In, Out> | undefined;
  readonly #codec: Codec<In> | undefined;

  constructor(name: string, schema?: StandardSchemaV1<In, Out>, codec?: Codec<In>) {
    this.#name = name;
    this.#schema = schema;
    this.#codec = codec;
  }

  get hasSchema(): boolean {
    return this.#schema !== undefined;
  }

  /** The same bytes without the schema: for dead letters, which may be dead because of it. */
  unchecked(): BodyType<unknown, unknown> {
    return new BodyType<unknown, unknown>(this.#name, undefined, this.#codec);
  }

  /** Checks a value that is to be sent. @throws SCHEMA (or rejects with it, when the schema is asynchronous). */
  check(value: In): undefined | Promise<void> {
    if (this.#schema === undefined) return undefined;
    const result = this.#schema['~standard'].validate(value);
    if (result instanceof Promise) return result.then((late) => void this.#valueOf(late, 'sent'));
    this.#valueOf(result, 'sent');
    return undefined;
  }

  /** Absent: application/json. */
  contentType(value: In): string | undefined {
    if (this.#codec !== undefined) return this.#codec.contentType;
    return value instanceof Uint8Array ? OCTET_STREAM : undefined;
  }

  /** @throws INVALID for what JSON cannot hold, SCHEMA from a codec. */
  encode(value: In): string | Uint8Array {
    if (value instanceof Uint8Array && this.#codec === undefined) return value;
    try {
      if (this.#codec !== undefined) return this.#codec.encode(value);
      // Undefined for undefined, functions and symbols, whatever its type says.
      const encoded: unknown = JSON.stringify(value);
      if (typeof encoded === 'string') return encoded;
    } catch (error) {
      if (RailheadError.is(error)) throw error;
      throw new RailheadError(
        'INVALID',
        `The body for ${JSON.stringify(this.#name)} cannot be encoded: ${String(error)}.`,
        { cause: error },
      );
    }
    throw new RailheadError(
      'INVALID',
      `The body for ${JSON.stringify(this.#name)} is ${typeof value}; JSON has no form for that. Send null, an object, a string or a Uint8Array.`,
    );
  }

  /** By the content type of the message, so that what came over another protocol can be read too. @throws SCHEMA. */
  decode(envelope: Envelope): unknown {
    const contentType = envelope.contentType ?? DEFAULT_CONTENT_TYPE;
    try {
      if (this.#codec !== undefined && contentType === this.#codec.contentType)
        return this.#codec.decode(envelope.body);
      const essence = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
      if (essence === DEFAULT_CONTENT_TYPE || essence.endsWith('+json'))
        // What Kafka's clients send without a value has none here either.
        return envelope.body.byteLength === 0 ? null : JSON.parse(textFrom(envelope.body));
      if (essence.startsWith('text/')) return textOf(envelope.body);
      return envelope.body;
    } catch (error) {
      throw new RailheadError(
        'SCHEMA',
        `The body is not the ${contentType} that it says to be: ${error instanceof Error ? error.message : String(error)}.`,
        { cause: error },
      );
    }
  }

  /** Checks and transforms a decoded value. @throws SCHEMA (or rejects with it). */
  parse(value: unknown): Out | Promise<Out> {
    // Without a schema the definition's type is the user's word; nothing here can check it.
    if (this.#schema === undefined) return value as Out;
    const result = this.#schema['~standard'].validate(value);
    if (result instanceof Promise) return result.then((late) => this.#valueOf(late, 'received'));
    return this.#valueOf(result, 'received');
  }

  #valueOf(result: SchemaResult<Out>, how: 'sent' | 'received'): Out {
    if (result.issues === undefined) return result.value;
    throw new RailheadError(
      'SCHEMA',
      `The body ${how} ${how === 'sent' ? 'to' : 'from'} ${JSON.stringify(this.#name)} does not fit its schema: ${describeIssues(result.issues)}.`,
      {
        details: { issues: result.issues },
      },
    );
  }
}

function textFrom(bytes: Uint8Array): string {
  const buffer = asBuffer(bytes);
  return buffer.toString('utf8', 0, buffer.byteLength);
}
