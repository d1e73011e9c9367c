import { RailheadError } from '../errors.ts';
import { type Field, isScalar, type MessageType } from './protobuf.ts';

/** A field as it was declared, whose type may be a name that is to be looked up from where it stands. */
export interface DeclaredField {
  name: string;
  number: number;
  repeated: boolean;
  /** A scalar, a name, or a full name behind a dot. */
  type: string;
}

export interface DeclaredMessage {
  fields: DeclaredField[];
  /** It stands for the entries of a map. */
  isEntry: boolean;
}

/** What files declare, by full names. */
export class Declared {
  readonly messages = new Map<string, DeclaredMessage>();
  readonly enums = new Map<string, Map<number, string>>();
  /** Those that a file declares itself, and not within another. */
  readonly outermost: string[] = [];

  /** @param name left out: the only one there is. @throws INVALID */
  messageType(name: string | undefined): MessageType {
    const [only, another] = this.outermost;
    const wanted = name ?? (another === undefined ? only : undefined);
    if (wanted !== undefined && this.messages.has(wanted)) return new Linker(this).message(wanted);
    const there = this.outermost.slice(0, 20).join(', ');
    throw new RailheadError(
      'INVALID',
      `${name === undefined ? 'Which message type the bodies are is not said' : `There is no message type ${JSON.stringify(name.slice(0, 100))}`}: name one of the schema with \`message\`${there === '' ? '. It has none' : `: ${there}`}.`,
    );
  }
}

/** Puts types in the place of their names, once each: they may name each other. */
class Linker {
  readonly #declared: Declared;
  readonly #made = new Map<string, MessageType>();

  constructor(declared: Declared) {
    this.#declared = declared;
  }

  message(name: string): MessageType {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const fields = new Map<number, Field>();
    const type: MessageType = { name, fields };
    this.#made.set(name, type);
    for (const field of this.#declared.messages.get(name)?.fields ?? [])
      fields.set(field.number, this.#field(field, name));
    return type;
  }

  #field({ name, repeated, type }: DeclaredField, scope: string): Field {
    if (isScalar(type)) return { name, repeated, isMap: false, type };
    const found = this.#resolve(type, scope);
    const symbols = this.#declared.enums.get(found);
    if (symbols !== undefined) return { name, repeated, isMap: false, type: { symbols } };
    const isMap = this.#declared.messages.get(found)?.isEntry === true;
    return { name, repeated, isMap, type: { message: this.message(found) } };
  }

  /** From the innermost message outwards, as protoc does. */
  #resolve(type: string, scope: string): string {
    const { messages, enums } = this.#declared;
    const isThere = (name: string): boolean => messages.has(name) || enums.has(name);
    if (type.startsWith('.')) {
      if (isThere(type.slice(1))) return type.slice(1);
    } else
      for (let at = scope; ; at = at.includes('.') ? at.slice(0, at.lastIndexOf('.')) : '') {
        const name = at === '' ? type : `${at}.${type}`;
        if (isThere(name)) return name;
        if (at === '') break;
      }
    throw new RailheadError(
      'INVALID',
      `The type ${JSON.stringify(type.slice(0, 100))} is not in the schema. Give a set of descriptors with all files: protoc --include_imports --descriptor_set_out=FILE.`,
    );
  }
}
