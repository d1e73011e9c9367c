import { LOCAL_PRINCIPAL } from '../../../core/auth.ts';
import { RailheadError } from '../../../core/errors.ts';
import type { Attributes } from '../../../core/declaration.ts';
import type { TopicDefinition } from '../../../core/definitions.ts';
import type { Session } from '../../../core/session.ts';
import type { SessionCache } from '../../session-cache.ts';
import { AwsError, invalidValue } from '../errors.ts';
import { arnText, isAccount, namespaceOf } from '../names.ts';
import type { Caller } from '../service.ts';
import { isSetting, type SettingName, Settings } from './settings.ts';

/** A queue as SQS sees it, whoever declared it. */
export interface Queue {
  readonly account: string;
  readonly namespace: string;
  readonly name: string;
  readonly topicId: number;
  readonly kind: 'standard' | 'fifo';
  readonly settings: Settings;
  /** What was set over SQS, by name. */
  readonly given: ReadonlyMap<string, string>;
  readonly tags: ReadonlyMap<string, string>;
  readonly createdAt: number;
  readonly modifiedAt: number;
  /** All that the engine keeps for it, also of other protocols. */
  readonly attributes: Attributes;
}

/** Before the names of what SQS keeps with a queue. */
const PREFIX = 'sqs:';
const TAGS = `${PREFIX}tags`;
const MODIFIED = `${PREFIX}modified`;
/** Definitions that are remembered; the one that was not used for longest is asked for again. */
const MAX_REMEMBERED = 2_000;
const MAX_URL = 500;

/**
 * The queues by URL, name and ARN. Definitions are remembered, so that a message costs no question; what comes back from
 * the engine tells when one is not the queue that it was.
 */
export class Queues {
  readonly #sessions: SessionCache;
  /** In the order of last use. */
  readonly #known = new Map<string, Queue>();
  /** By their URLs, which are long and are sent with every message. */
  readonly #keys = new Map<string, string>();

  constructor(sessions: SessionCache) {
    this.#sessions = sessions;
  }

  use<T>(caller: Pick<Caller, 'principal'>, account: string, work: (session: Session) => Promise<T>): Promise<T> {
    return this.#sessions.use(caller.principal, namespaceOf(account), work);
  }

  /** @throws QueueDoesNotExist, InvalidAddress */
  async byUrl(caller: Caller, url: string): Promise<Queue> {
    const remembered = this.#remembered(url);
    if (remembered !== undefined) return remembered;
    const { account, name, complete } = placeOf(url, caller);
    if (complete && url.length <= MAX_URL) {
      if (this.#keys.size >= MAX_REMEMBERED) this.#keys.clear();
      this.#keys.set(url, keyOf(account, name));
    }
    return this.find(account, name);
  }

  #remembered(url: string): Queue | undefined {
    const key = this.#keys.get(url);
    return key === undefined ? undefined : this.#known.get(key);
  }

  /** Of the broker itself: what is not the caller's to know. */
  asBroker<T>(account: string, work: (session: Session) => Promise<T>): Promise<T> {
    return this.#sessions.use(LOCAL_PRINCIPAL, namespaceOf(account), work);
  }

  /** For whoever asks: who may send to a queue need not have the right to look at it. @throws QueueDoesNotExist */
  async find(account: string, name: string): Promise<Queue> {
    return this.#known.get(keyOf(account, name)) ?? this.refresh({ principal: LOCAL_PRINCIPAL }, account, name);
  }

  /** As the engine has it now. @throws QueueDoesNotExist */
  async refresh(caller: Pick<Caller, 'principal'>, account: string, name: string): Promise<Queue> {
    try {
      const definition = await this.use(caller, account, (session) => session.request('describeTopic', { name }));
      if (definition.kind !== 'queue') throw doesNotExist();
      return this.remember(account, definition);
    } catch (error) {
      this.forget(account, name);
      throw RailheadError.is(error, 'NOT_FOUND') ? doesNotExist() : error;
    }
  }

  remember(account: string, definition: TopicDefinition): Queue {
    const queue = queueOf(account, definition);
    const key = keyOf(account, queue.name);
    this.#known.delete(key);
    this.#known.set(key, queue);
    if (this.#known.size > MAX_REMEMBERED) this.#known.delete(this.#known.keys().next().value ?? '');
    return queue;
  }

  forgetAll(): void {
    this.#known.clear();
  }

  forget(account: string, name: string): void {
    this.#known.delete(keyOf(account, name));
  }

  /**
   * Does it with what is remembered of the queue, and once more if that turns out to be of a queue that is gone.
   *
   * @throws QueueDoesNotExist
   */
  async with<T>(caller: Caller, url: string, work: (queue: Queue, session: Session) => Promise<T>): Promise<T> {
    const queue = this.#remembered(url) ?? (await this.byUrl(caller, url));
    try {
      return await this.use(caller, queue.account, (session) => work(queue, session));
    } catch (error) {
      if (!RailheadError.is(error, 'NOT_FOUND')) throw error;
      this.forget(queue.account, queue.name);
      throw doesNotExist();
    }
  }
}

function keyOf(account: string, name: string): string {
  return `${account} ${name}`;
}

interface Place {
  account: string;
  name: string;
  /** Whoever asks, it is this one. */
  complete: boolean;
}

/**
 * The account and the name are the last two parts of its path; a name alone is one of the caller's account. So is one
 * behind `queue`, as older versions of ElasticMQ and LocalStack have it.
 */
export function placeOf(url: string, caller: Pick<Caller, 'account'>): Place {
  const path = url.replace(/^[a-z]+:\/\/[^/]*/i, '').replace(/[?#].*$/s, '');
  const parts = path.split('/').filter((part) => part !== '');
  const last = parts.at(-1);
  const before = parts.at(-2) ?? 'queue';
  const account = before === 'queue' ? caller.account : before;
  if (last === undefined || !isAccount(account)) throw invalidAddress(url);
  try {
    return { account, name: decodeURIComponent(last), complete: before !== 'queue' };
  } catch {
    throw invalidAddress(url);
  }
}

function invalidAddress(url: string): AwsError {
  return new AwsError('InvalidAddress', `The address ${url.slice(0, 200)} is not valid for this endpoint.`);
}

export function urlOf(caller: Pick<Caller, 'origin'>, { account, name }: Pick<Queue, 'account' | 'name'>): string {
  return `${caller.origin}/${account}/${encodeURIComponent(name)}`;
}

export function arnOf(caller: Pick<Caller, 'region'>, { account, name }: Pick<Queue, 'account' | 'name'>): string {
  return arnText({ service: 'sqs', region: caller.region, account, name });
}

export function doesNotExist(): AwsError {
  return new AwsError('QueueDoesNotExist', 'The specified queue does not exist.');
}

/** @throws InvalidParameterValue for a name that no queue can have */
export function checkQueueName(name: string, kind: 'standard' | 'fifo'): void {
  const base = kind === 'fifo' && name.endsWith('.fifo') ? name.slice(0, -'.fifo'.length) : name;
  const good = name.length <= 80 && /^[\w-]+$/.test(base) && (kind === 'fifo') === name.endsWith('.fifo');
  if (good) return;
  throw invalidValue(
    name,
    'QueueName',
    kind === 'fifo'
      ? 'The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.'
      : 'Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.',
  );
}

function queueOf(account: string, definition: TopicDefinition): Queue {
  const { name, topicId, createdAt, subscription, attributes = {} } = definition;
  const given = new Map<string, string>();
  for (const [key, value] of Object.entries(attributes)) {
    const setting = key.slice(PREFIX.length);
    if (key.startsWith(PREFIX) && isSetting(setting)) given.set(setting, value);
  }
  if (given.size === 0) fillIn(given, definition);
  return {
    account,
    namespace: namespaceOf(account),
    name,
    topicId,
    kind: subscription?.order === 'key' ? 'fifo' : 'standard',
    settings: new Settings(given),
    given,
    tags: tagsOf(attributes[TAGS]),
    createdAt,
    modifiedAt: Number(attributes[MODIFIED] ?? createdAt),
    attributes,
  };
}

/** Of a queue that was declared by somebody else: what its policy means in the words of SQS. */
function fillIn(given: Map<string, string>, { policy, subscription }: TopicDefinition): void {
  const set = (name: SettingName, value: number): void => void given.set(name, String(value));
  if (subscription !== undefined) set('VisibilityTimeout', Math.ceil(subscription.leaseMs / 1000));
  if (policy.ttlMs !== null) set('MessageRetentionPeriod', Math.ceil(policy.ttlMs / 1000));
}

function tagsOf(text: string | undefined): ReadonlyMap<string, string> {
  // We wrote it.
  return new Map(Object.entries(JSON.parse(text ?? '{}') as Record<string, string>));
}

/** What the engine is to keep for a queue, beside what it keeps for others. */
export function attributesWith(
  before: Attributes,
  given: ReadonlyMap<string, string>,
  tags: ReadonlyMap<string, string>,
  now: number,
): Attributes {
  const foreign = Object.entries(before).filter(([key]) => !key.startsWith(PREFIX));
  const own = [...given].map(([name, value]): [string, string] => [`${PREFIX}${name}`, value]);
  return Object.fromEntries([
    ...foreign,
    ...own,
    [TAGS, JSON.stringify(Object.fromEntries(tags))],
    [MODIFIED, String(now)],
  ]);
}
