import { effect, signal } from '@preact/signals';
import { apiPath, ApiError, headers, loginWanted, messageOf, namespace, refused, send } from './api.ts';
import { EventParser, type ServerEvent } from './model/events.ts';
import { fullRow, type Health, type Info, type Row, type Sample, type SparseRow } from './model/rows.ts';
import { thin } from './model/thin.ts';
import { Trends } from './model/trends.ts';

/** What the broker tells about itself once a second. */

export type Connection = { state: 'connecting' } | { state: 'open' } | { state: 'lost'; why: string };

export const connection = signal<Connection>({ state: 'connecting' });
/** Counts the looks: whoever shows something of them reads this. */
export const look = signal(0);
export const rows = new Map<string, Row>();
export const trends = new Trends();
export const history: Sample[] = [];
export const now: { sample?: Sample; info?: Info; health?: Health } = {};

const RETRY_MS = [500, 1_000, 2_000, 5_000];

interface Look {
  health: Health;
  info: Info;
  sample: Sample;
  gone: string[];
}

let running: AbortController | undefined;

/** Connects, and again whenever the stream ends, the namespace changes, or somebody has logged in. */
export function start(): void {
  effect(() => {
    const name = namespace.value;
    const wanted = loginWanted.value;
    running?.abort();
    forget();
    if (!wanted) void follow(name, (running = new AbortController()).signal);
  });
  // A laptop that was asleep: the old stream may be dead without a word.
  window.addEventListener('online', () => (loginWanted.value ? undefined : restart()));
}

export function restart(): void {
  running?.abort();
  void follow(namespace.value, (running = new AbortController()).signal);
}

function forget(): void {
  rows.clear();
  trends.clear();
  history.length = 0;
  delete now.sample;
  delete now.info;
  delete now.health;
}

async function follow(name: string, signal: AbortSignal): Promise<void> {
  const isOver = (): boolean => signal.aborted || namespace.value !== name;
  for (let tries = 0; !isOver(); tries++) {
    try {
      await read(signal, () => (tries = 0));
      if (!isOver()) connection.value = { state: 'lost', why: 'The broker ended the stream.' };
    } catch (error) {
      if (isOver()) return;
      connection.value = { state: 'lost', why: messageOf(error) };
      if (error instanceof ApiError && error.status === 401) return;
    }
    await pause(RETRY_MS[Math.min(tries, RETRY_MS.length - 1)] ?? 5_000, signal);
  }
}

async function read(signal: AbortSignal, onOpen: () => void): Promise<void> {
  const response = await send(apiPath('events'), { headers: headers(), signal });
  if (!response.ok || response.body === null) throw refused(response.status, await response.text());
  const parser = new EventParser();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done || signal.aborted) return;
    for (const event of parser.push(value)) take(event, onOpen);
  }
}

/** The shapes are those of GET /api/v1/events. */
function take({ name, data }: ServerEvent, onOpen: () => void): void {
  if (name === 'begin') {
    forget();
    history.push(...(JSON.parse(data) as { history: Sample[] }).history);
  } else if (name === 'rows') {
    for (const sent of (JSON.parse(data) as { rows: (SparseRow | string)[] }).rows) {
      const row = fullRow(sent);
      rows.set(row.name, row);
    }
  } else if (name === 'look') {
    const { gone, ...facts } = JSON.parse(data) as Look;
    for (const topic of gone) rows.delete(topic);
    Object.assign(now, facts);
    if (history.at(-1)?.at !== facts.sample.at) history.push(facts.sample);
    thin(history);
    trends.add(facts.sample.at, rows);
    onOpen();
    connection.value = { state: 'open' };
    look.value++;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
