import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join, sep } from 'node:path';

/**
 * The pages for people, as the build left them: files with a hash in their name, compressed ahead, and one `index.html`
 * that names them. They hold no secret and are given to everybody; what they show comes from the API, which asks who it is.
 */

const TYPES = new Map([
  ['.html', 'text/html; charset=utf-8'],
  ['.js', 'text/javascript; charset=utf-8'],
  ['.css', 'text/css; charset=utf-8'],
  ['.svg', 'image/svg+xml'],
]);

/** Of what a browser says it takes, the best first, and how such a file ends. */
const ENCODINGS = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const;

/**
 * Nothing of another host, nothing within the page, no text that becomes script: what a hostile name of a queue or a body
 * may contain stays text, also where a line of ours is wrong.
 */
const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');

const HEADERS = {
  'content-security-policy': CSP,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
};

interface File {
  type: string;
  cache: string;
  etag: string;
  plain: Buffer;
  encoded: Map<string, Buffer>;
}

export class Dashboard {
  readonly #directory: string;
  #files = new Map<string, File>();

  /** @param directory of the build; read with the first request, and it may not be there */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Undefined: no page of ours. */
  serve(request: Request): Response | undefined {
    const path = new URL(request.url).pathname.slice(1);
    // Until there are some: they may be built while the broker runs.
    if (this.#files.size === 0) this.#files = readFiles(this.#directory);
    const file = this.#files.get(path === '' ? 'index.html' : path);
    if (file !== undefined) return answer(file, request.headers);
    return path === '' ? notBuilt() : undefined;
  }
}

function answer(file: File, asked: Headers): Response {
  const headers = { ...HEADERS, 'cache-control': file.cache, etag: file.etag, vary: 'accept-encoding' };
  if (
    asked
      .get('if-none-match')
      ?.split(/\s*,\s*/)
      .includes(file.etag) === true
  )
    return new Response(null, { status: 304, headers });
  const accepted = new Set(
    (asked.get('accept-encoding') ?? '')
      .split(',')
      .flatMap((one) => (/;\s*q=0(\.0*)?\s*$/.test(one) ? [] : (one.split(';')[0]?.trim() ?? []))),
  );
  const encoding = ENCODINGS.find(([name]) => accepted.has(name) && file.encoded.has(name))?.[0];
  const body = (encoding === undefined ? undefined : file.encoded.get(encoding)) ?? file.plain;
  return new Response(new Uint8Array(body), {
    headers: { ...headers, 'content-type': file.type, ...(encoding !== undefined && { 'content-encoding': encoding }) },
  });
}

/** What is asked for is looked up among these names: no request reaches the file system. */
function readFiles(directory: string): Map<string, File> {
  const files = new Map<string, File>();
  const names = listed(directory);
  for (const name of names) {
    const type = TYPES.get(extname(name));
    if (type === undefined) continue;
    const plain = readFileSync(join(directory, name));
    files.set(name.replaceAll(sep, '/'), {
      type,
      // Only the page itself keeps its name when it changes.
      cache: extname(name) === '.html' ? 'no-cache' : 'public, max-age=31536000, immutable',
      etag: `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`,
      plain,
      encoded: new Map(
        ENCODINGS.flatMap(([encoding, ending]) =>
          names.includes(name + ending) ? [[encoding, readFileSync(join(directory, name + ending))] as const] : [],
        ),
      ),
    });
  }
  return files;
}

function listed(directory: string): string[] {
  try {
    return readdirSync(directory, { recursive: true, encoding: 'utf8' });
  } catch {
    return [];
  }
}

function notBuilt(): Response {
  return new Response(
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Railhead</title><h1>Railhead runs, and its dashboard is not built</h1><p>In a checkout of the source, <code>npm start</code> builds it; <code>npm run dashboard</code> does so by itself. The HTTP API is at <a href="openapi.json">/openapi.json</a>.</p></html>\n',
    { status: 503, headers: { ...HEADERS, 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' } },
  );
}
