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
const METHOD = 'POST ';
const VERSION = ' HTTP/1.1';
const MAX_HEAD_BYTES = 16 * 1024;
const MAX_HEADERS = 100;
/** Of these Node's parser knows what follows from them. */
const NOT_PLAIN: ReadonlySet<string> = new Set(['transfer-encoding', 'expect', 'upgrade', 'trailer', 'te']);

/** One line as it was found to be right. */
interface Line {
  text: string;
  name: string;
  value: string;
}

/**
 * Reads a POST as clients of Amazon send it, whose head is in the bytes as a whole. Undefined for everything else, be it
 * unusual or wrong: Node's parser then says what it is. What is read here, Node would have read as the same.
 *
 * One for each connection: from one request to the next most lines stay the same, and are not looked at again.
 */
export class HeadReader {
  #lines: readonly Line[] = [];

  read(bytes: Buffer): Head | undefined {
    const end = bytes.indexOf(HEAD_END);
    if (end < 0 || end > MAX_HEAD_BYTES) return undefined;
    const texts = bytes.toString('latin1', 0, end).split('\r\n');
    const [first = ''] = texts;
    const url = first.slice(METHOD.length, -VERSION.length);
    if (!first.startsWith(METHOD) || !first.endsWith(VERSION) || !/^\/[\x21-\x7e]*$/.test(url)) return undefined;
    if (texts.length > MAX_HEADERS) return undefined;
    const headers: IncomingHttpHeaders = {};
    const lines: Line[] = [];
    for (let i = 1; i < texts.length; i++) {
      const text = texts[i] ?? '';
      const before = this.#lines[i - 1];
      const line = before?.text === text ? before : lineOf(text);
      // Twice the same one, or one that is a member of every object.
      if (line === undefined || headers[line.name] !== undefined) return undefined;
      headers[line.name] = line.value;
      lines.push(line);
    }
    this.#lines = lines;
    const length = headers['content-length'];
    if (headers.host === undefined || length === undefined || !/^\d{1,9}$/.test(length)) return undefined;
    if (headers.connection !== undefined && headers.connection.toLowerCase() !== 'keep-alive') return undefined;
    return { url, headers, bodyBytes: Number(length), start: end + HEAD_END.byteLength };
  }
}

function lineOf(text: string): Line | undefined {
  const colon = text.indexOf(':');
  const name = text.slice(0, colon).toLowerCase();
  const value = text.slice(colon + 1).replaceAll(/^[ \t]+|[ \t]+$/g, '');
  if (colon < 1 || !/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || /[^\t\x20-\x7e\x80-\xff]/.test(value)) return undefined;
  return NOT_PLAIN.has(name) ? undefined : { text, name, value };
}
