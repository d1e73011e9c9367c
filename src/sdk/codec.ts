import { RailheadError } from '../core/errors.ts';
import { textOf } from '../core/records.ts';

/** Turns bodies into bytes and back. The content type travels with the message and chooses how it is read. */
export interface Codec<T> {
  readonly contentType: string;
  /** A string is written as UTF-8. Throws when the value does not fit: the send is refused. */
  encode(value: T): Uint8Array | string;
  /** Throws when the bytes are not what the content type says: the message goes to the dead-letter queue. */
  decode(bytes: Uint8Array): T;
}

export const OCTET_STREAM = 'application/octet-stream';

/** Bodies are text, stored as UTF-8 under `text/plain`. Without it a string is sent as JSON, in quotes. */
export const text: Codec<string> = {
  contentType: 'text/plain; charset=utf-8',
  encode: (value) => value,
  decode: textOf,
};

/** Bodies are bytes, stored as they are under `application/octet-stream`. A `Uint8Array` needs no codec to be sent. */
export const bytes: Codec<Uint8Array> = {
  contentType: OCTET_STREAM,
  encode: (value) => value,
  decode: (value) => value,
};

/** A message type of `protobufjs`, or the static code that ts-proto and the like make. */
export interface ProtobufType<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
  /** Gives the reason when the value does not fit. */
  verify?(message: T & object): string | null;
}

/**
 * Bodies are Protocol Buffers, under `application/x-protobuf`.
 *
 * @example defineQueue('orders', { codec: protobuf(Order) })
 */
export function protobuf<T extends object>(type: ProtobufType<T>): Codec<T> {
  return {
    contentType: 'application/x-protobuf',
    encode(value) {
      const problem = type.verify?.(value) ?? null;
      if (problem !== null) throw new RailheadError('SCHEMA', `The body does not fit its Protobuf type: ${problem}.`);
      return type.encode(value).finish();
    },
    decode: (value) => type.decode(value),
  };
}

/** A type of `avsc`. */
export interface AvroType<T> {
  toBuffer(value: T): Uint8Array;
  fromBuffer(bytes: Buffer): T;
}

/**
 * Bodies are Avro (binary encoding, without the schema), under `avro/binary`.
 *
 * @example defineQueue('orders', { codec: avro(avsc.Type.forSchema(schema)) })
 */
export function avro<T>(type: AvroType<T>): Codec<T> {
  return {
    contentType: 'avro/binary',
    encode: (value) => type.toBuffer(value),
    decode: (value) => type.fromBuffer(Buffer.from(value.buffer, value.byteOffset, value.byteLength)),
  };
}
