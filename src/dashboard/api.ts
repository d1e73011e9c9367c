import { signal } from '@preact/signals';

/** The HTTP API of the broker, relative to this page, so that any base path will do. */

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export const namespace = signal(stored('namespace') ?? 'default');
/** True: the broker wants to know who this is. */
export const loginWanted = signal(false);

/** Somebody who is logged in, or everybody where nobody has to be. */
export interface Who {
  name: string;
  loginRequired: boolean;
  /** To be shown with whatever changes something; null without a cookie. */
  csrf: string | null;
  /** What is allowed with everything in the namespace. Rules may allow more with some of it. */
  may: Record<'inspect' | 'publish' | 'consume' | 'configure' | 'manage' | 'admin', boolean>;
  /** In every namespace, and with the broker as a whole. */
  adminOfAll: boolean;
}

export const who = signal<Who | undefined>(undefined);

/** Asks who this is. Without an answer a login is wanted. */
export async function recognise(): Promise<void> {
  who.value = await call<Who>('GET', apiPath('whoami'));
  loginWanted.value = false;
}

/** @throws ApiError when it is refused */
export async function logIn(credentials: { user: string; password: string } | { token: string }): Promise<void> {
  who.value = await call<Who>('POST', apiPath('login'), credentials);
  loginWanted.value = false;
}

export async function logOut(): Promise<void> {
  await call('POST', apiPath('logout'));
  who.value = undefined;
  loginWanted.value = true;
}

export function headers(): Record<string, string> {
  return { 'railhead-namespace': namespace.value };
}

export function apiPath(...parts: string[]): string {
  return `api/v1/${parts.map(encodeURIComponent).join('/')}`;
}

/** @throws ApiError with a sentence for people. */
export async function call<Answer>(method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await send(path, {
    method,
    headers: {
      ...headers(),
      ...(typeof who.value?.csrf === 'string' && { 'railhead-csrf': who.value.csrf }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw refused(response.status, text);
  // Of the routes, whose schemas the server's tests hold.
  return parseExact(text) as Answer;
}

/** @throws ApiError when the broker cannot be reached. */
export async function send(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, { ...init, credentials: 'same-origin', cache: 'no-store' });
  } catch (error) {
    if (init.signal?.aborted === true) throw error;
    throw new ApiError(0, 'CONNECTION_LOST', 'The broker cannot be reached. This page tries again by itself.');
  }
}

export function refused(status: number, text: string): ApiError {
  if (status === 401) loginWanted.value = true;
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    return new ApiError(status, error.code, error.message);
  } catch {
    return new ApiError(status, 'INTERNAL', `Something between this page and the broker answered with ${status}.`);
  }
}

interface ParseContext {
  source?: string;
}

/** Where the browser can, a number that a double cannot hold stays the digits that it was. */
export function parseExact(text: string): unknown {
  const raw = 'rawJSON' in JSON ? (JSON.rawJSON as (text: string) => unknown) : undefined;
  if (raw === undefined || !/\d{16}/.test(text)) return JSON.parse(text) as unknown;
  const parse = JSON.parse as (
    text: string,
    reviver: (key: string, value: unknown, context?: ParseContext) => unknown,
  ) => unknown;
  return parse(text, (_key, value, context) =>
    typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
      ? raw(context.source)
      : value,
  );
}

export function stored(name: string): string | undefined {
  try {
    return localStorage.getItem(`railhead.${name}`) ?? undefined;
  } catch {
    return undefined;
  }
}

export function store(name: string, value: string): void {
  try {
    localStorage.setItem(`railhead.${name}`, value);
  } catch {
    // A browser that keeps nothing: then it is forgotten with the page.
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
