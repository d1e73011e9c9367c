import { AwsError } from '../errors.ts';

/** What would have gone to a phone or by mail. */
export interface InboxMessage {
  protocol: 'sms' | 'email' | 'email-json';
  to: string;
  subject?: string | undefined;
  text: string;
  messageId: string;
  /** Of one that was published to a topic. */
  topicArn?: string;
  /** Of the question whether somebody wants to subscribe: what says yes, and the URL that does. */
  token?: string;
  subscribeUrl?: string;
  at: string;
}

/** Where tests read it. */
const PATH = '/_railhead/inbox';
const MAX_KEPT = 1_000;

/**
 * Instead of a network of phones and a mail server: keeps what SNS would send, for tests to look at. In memory, the newest
 * thousand.
 */
export class Inbox {
  #messages: InboxMessage[] = [];

  add(message: InboxMessage): void {
    this.#messages.push(message);
    if (this.#messages.length > MAX_KEPT) this.#messages = this.#messages.slice(-MAX_KEPT);
  }

  /** `GET /_railhead/inbox?to=…` shows, `DELETE` empties it. The answer as JSON, undefined for every other request. */
  answer(method: string, url: string): string | undefined {
    if (method !== 'GET' && method !== 'DELETE') return undefined;
    const [path, query] = url.split('?', 2);
    if (path !== PATH) return undefined;
    const to = new URLSearchParams(query).get('to');
    const isMeant = (message: InboxMessage): boolean => to === null || message.to === to;
    const messages = this.#messages.filter(isMeant);
    if (method === 'DELETE') this.#messages = this.#messages.filter((message) => !isMeant(message));
    return JSON.stringify({ messages });
  }
}

export function isInboxProtocol(protocol: string): protocol is InboxMessage['protocol'] {
  return protocol === 'sms' || protocol === 'email' || protocol === 'email-json';
}

/** @throws InvalidParameterException */
export function checkAddress(protocol: InboxMessage['protocol'], to: string): void {
  const isGood = protocol === 'sms' ? /^\+[1-9]\d{1,14}$/.test(to) : /^[^\s@]{1,64}@[^\s@]{1,255}$/.test(to);
  if (isGood) return;
  const what = protocol === 'sms' ? 'a phone number such as +14155550123' : 'an e-mail address';
  throw new AwsError('InvalidParameterException', `Invalid parameter: Endpoint Reason: it must be ${what}`);
}
