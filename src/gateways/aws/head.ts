import type { IncomingHttpHeaders } from 'node:http';

/** The beginning of a request. */
export interface Head {
  url: string;
  bodyBytes: number;
  /** Where the body begins. */
  start: number;
}

const TAB = 9;
const LF = 10;
const CR = 13;
const SPACE = 32;
const ZERO = 48;
const COLON = 58;
const DELETE = 127;
const LINE_END_BYTES = 2;
const METHOD = 'POST ';
const VERSION = ' HTTP/1.1';
const MAX_HEAD_BYTES = 16 * 1024;
const MAX_HEADERS = 99;
const MAX_LENGTH_DIGITS = 9;
/** What is larger is not kept for its head. */
const MAX_KEPT_BYTES = 4096;
/** Of these Node's parser knows what follows from them. */
const NOT_PLAIN: ReadonlySet<string> = new Set(['transfer-encoding', 'expect', 'upgrade', 'trailer', 'te']);

/** One line as it was found to be right. */
interface Line {
  /** Where it begins. */
  at: number;
  /** With its end. */
  bytes: number;
  name: string;
  /** Of the name and the colon. */
  labelBytes: number;
  /** Where the value begins and ends, counted from `at`. */
  from: number;
  to: number;
  /** The value, once somebody has asked for it. */
  value: string | undefined;
}

/**
 * Reads a POST as clients of Amazon send it, whose head is in the bytes as a whole. Undefined for everything else, be it
 * unusual or wrong: Node's parser then says what it is. What is read here, Node would have read as the same.
 *
 * One for each connection: from one request to the next most lines stay the same, and are not looked at again. Of the
 * others nobody asks for most. What it says of headers is of the head that was read last.
 */
export class HeadReader {
  /** What was read last, at least its head. */
  #bytes: Buffer = Buffer.alloc(0);
  #url = '';
  /** Of the first line, with its end. */
  #firstBytes = 0;
  #lines: Line[] = [];
  #byName = new Map<string, Line>();

  read(bytes: Buffer): Head | undefined {
    const head = this.#read(bytes);
    if (head === undefined) this.#forget();
    // Else a large body would be kept with it.
    else this.#bytes = bytes.byteLength <= MAX_KEPT_BYTES ? bytes : Buffer.from(bytes.subarray(0, head.start));
    return head;
  }

  header(name: string): string | undefined {
    const line = this.#byName.get(name);
    return line === undefined ? undefined : this.#valueOf(line);
  }

  headers(): IncomingHttpHeaders {
    return Object.fromEntries(this.#lines.map((line) => [line.name, this.#valueOf(line)]));
  }

  #valueOf(line: Line): string {
    return (line.value ??= this.#bytes.latin1Slice(line.at + line.from, line.at + line.to));
  }

  #forget(): void {
    this.#firstBytes = 0;
    this.#lines = [];
    this.#byName = new Map();
  }

  #read(bytes: Buffer): Head | undefined {
    if (this.#firstBytes === 0 || !isSame(bytes, 0, this.#bytes, 0, this.#firstBytes)) {
      const end = endOfLine(bytes, 0);
      if (end === undefined) return undefined;
      const first = bytes.latin1Slice(0, end);
      if (!isPlainPost(first)) return undefined;
      this.#url = urlOf(first);
      this.#firstBytes = end + LINE_END_BYTES;
    }
    const end = this.#readLines(bytes, this.#firstBytes);
    if (end === undefined || end > MAX_HEAD_BYTES) return undefined;
    this.#bytes = bytes;
    const bodyBytes = this.#length();
    const connection = this.header('connection');
    if (bodyBytes === undefined || !this.#byName.has('host')) return undefined;
    if (connection !== undefined && connection.toLowerCase() !== 'keep-alive') return undefined;
    return { url: this.#url, bodyBytes, start: end + LINE_END_BYTES };
  }

  /** Returns where the empty line is. */
  #readLines(bytes: Buffer, from: number): number | undefined {
    const lines = this.#lines;
    const before = this.#bytes;
    let areOthers = false;
    let count = 0;
    let at = from;
    for (; bytes[at] !== CR; count++) {
      if (count === MAX_HEADERS) return undefined;
      let line = lines[count];
      if (line !== undefined && isSame(bytes, at, before, line.at, line.bytes)) line.at = at;
      else {
        const name =
          line !== undefined && isSame(bytes, at, before, line.at, line.labelBytes) ? line.name : nameAt(bytes, at);
        const end = name === undefined ? undefined : endOfLine(bytes, at);
        if (name === undefined || end === undefined) return undefined;
        if (line?.name !== name) {
          areOthers = true;
          lines[count] = line = { at, bytes: 0, name, labelBytes: name.length + 1, from: 0, to: 0, value: undefined };
        }
        place(line, bytes, at, end);
      }
      at += line.bytes;
    }
    if (bytes[at + 1] !== LF) return undefined;
    if ((areOthers || count < lines.length) && !this.#name(count)) return undefined;
    return at;
  }

  /** False when there is twice the same one, or one that is a member of every object. */
  #name(count: number): boolean {
    this.#lines.length = count;
    this.#byName = new Map(this.#lines.map((line) => [line.name, line]));
    return this.#byName.size === count && !this.#lines.some(({ name }) => name in Object.prototype);
  }

  #length(): number | undefined {
    const line = this.#byName.get('content-length');
    if (line === undefined || line.to === line.from || line.to - line.from > MAX_LENGTH_DIGITS) return undefined;
    let length = 0;
    for (let i = line.at + line.from; i < line.at + line.to; i++) {
      const digit = (this.#bytes[i] ?? 0) - ZERO;
      if (digit < 0 || digit > 9) return undefined;
      length = length * 10 + digit;
    }
    return length;
  }
}

function isSame(bytes: Buffer, at: number, others: Buffer, from: number, length: number): boolean {
  if (at + length > bytes.byteLength) return false;
  for (let i = 0; i < length; i++) if (bytes[at + i] !== others[from + i]) return false;
  return true;
}

/** Where the line ends, or undefined when something is in it that has no place in a head. */
function endOfLine(bytes: Buffer, from: number): number | undefined {
  for (let at = from; at < bytes.byteLength; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === CR) return bytes[at + 1] === LF ? at : undefined;
    if ((byte < SPACE && byte !== TAB) || byte === DELETE) return undefined;
  }
  return undefined;
}

/** Of a first line that is one of a plain POST. */
function urlOf(first: string): string {
  return first.slice(METHOD.length, -VERSION.length);
}

function isPlainPost(first: string): boolean {
  return first.startsWith(METHOD) && first.endsWith(VERSION) && /^\/[\x21-\x7e]*$/.test(urlOf(first));
}

function nameAt(bytes: Buffer, at: number): string | undefined {
  const colon = bytes.indexOf(COLON, at);
  const name = colon < 0 ? '' : bytes.latin1Slice(at, colon).toLowerCase();
  return /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) && !NOT_PLAIN.has(name) ? name : undefined;
}

/** @param end where its end begins */
function place(line: Line, bytes: Buffer, at: number, end: number): void {
  let from = at + line.labelBytes;
  let to = end;
  while (from < to && isBlank(bytes[from])) from++;
  while (to > from && isBlank(bytes[to - 1])) to--;
  line.at = at;
  line.bytes = end + LINE_END_BYTES - at;
  line.from = from - at;
  line.to = to - at;
  line.value = undefined;
}

function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}
