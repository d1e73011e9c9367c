import type { IncomingHttpHeaders } from 'node:http';

/** The beginning of a request. */
export interface Head {
  url: string;
  headers: IncomingHttpHeaders;
  bodyBytes: number;
  /** Where the body begins. */
  start: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LINE_END = '\r\n';
const METHOD = 'POST ';
const VERSION = ' HTTP/1.1';
const MAX_HEAD_BYTES = 16 * 1024;
const MAX_HEADERS = 99;
/** Of these Node's parser knows what follows from them. */
const NOT_PLAIN: ReadonlySet<string> = new Set(['transfer-encoding', 'expect', 'upgrade', 'trailer', 'te']);

/** One line as it was found to be right. */
interface Line {
  /** With its end. */
  text: string;
  /** As it was written, with the colon. */
  label: string;
  name: string;
  value: string;
}

/**
 * Reads a POST as clients of Amazon send it, whose head is in the bytes as a whole. Undefined for everything else, be it
 * unusual or wrong: Node's parser then says what it is. What is read here, Node would have read as the same.
 *
 * One for each connection: from one request to the next most lines stay the same, and are not looked at again. Whoever is
 * given the headers does not change them.
 */
export class HeadReader {
  #first = '';
  #lines: readonly Line[] = [];
  /** What these lines say. */
  #headers: IncomingHttpHeaders = {};

  read(bytes: Buffer): Head | undefined {
    const end = bytes.indexOf(HEAD_END);
    if (end < 0 || end > MAX_HEAD_BYTES) return undefined;
    const text = bytes.toString('latin1', 0, end + LINE_END.length);
    const headersAt = text.indexOf(LINE_END) + LINE_END.length;
    const first = text.slice(0, headersAt);
    if (first !== this.#first && !isPlainPost(first)) return undefined;
    const lines = this.#read(text, headersAt);
    if (lines === undefined) return undefined;
    const headers = this.#headersOf(lines);
    if (headers === undefined) return undefined;
    this.#first = first;
    this.#lines = lines;
    this.#headers = headers;
    const length = headers['content-length'];
    if (headers.host === undefined || length === undefined || !/^\d{1,9}$/.test(length)) return undefined;
    if (headers.connection !== undefined && headers.connection.toLowerCase() !== 'keep-alive') return undefined;
    return { url: urlOf(first), headers, bodyBytes: Number(length), start: end + HEAD_END.byteLength };
  }

  /** The lines of the head before as far as they are the same. */
  #read(text: string, from: number): readonly Line[] | undefined {
    const before = this.#lines;
    let lines: Line[] | undefined;
    let count = 0;
    for (let at = from; at < text.length; count++) {
      let line = before[count];
      if (line === undefined || !text.startsWith(line.text, at)) {
        line = lineOf(text.slice(at, text.indexOf(LINE_END, at) + LINE_END.length), line);
        if (line === undefined || count === MAX_HEADERS) return undefined;
        lines ??= before.slice(0, count);
      }
      lines?.push(line);
      at += line.text.length;
    }
    return lines ?? (count === before.length ? before : before.slice(0, count));
  }

  #headersOf(lines: readonly Line[]): IncomingHttpHeaders | undefined {
    if (lines === this.#lines) return this.#headers;
    const before = this.#lines;
    if (lines.length === before.length && lines.every(({ name }, i) => name === before[i]?.name)) {
      const headers = { ...this.#headers };
      for (const [i, line] of lines.entries()) if (line !== before[i]) headers[line.name] = line.value;
      return headers;
    }
    const headers: IncomingHttpHeaders = {};
    for (const { name, value } of lines) {
      // Twice the same one, or one that is a member of every object.
      if (headers[name] !== undefined) return undefined;
      headers[name] = value;
    }
    return headers;
  }
}

/** Of a first line that is one of a plain POST. */
function urlOf(first: string): string {
  return first.slice(METHOD.length, -(VERSION.length + LINE_END.length));
}

function isPlainPost(first: string): boolean {
  return first.startsWith(METHOD) && first.endsWith(VERSION + LINE_END) && /^\/[\x21-\x7e]*$/.test(urlOf(first));
}

/**
 * @param text with its end
 * @param before one that may well have the same name
 */
function lineOf(text: string, before: Line | undefined): Line | undefined {
  const isSame = before !== undefined && text.startsWith(before.label);
  const label = isSame ? before.label : text.slice(0, text.indexOf(':') + 1);
  const name = isSame ? before.name : nameOf(label);
  const value = trimmed(text, label.length, text.length - LINE_END.length);
  if (name === undefined || /[^\t\x20-\x7e\x80-\xff]/.test(value)) return undefined;
  return { text, label, name, value };
}

function nameOf(label: string): string | undefined {
  const name = label.slice(0, -1).toLowerCase();
  return /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) && !NOT_PLAIN.has(name) ? name : undefined;
}

function trimmed(text: string, from: number, to: number): string {
  const isBlank = (at: number): boolean => text[at] === ' ' || text[at] === '\t';
  while (from < to && isBlank(from)) from++;
  while (to > from && isBlank(to - 1)) to--;
  return text.slice(from, to);
}
