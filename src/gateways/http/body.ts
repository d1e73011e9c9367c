import { RailheadError } from '../../core/errors.ts';
import type { BodyBudget } from '../body-budget.ts';

const MAX_DEPTH = 64;
const SMALL_BYTES = 64 * 1024;

/**
 * Reads a body of at most `maxBytes`. What it takes from the budget is written to `held.bytes` as it goes; the caller
 * gives it back when the request is over.
 *
 * @throws TOO_LARGE, RATE_LIMITED, ABORTED when the client goes away in the middle.
 */
export async function readBody(
  request: Request,
  maxBytes: number,
  budget: BodyBudget,
  held: { bytes: number },
): Promise<Buffer> {
  const tooLarge = (): RailheadError =>
    new RailheadError(
      'TOO_LARGE',
      `The body is larger than ${maxBytes} bytes. Send smaller batches, or raise limits.httpBody.`,
    );
  const take = (bytes: number): void => {
    budget.take(bytes);
    held.bytes += bytes;
  };
  const announced = Number(request.headers.get('content-length') ?? Number.NaN);
  if (announced > maxBytes) throw tooLarge();
  try {
    if (announced <= SMALL_BYTES) {
      // Node gives no more than was announced.
      take(announced);
      return Buffer.from(await request.arrayBuffer());
    }
    if (request.body === null) return Buffer.alloc(0);
    // Memory is taken as bytes arrive: to announce 32 MiB and send nothing must not keep others out.
    const chunks: Uint8Array[] = [];
    let length = 0;
    const stream: AsyncIterable<Uint8Array> = request.body;
    for await (const chunk of stream) {
      length += chunk.byteLength;
      if (length > maxBytes) throw tooLarge();
      take(chunk.byteLength);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks, length);
  } catch (cause) {
    if (RailheadError.is(cause)) throw cause;
    throw new RailheadError('ABORTED', 'The connection ended in the middle of the body. Send the request again.', {
      cause,
    });
  }
}

interface ParseContext {
  source: string;
}

declare global {
  interface JSON {
    /** In Node since 21. */
    rawJSON(text: string): unknown;
  }
}

/**
 * Parses JSON from a stranger. A number that a double cannot hold stays the text that it was, so that an id of 19 digits
 * in a message body comes out as it went in.
 *
 * @throws INVALID when it is not UTF-8, not JSON, or nested deeper than 64.
 */
export function parseJson(bytes: Buffer): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new RailheadError('INVALID', 'The body is not UTF-8. Send JSON as UTF-8; put other bytes into `base64`.', {
      cause,
    });
  }
  checkDepth(bytes);
  try {
    return /[\d.]{16}|\de/i.test(text) ? (JSON.parse(text, exactNumber) as unknown) : (JSON.parse(text) as unknown);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : '';
    throw new RailheadError('INVALID', `The body is not valid JSON: ${why}.`, { cause });
  }
}

function exactNumber(_key: string, value: unknown, context?: ParseContext): unknown {
  if (typeof value !== 'number' || context === undefined || String(value) === context.source) return value;
  return !Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))
    ? JSON.rawJSON(context.source)
    : value;
}

function checkDepth(bytes: Buffer): void {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < bytes.byteLength; at++) {
    const byte = bytes[at];
    if (inString) {
      if (byte === 0x5c /* \ */) at++;
      else if (byte === 0x22 /* " */) inString = false;
    } else if (byte === 0x22) inString = true;
    else if (byte === 0x7b /* { */ || byte === 0x5b /* [ */) {
      if (++depth > MAX_DEPTH)
        throw new RailheadError(
          'INVALID',
          `The body is nested deeper than ${MAX_DEPTH}. Make it flatter, or put it into \`base64\`.`,
        );
    } else if (byte === 0x7d /* } */ || byte === 0x5d /* ] */) depth--;
  }
}
