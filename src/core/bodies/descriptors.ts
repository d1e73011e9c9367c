import { RailheadError } from '../errors.ts';
import { parseProto } from './proto-file.ts';
import { Declared } from './proto-types.ts';
import { readProtobuf } from './protobuf.ts';
import { Budget, MAX_DEPTH, Misfit, type Value, type ValueMap } from './value.ts';

/** Of descriptor.proto, which describes itself: what it takes to read messages. */
const DESCRIPTORS = `
message FileDescriptorSet { repeated FileDescriptorProto file = 1; }
message FileDescriptorProto {
  string name = 1; string package = 2;
  repeated DescriptorProto message_type = 4; repeated EnumDescriptorProto enum_type = 5;
}
message DescriptorProto {
  string name = 1; repeated FieldDescriptorProto field = 2; repeated DescriptorProto nested_type = 3;
  repeated EnumDescriptorProto enum_type = 4; MessageOptions options = 7;
}
message MessageOptions { bool map_entry = 7; }
message FieldDescriptorProto { string name = 1; int32 number = 3; int32 label = 4; int32 type = 5; string type_name = 6; }
message EnumDescriptorProto { string name = 1; repeated EnumValueDescriptorProto value = 2; }
message EnumValueDescriptorProto { string name = 1; int32 number = 2; }
`;

const REPEATED = 3;

/** By the number of `FieldDescriptorProto.Type`, from 1 on; those with a dash have a name instead. */
const TYPES = (
  'double float int64 uint64 int32 fixed64 fixed32 bool string - - bytes uint32 - ' + 'sfixed32 sfixed64 sint32 sint64'
).split(' ');

function typeOf(field: ValueMap): string {
  const type = TYPES[Number(field.get('type')) - 1] ?? '-';
  return type === '-' ? text(field, 'type_name') : type;
}

/** What `protoc --descriptor_set_out` writes. @throws INVALID */
export function readDescriptors(bytes: Uint8Array): Declared {
  const declared = new Declared();
  const set = parseProto(DESCRIPTORS).messageType('FileDescriptorSet');
  try {
    for (const file of all(readProtobuf(set, bytes, new Budget(bytes.byteLength)), 'file')) {
      const scope = text(file, 'package');
      const isMain = !text(file, 'name').startsWith('google/protobuf/');
      for (const message of all(file, 'message_type')) {
        const name = addMessage(declared, scope, message, 0);
        if (isMain) declared.outermost.push(name);
      }
      for (const each of all(file, 'enum_type')) addEnum(declared, scope, each);
    }
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    throw new RailheadError(
      'INVALID',
      `The descriptors are not a FileDescriptorSet: ${error.message}. Write one with protoc --include_imports --descriptor_set_out=FILE.`,
    );
  }
  return declared;
}

function addMessage(declared: Declared, scope: string, message: ValueMap, depth: number): string {
  if (depth > MAX_DEPTH) throw new Misfit('messages are nested too deep');
  const name = scope === '' ? text(message, 'name') : `${scope}.${text(message, 'name')}`;
  const options = message.get('options');
  declared.messages.set(name, {
    isEntry: options instanceof Map && options.get('map_entry') === true,
    fields: all(message, 'field').map((field) => ({
      name: text(field, 'name'),
      number: Number(field.get('number')),
      repeated: field.get('label') === REPEATED,
      type: typeOf(field),
    })),
  });
  for (const nested of all(message, 'nested_type')) addMessage(declared, name, nested, depth + 1);
  for (const each of all(message, 'enum_type')) addEnum(declared, name, each);
  return name;
}

function addEnum(declared: Declared, scope: string, of: ValueMap): void {
  const symbols = new Map<number, string>();
  for (const value of all(of, 'value')) symbols.set(Number(value.get('number') ?? 0), text(value, 'name'));
  declared.enums.set(scope === '' ? text(of, 'name') : `${scope}.${text(of, 'name')}`, symbols);
}

function text(of: ValueMap, name: string): string {
  const value = of.get(name);
  return typeof value === 'string' ? value : '';
}

function all(of: ValueMap, name: string): ValueMap[] {
  const list = of.get(name);
  return Array.isArray(list) ? (list as Value[]).filter((each): each is Map<string, Value> => each instanceof Map) : [];
}
