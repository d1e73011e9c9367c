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

/**
 * Reads a POST as clients of Amazon send it, whose head is in `bytes` as a whole. Undefined for everything else, be it
 * unusual or wrong: Node's parser then says what it is. What is read here, Node would have read as the same.
 */
export function readHead(bytes: Buffer): Head | undefined {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0 || end > MAX_HEAD_BYTES) return undefined;
  const text = bytes.toString('latin1', 0, end);
  const lines = text.split('\r\n');
  const [first = ''] = lines;
  const url = first.slice(METHOD.length, -VERSION.length);
  if (!first.startsWith(METHOD) || !first.endsWith(VERSION) || !/^\/[\x21-\x7e]*$/.test(url)) return undefined;
  if (lines.length > MAX_HEADERS) return undefined;
  const headers: IncomingHttpHeaders = {};
  for (let i = 1; i < lines.length; i++) {
    const line = lines[i] ?? '';
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).replaceAll(/^[ \t]+|[ \t]+$/g, '');
    // Twice the same one, or one that is a member of every object.
    if (headers[name] !== undefined || NOT_PLAIN.has(name)) return undefined;
    if (colon < 1 || !/^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name) || /[^\t\x20-\x7e\x80-\xff]/.test(value))
      return undefined;
    headers[name] = value;
  }
  const length = headers['content-length'];
  if (headers.host === undefined || length === undefined || !/^\d{1,9}$/.test(length)) return undefined;
  if (headers.connection !== undefined && headers.connection.toLowerCase() !== 'keep-alive') return undefined;
  return { url, headers, bodyBytes: Number(length), start: end + HEAD_END.byteLength };
}
