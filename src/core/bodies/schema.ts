import { RailheadError } from '../errors.ts';
import { avroName, compileAvro, readAvro } from './avro.ts';
import { ByteReader } from './byte-reader.ts';
import { readDescriptors } from './descriptors.ts';
import { parseProto } from './proto-file.ts';
import type { Declared } from './proto-types.ts';
import { readProtobuf } from './protobuf.ts';
import { Misfit, type Value } from './value.ts';

/** How the bodies of a topic are to be read, as people give it. */
export interface SchemaText {
  /** A schema of Avro, as JSON. */
  avro?: unknown;
  /** The text of a `.proto` file. */
  protobuf?: string;
  /** Or what `protoc --descriptor_set_out` writes, in base64. */
  descriptors?: string;
  /** The type of the bodies, with its package. Left out: the only one that there is. */
  message?: string;
}

export interface BodySchema {
  /** `Avro shop.Order`. */
  readonly name: string;
  /** Undefined for bytes that do not fit. */
  read(bytes: Uint8Array): Value | undefined;
}

/** @throws INVALID, saying what is wrong */
export function compileSchema({ avro, protobuf, descriptors, message }: SchemaText): BodySchema {
  const given = [avro, protobuf, descriptors].filter((each) => each !== undefined).length;
  if (given !== 1)
    throw new RailheadError('INVALID', 'A schema is one of `avro`, `protobuf` and `descriptors`. Give one of them.');
  if (avro !== undefined) {
    if (message !== undefined)
      throw new RailheadError('INVALID', '`message` names a type of Protobuf. Leave it out of a schema of Avro.');
    const type = compileAvro(avro);
    return { name: `Avro ${avroName(type)}`, read: (bytes) => first(heads(bytes), (body) => readAvro(type, body)) };
  }
  const type = declaredBy(protobuf, descriptors).messageType(message);
  const read = (bytes: Uint8Array): Value | undefined =>
    first(heads(bytes, 'with the place of the type'), (body) => readProtobuf(type, body));
  return { name: `Protobuf ${type.name}`, read };
}

function declaredBy(protobuf: string | undefined, descriptors: string | undefined): Declared {
  return descriptors === undefined ? parseProto(protobuf ?? '') : readDescriptors(Buffer.from(descriptors, 'base64'));
}

/** The first reading that fits. */
function first(bodies: Iterable<Uint8Array>, read: (body: Uint8Array) => Value): Value | undefined {
  for (const body of bodies)
    try {
      return read(body);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
    }
  return undefined;
}

/** Before what Confluent's serializers write: a zero, and the id of the schema in four bytes. */
const REGISTRY_HEAD = 5;
/** Of Avro's single objects: two bytes, and a fingerprint of the schema in eight. */
const SINGLE_OBJECT_HEAD = 10;

/** The body as it is, and without what a serializer may have put before it. */
function* heads(bytes: Uint8Array, registry?: 'with the place of the type'): Generator<Uint8Array, void> {
  yield bytes;
  if (bytes[0] === 0xc3 && bytes[1] === 1) yield bytes.subarray(SINGLE_OBJECT_HEAD);
  if (bytes[0] !== 0 || bytes.byteLength < REGISTRY_HEAD) return;
  const rest = bytes.subarray(REGISTRY_HEAD);
  yield registry === undefined ? rest : withoutPlace(rest);
}

/** Protobuf has the path to its message type there: a count and so many numbers. One zero stands for the first type. */
function withoutPlace(bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader(bytes);
  try {
    const length = reader.zigzag();
    for (let i = 0n; i < length; i++) reader.zigzag();
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
  }
  return bytes.subarray(bytes.byteLength - reader.left);
}
