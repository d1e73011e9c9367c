import type { Message } from './message.ts';

/** Dead letters that died alike: of one place, for one reason, with one error but for its numbers and names. */
export interface Group {
  key: string;
  reason: string;
  /** That of the first one; empty when there was none. */
  error: string;
  /** Where they died: a queue, or a subscription of a topic. */
  from: string;
  messages: Message[];
  /** ms. */
  first: number;
  last: number;
}

export function groupsOf(messages: readonly Message[]): Group[] {
  const groups = new Map<string, Group>();
  for (const message of messages) {
    const { history } = message;
    const reason = history?.reason ?? 'unknown';
    const shown = firstLine(history?.error ?? '');
    const from = history === undefined ? '' : placeOf(history);
    const at = Date.parse(history?.deadAt ?? message.publishedAt);
    const key = JSON.stringify([from, reason, likeness(shown)]);
    const group = groups.get(key);
    if (group === undefined)
      groups.set(key, { key, reason, error: shown, from, messages: [message], first: at, last: at });
    else {
      group.messages.push(message);
      group.first = Math.min(group.first, at);
      group.last = Math.max(group.last, at);
    }
  }
  return [...groups.values()].sort((a, b) => b.messages.length - a.messages.length);
}

function placeOf({ topic, subscription }: { topic: string; subscription: string }): string {
  return topic === subscription ? topic : `${subscription} of ${topic}`;
}

/** `connect 10.0.0.7:5432 refused` and `connect 10.0.0.8:5432 refused` are one error. */
export function likeness(error: string): string {
  return firstLine(error)
    .replaceAll(/<[^<>\s]*@[^<>\s]*>|[\w.+-]+@[\w-]+\.[\w.-]+/g, '…')
    .replaceAll(/\b[0-9a-f]{8}-[0-9a-f-]{27}\b/gi, '…')
    .replaceAll(/"[^"]{0,100}"|'[^']{0,100}'/g, '…')
    .replaceAll(/\b(?=[a-z]*\d)[0-9a-f]{6,}\b/gi, '…')
    .replaceAll(/\d+/g, '#')
    .trim();
}

export const REASONS: Record<string, string> = {
  attempts: 'its attempts were used up',
  crashes: 'its consumers crashed',
  rejected: 'a consumer rejected it',
  expired: 'its time was over',
  overflow: 'the queue was full',
};

export const REASON_TITLES: Record<string, string> = {
  attempts: 'Attempts used up',
  crashes: 'Consumers crashed',
  rejected: 'Rejected',
  expired: 'Expired',
  overflow: 'Queue was full',
  unknown: 'Put there by hand',
};

function firstLine(error: string): string {
  const [line = ''] = error.split('\n', 1);
  return line.slice(0, 300);
}

/** Whether a search for words finds it: in its id, key, error, headers, or body as the broker has read it. */
export function found(message: Message, wanted: string): boolean {
  if (wanted === '') return true;
  const { id, key = '', headers, history, body, decoded } = message;
  const text = `${id}\n${key}\n${history?.error ?? ''}\n${JSON.stringify(headers ?? '')}\n${JSON.stringify(body ?? null)}\n${decoded?.text ?? ''}`;
  return text.toLowerCase().includes(wanted.toLowerCase());
}
