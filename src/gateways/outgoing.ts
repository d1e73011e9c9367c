import { lookup } from 'node:dns/promises';
import type { IncomingMessage } from 'node:http';
import { BlockList, isIPv6, type LookupFunction } from 'node:net';

const TIMEOUT_MS = 15_000;

/** What is no place of the open internet: this machine, networks of somebody's own, and what nobody has. */
const PRIVATE_V4 = listOf([
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
]);
/** Of version 6 only this is given to the internet; what wraps an address of version 4 lies outside or below. */
const PUBLIC_V6 = listOf([['2000::', 3]]);
const PRIVATE_V6 = listOf([
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
]);

function listOf(subnets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of subnets) list.addSubnet(network, prefix, isIPv6(network) ? 'ipv6' : 'ipv4');
  return list;
}

export function isPublic(address: string): boolean {
  return isIPv6(address)
    ? PUBLIC_V6.check(address, 'ipv6') && !PRIVATE_V6.check(address, 'ipv6')
    : !PRIVATE_V4.check(address, 'ipv4');
}

/** Where to, and with what care. */
export interface Outgoing {
  url: string;
  addresses: 'public' | 'any';
  signal: AbortSignal;
}

/**
 * Posts, and says with which status it was answered. What the answer says nobody reads.
 *
 * @throws when there is no answer, or an address is not public
 */
export async function post(
  request: Outgoing & { headers: Readonly<Record<string, string>>; body: string },
): Promise<number> {
  const { headers, body } = request;
  const response = await ask(request, 'POST', { ...headers, 'Content-Length': Buffer.byteLength(body) }, body);
  response.destroy();
  return response.statusCode ?? 0;
}

/**
 * Posts a form, and reads the answer, whatever its status, of at most `maxBytes`.
 *
 * @throws when there is no answer or a longer one, or an address is not public
 */
export async function postForm(
  request: Outgoing & { headers: Readonly<Record<string, string>>; body: string; maxBytes: number },
): Promise<{ status: number; text: string }> {
  const { body, maxBytes } = request;
  const type = 'application/x-www-form-urlencoded';
  const headers = { ...request.headers, 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) };
  const response = await ask(request, 'POST', headers, body);
  return { status: response.statusCode ?? 0, text: (await read(response, maxBytes)).toString() };
}

/**
 * Gets a document of at most `maxBytes`.
 *
 * @throws when there is no answer, one that is not 200 or that is longer, or an address is not public
 */
export async function get(request: Outgoing & { maxBytes: number }): Promise<Buffer> {
  const response = await ask(request, 'GET', { Accept: 'application/json' });
  if (response.statusCode === 200) return read(response, request.maxBytes);
  response.destroy();
  throw new Error(`the answer has the status ${response.statusCode}`);
}

async function read(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    // Without an encoding a response gives buffers; its type does not say so.
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw new Error(`the answer has more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } finally {
    response.destroy();
  }
}

/**
 * The name is resolved once, every address that it has is checked, and one of those is connected to; redirects are not
 * followed, or somebody outside could have us ask what only we can reach.
 */
async function ask(
  { url, addresses, signal }: Outgoing,
  method: 'GET' | 'POST',
  headers: Readonly<Record<string, string | number>>,
  body?: string,
): Promise<IncomingMessage> {
  const { protocol, hostname } = new URL(url);
  const found = await lookup(hostname.replace(/^\[(.*)\]$/, '$1'), { all: true });
  const [first] = found;
  if (first === undefined) throw new Error('the name of the host has no address');
  if (addresses === 'public' && !found.every(({ address }) => isPublic(address)))
    throw new Error('the host has an address that is not public');
  const checked: LookupFunction = (_hostname, options, callback) => {
    if (options.all === true) callback(null, found);
    else callback(null, first.address, first.family);
  };
  const options = {
    method,
    headers,
    agent: false,
    lookup: checked,
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  } as const;
  // Most brokers never ask anybody.
  const { request } = await (protocol === 'https:' ? import('node:https') : import('node:http'));
  return new Promise((resolve, reject) => {
    const sent = request(url, options, (response) => {
      // Cut off by the signal after the head came: whoever reads is told by the stream.
      response.on('error', () => {});
      resolve(response);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
