import { RailheadError } from '../errors.ts';
import { isScalar } from './protobuf.ts';
import { Declared, type DeclaredMessage } from './proto-types.ts';
import { MAX_DEPTH } from './value.ts';

/** Reads of a `.proto` file what it takes to read messages: their fields, and enums. The rest is passed over. */

/** What files import most, and nobody has at hand. */
const WELL_KNOWN = `
package google.protobuf;
message Timestamp { int64 seconds = 1; int32 nanos = 2; }
message Duration { int64 seconds = 1; int32 nanos = 2; }
message Any { string type_url = 1; bytes value = 2; }
message Empty {}
message FieldMask { repeated string paths = 1; }
message Struct { map<string, Value> fields = 1; }
message ListValue { repeated Value values = 1; }
enum NullValue { NULL_VALUE = 0; }
message Value {
  NullValue null_value = 1; double number_value = 2; string string_value = 3; bool bool_value = 4;
  Struct struct_value = 5; ListValue list_value = 6;
}
message DoubleValue { double value = 1; }
message FloatValue { float value = 1; }
message Int64Value { int64 value = 1; }
message UInt64Value { uint64 value = 1; }
message Int32Value { int32 value = 1; }
message UInt32Value { uint32 value = 1; }
message BoolValue { bool value = 1; }
message StringValue { string value = 1; }
message BytesValue { bytes value = 1; }
`;

/** @throws INVALID naming the line */
export function parseProto(text: string): Declared {
  const declared = new Declared();
  new Parser(WELL_KNOWN, declared).file();
  declared.outermost.length = 0;
  new Parser(text, declared).file();
  return declared;
}

// Blanks and comments; then a name, a number, a text in either quotes, or one sign.
const SKIPPED = /(?:\s|\/\/[^\n]*|\/\*[^]*?\*\/)*/y;
const TOKEN = /[A-Za-z_][\w.]*|\.[A-Za-z_][\w.]*|[+-]?\d[\w.+-]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[^\s\w]/y;

class Parser {
  readonly #text: string;
  readonly #declared: Declared;
  #at = 0;
  /** The next one; empty at the end. */
  #token = '';
  #package = '';

  constructor(text: string, declared: Declared) {
    this.#text = text;
    this.#declared = declared;
    this.#advance();
  }

  file(): void {
    while (this.#token !== '') {
      const word = this.#take();
      if (word === 'package') {
        this.#package = this.#take();
        this.#expect(';');
      } else if (word === 'message') this.#message(this.#package, 0);
      else if (word === 'enum') this.#enum(this.#package);
      else if (word !== ';') this.#passOver();
    }
  }

  #message(scope: string, depth: number): void {
    const name = inScope(scope, this.#name());
    if (depth === 0) this.#declared.outermost.push(name);
    this.#body(name, depth, { fields: [], isEntry: false });
  }

  #body(name: string, depth: number, message: DeclaredMessage): void {
    if (depth > MAX_DEPTH) throw this.#wrong(`messages are nested deeper than ${MAX_DEPTH}`);
    this.#declared.messages.set(name, message);
    this.#expect('{');
    while (this.#token !== '}') this.#member(name, depth, message);
    this.#take();
  }

  #member(name: string, depth: number, message: DeclaredMessage): void {
    const word = this.#take();
    switch (word) {
      case ';':
        return;
      case 'message':
        return this.#message(name, depth + 1);
      case 'enum':
        return this.#enum(name);
      case 'oneof':
        this.#name();
        this.#expect('{');
        while (this.#token !== '}') this.#member(name, depth, message);
        this.#take();
        return;
      case 'option':
      case 'reserved':
      case 'extensions':
      case 'extend':
        return this.#passOver();
      default:
        return this.#field(word, name, depth, message);
    }
  }

  #field(first: string, scope: string, depth: number, message: DeclaredMessage): void {
    const isLabel = first === 'repeated' || first === 'optional' || first === 'required';
    const type = isLabel ? this.#take() : first;
    if (type === 'map' && this.#token === '<') return this.#map(scope, message);
    if (!/^[\w.]+$/.test(type)) throw this.#wrong(`${JSON.stringify(type)} is no type`);
    const name = this.#name();
    this.#expect('=');
    const number = this.#number();
    message.fields.push({ name, number, repeated: first === 'repeated', type: type === 'group' ? name : type });
    if (type !== 'group') return this.#end();
    if (this.#token === '[') this.#passOver();
    this.#body(inScope(scope, name), depth + 1, { fields: [], isEntry: false });
  }

  #map(scope: string, message: DeclaredMessage): void {
    this.#expect('<');
    const key = this.#take();
    this.#expect(',');
    const value = this.#take();
    this.#expect('>');
    const name = this.#name();
    this.#expect('=');
    const number = this.#number();
    if (!isScalar(key)) throw this.#wrong(`the key of the map ${name} is of type ${key}`);
    // A name that no file can declare.
    const entry = `${name} entry`;
    const fields = [
      { name: 'key', number: 1, repeated: false, type: key },
      { name: 'value', number: 2, repeated: false, type: value },
    ];
    this.#declared.messages.set(inScope(scope, entry), { fields, isEntry: true });
    message.fields.push({ name, number, repeated: true, type: entry });
    this.#end();
  }

  #enum(scope: string): void {
    const symbols = new Map<number, string>();
    this.#declared.enums.set(inScope(scope, this.#name()), symbols);
    this.#expect('{');
    while (this.#token !== '}') {
      const word = this.#take();
      if (word === 'option' || word === 'reserved') this.#passOver();
      else if (word !== ';') {
        this.#expect('=');
        const number = this.#number();
        // Of two names for one number the first is shown.
        if (!symbols.has(number)) symbols.set(number, word);
        this.#end();
      }
    }
    this.#take();
  }

  /** Options in brackets may follow. */
  #end(): void {
    if (this.#token === '[' || this.#token === ';') this.#passOver();
    else this.#expect(';');
  }

  /** To the end of a statement, or of the block that it has. */
  #passOver(): void {
    let open = 0;
    for (;;) {
      const token = this.#take();
      if (token === '{' || token === '[') open++;
      else if (token === '}' || token === ']') {
        if (--open < 0) throw this.#wrong(`${JSON.stringify(token)} closes nothing`);
        // What options in brackets are of goes on, to its semicolon or its block.
        if (open === 0 && token === '}') return;
        if (open === 0 && this.#token === '{') return;
      } else if (token === ';' && open === 0) return;
    }
  }

  #name(): string {
    const token = this.#take();
    if (!/^[A-Za-z_]\w*$/.test(token)) throw this.#wrong(`${JSON.stringify(token)} is no name`);
    return token;
  }

  #number(): number {
    const sign = this.#token === '-' ? this.#take() : '';
    const token = `${sign}${this.#take()}`;
    const number = Number(token);
    if (!/^-?\d\w*$/.test(token) || !Number.isInteger(number))
      throw this.#wrong(`${JSON.stringify(token)} is no number`);
    return number;
  }

  #expect(token: string): void {
    const found = this.#token;
    if (found !== token)
      throw this.#wrong(
        `${found === '' ? 'it ends' : `${JSON.stringify(found.slice(0, 50))} stands`} where ${JSON.stringify(token)} should`,
      );
    this.#take();
  }

  /** @throws INVALID at the end */
  #take(): string {
    const token = this.#token;
    if (token === '') throw this.#wrong('it ends in the middle');
    this.#advance();
    return token;
  }

  #advance(): void {
    SKIPPED.lastIndex = this.#at;
    SKIPPED.test(this.#text);
    TOKEN.lastIndex = SKIPPED.lastIndex;
    this.#token = TOKEN.exec(this.#text)?.[0] ?? '';
    this.#at = TOKEN.lastIndex === 0 ? this.#text.length : TOKEN.lastIndex;
  }

  #wrong(why: string): RailheadError {
    const line = this.#text.slice(0, this.#at).split('\n').length;
    return new RailheadError('INVALID', `The Protobuf schema is not one, at line ${line}: ${why}.`);
  }
}

function inScope(scope: string, name: string): string {
  return scope === '' ? name : `${scope}.${name}`;
}
