import type { Clock } from '../../../core/clock.ts';
import { RailheadError } from '../../../core/errors.ts';
import type { TopicDefinition } from '../../../core/definitions.ts';
import type { Operations } from '../../../core/session.ts';
import { AwsError, invalidValue } from '../errors.ts';
import { isAccount } from '../names.ts';
import type { Caller } from '../service.ts';
import { Turns } from '../turns.ts';
import type { SqsInputs } from './inputs.ts';
import type { SqsLimits } from './limits.ts';
import type { MoveTasks } from './move-tasks.ts';
import { arnOf, attributesWith, checkQueueName, doesNotExist, type Queue, type Queues, urlOf } from './queues.ts';
import { checkSettings, isSetting, redriveOf, SETTINGS, Settings } from './settings.ts';

const MAX_RESULTS = 1000;
const MAX_TAGS = 50;

/** Counted or told by the engine when somebody asks. */
const COUNTS = [
  'ApproximateNumberOfMessages',
  'ApproximateNumberOfMessagesNotVisible',
  'ApproximateNumberOfMessagesDelayed',
  'CreatedTimestamp',
  'LastModifiedTimestamp',
  'QueueArn',
] as const;

/** Makes, finds, changes and deletes queues. */
export class Managing {
  readonly #queues: Queues;
  readonly #clock: Clock;
  readonly #limits: SqsLimits;
  readonly #tasks: MoveTasks;
  /** When queues were purged last, by the id of their topic. */
  readonly #purged = new Map<number, number>();
  readonly #turns = new Turns();

  constructor(parts: { queues: Queues; clock: Clock; limits: SqsLimits; tasks: MoveTasks }) {
    this.#queues = parts.queues;
    this.#clock = parts.clock;
    this.#limits = parts.limits;
    this.#tasks = parts.tasks;
  }

  // ---- Queues -----------------------------------------------------------------------------------------------------

  async createQueue({ QueueName, Attributes, tags }: SqsInputs['CreateQueue'], caller: Caller): Promise<object> {
    const given = Attributes ?? new Map<string, string>();
    const kind = given.has('FifoQueue') ? 'fifo' : 'standard';
    checkQueueName(QueueName, kind);
    checkSettings(given, kind, this.#limits);
    checkTags(tags ?? new Map());
    const { account } = caller;
    const settings = new Settings(given);
    await this.#checkRedrive(caller, { account, name: QueueName, kind, settings }, given.get('RedrivePolicy'));
    const declared = await this.#declare(caller, account, {
      name: QueueName,
      kind: 'queue',
      policy: settings.topicPolicy(),
      subscription: {
        ...settings.subscriptionPolicy(),
        order: kind === 'fifo' ? 'key' : 'fair',
        maxInFlight: this.#limits.inFlight,
      },
      attributes: attributesWith({}, given, tags ?? new Map(), this.#clock.now()),
      ifDifferent: 'keep',
    });
    const queue = this.#queues.remember(account, declared.definition);
    if (!declared.created) assertSame(queue, given);
    return { QueueUrl: urlOf(caller, queue) };
  }

  async deleteQueue({ QueueUrl }: SqsInputs['DeleteQueue'], caller: Caller): Promise<object> {
    const queue = await this.#queues.byUrl(caller, QueueUrl);
    return this.#turns.take(thingOf(queue), async () => {
      const { account, name, topicId } = queue;
      const { deleted } = await this.#queues.use(caller, account, (session) =>
        session.request('deleteTopic', { name }),
      );
      this.#queues.forget(account, name);
      this.#purged.delete(topicId);
      if (!deleted) throw doesNotExist();
      await this.#tasks.forget({ account, name });
      return {};
    });
  }

  async getQueueUrl(input: SqsInputs['GetQueueUrl'], caller: Caller): Promise<object> {
    const account = input.QueueOwnerAWSAccountId ?? caller.account;
    if (!isAccount(account)) throw doesNotExist();
    return { QueueUrl: urlOf(caller, await this.#queues.refresh(caller, account, input.QueueName)) };
  }

  async listQueues(input: SqsInputs['ListQueues'], caller: Caller): Promise<object> {
    const { QueueNamePrefix: prefix = '', NextToken, MaxResults } = input;
    const page = await this.#page(caller, prefix, NextToken, MaxResults, () => true);
    const QueueUrls = page.queues.map((queue) => urlOf(caller, queue));
    // As Amazon does: without a page size the first thousand, and no word of others.
    return {
      ...(QueueUrls.length > 0 && { QueueUrls }),
      ...(MaxResults !== undefined && page.next !== null && { NextToken: tokenOf(page.next) }),
    };
  }

  async listDeadLetterSourceQueues(
    { QueueUrl, NextToken, MaxResults }: SqsInputs['ListDeadLetterSourceQueues'],
    caller: Caller,
  ): Promise<object> {
    const dead = await this.#queues.byUrl(caller, QueueUrl);
    const page = await this.#page(caller, '', NextToken, MaxResults, sourceOf(dead));
    return {
      queueUrls: page.queues.map((queue) => urlOf(caller, queue)),
      ...(MaxResults !== undefined && page.next !== null && { NextToken: tokenOf(page.next) }),
    };
  }

  /** The queues whose dead letters go there; of very many the first. */
  async sourcesOf(caller: Caller, dead: Queue): Promise<Queue[]> {
    return (await this.#page(caller, '', undefined, MAX_RESULTS, sourceOf(dead))).queues;
  }

  async #page(
    caller: Caller,
    prefix: string,
    token: string | undefined,
    maxResults: number | undefined,
    matches: (queue: Queue) => boolean,
  ): Promise<{ queues: Queue[]; next: string | null }> {
    const limit = maxResults ?? MAX_RESULTS;
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_RESULTS)
      throw invalidValue(limit, 'MaxResults', `Must be between 1 and ${MAX_RESULTS}, if provided.`);
    const queues: Queue[] = [];
    let after: string | null | undefined = token === undefined ? undefined : afterOf(token);
    while (after !== null && queues.length < limit) {
      const args = { prefix, limit: limit - queues.length, ...(after !== undefined && { after }) };
      const page: Operations['listTopics']['result'] = await this.#queues.use(caller, caller.account, (session) =>
        session.request('listTopics', args),
      );
      for (const definition of page.topics) {
        const queue = definition.kind === 'queue' ? this.#queues.remember(caller.account, definition) : undefined;
        if (queue !== undefined && matches(queue)) queues.push(queue);
      }
      after = page.next;
    }
    return { queues, next: after ?? null };
  }

  purgeQueue({ QueueUrl }: SqsInputs['PurgeQueue'], caller: Caller): Promise<object> {
    return this.#queues.with(caller, QueueUrl, async ({ name, topicId }, session) => {
      const now = this.#clock.now();
      const { purgeMs } = this.#limits;
      if (now - (this.#purged.get(topicId) ?? -Infinity) < purgeMs)
        throw new AwsError(
          'PurgeQueueInProgress',
          `Only one PurgeQueue operation on ${name} is allowed every ${purgeMs / 1000} seconds.`,
        );
      for (const [id, at] of this.#purged) if (now - at >= purgeMs) this.#purged.delete(id);
      // Also what is in flight: a purge would leave that.
      await session.request('seek', { topic: name, subscription: name, to: 'end' });
      // Not before: one that is refused keeps nobody from purging.
      this.#purged.set(topicId, now);
      return {};
    });
  }

  // ---- Attributes -------------------------------------------------------------------------------------------------

  async getQueueAttributes(
    { QueueUrl, AttributeNames = [] }: SqsInputs['GetQueueAttributes'],
    caller: Caller,
  ): Promise<object> {
    for (const name of AttributeNames)
      if (name !== 'All' && !isSetting(name) && !(COUNTS as readonly string[]).includes(name))
        throw new AwsError('InvalidAttributeName', `Unknown Attribute ${name.slice(0, 100)}.`);
    const named = await this.#queues.byUrl(caller, QueueUrl);
    const queue = await this.#queues.refresh(caller, named.account, named.name);
    if (AttributeNames.length === 0) return {};
    const { account, name, kind, settings } = queue;
    const ref = { topic: name, subscription: name };
    const stats = await this.#queues.use(caller, account, (session) => session.request('subscriptionStats', ref));
    const all = new Map<string, string>([
      ['QueueArn', arnOf(caller, queue)],
      ['ApproximateNumberOfMessages', String(stats.ready)],
      ['ApproximateNumberOfMessagesNotVisible', String(stats.leased)],
      ['ApproximateNumberOfMessagesDelayed', String(stats.delayed)],
      ['CreatedTimestamp', String(Math.floor(queue.createdAt / 1000))],
      ['LastModifiedTimestamp', String(Math.floor(queue.modifiedAt / 1000))],
    ]);
    for (const setting of Object.keys(SETTINGS)) {
      if (!isSetting(setting) || (SETTINGS[setting].fifo === true && kind === 'standard')) continue;
      const value = settings.of(setting) ?? (setting === 'FifoQueue' ? 'true' : undefined);
      if (value !== undefined) all.set(setting, value);
    }
    const wanted = AttributeNames.includes('All') ? [...all.keys()] : AttributeNames;
    return {
      Attributes: Object.fromEntries(
        wanted.flatMap((each) => {
          const value = all.get(each);
          return value === undefined ? [] : [[each, value]];
        }),
      ),
    };
  }

  setQueueAttributes({ QueueUrl, Attributes }: SqsInputs['SetQueueAttributes'], caller: Caller): Promise<object> {
    return this.#change(QueueUrl, caller, async (queue) => {
      if (Attributes.has('FifoQueue'))
        throw new AwsError('InvalidAttributeName', 'Unknown Attribute FifoQueue: it is fixed when a queue is made.');
      const given = new Map([...queue.given, ...Attributes]);
      checkSettings(Attributes, queue.kind, this.#limits);
      if (queue.kind === 'fifo')
        checkSettings(new Map([...given].filter(([name]) => name !== 'FifoQueue')), 'fifo', this.#limits);
      const settings = new Settings(given);
      await this.#checkRedrive(caller, { ...queue, settings }, Attributes.get('RedrivePolicy'));
      await this.#update(caller, queue, given, queue.tags, new Set(Attributes.keys()));
    });
  }

  /** @param change of the policy, undefined when there is none, into another, or '' */
  changePolicy(
    url: string,
    caller: Caller,
    change: (text: string | undefined, queue: Queue) => string,
  ): Promise<object> {
    return this.#change(url, caller, async (queue) => {
      const given = new Map([...queue.given, ['Policy', change(queue.settings.of('Policy'), queue)]]);
      await this.#update(caller, queue, given, queue.tags, new Set());
    });
  }

  /** What is changed is a part of the queue as it is now, and after every change that was asked for before. */
  async #change(url: string, caller: Caller, work: (queue: Queue) => Promise<void>): Promise<object> {
    const { account, name } = await this.#queues.byUrl(caller, url);
    return this.#turns.take(thingOf({ account, name }), async () => {
      await work(await this.#queues.refresh(caller, account, name));
      return {};
    });
  }

  async #update(
    caller: Caller,
    queue: Queue,
    given: ReadonlyMap<string, string>,
    tags: ReadonlyMap<string, string>,
    changed: ReadonlySet<string>,
  ): Promise<void> {
    const settings = new Settings(given);
    const { ttlMs, maxMessageBytes } = settings.topicPolicy();
    const { leaseMs, maxAttempts, deadLetter } = settings.subscriptionPolicy();
    const { definition } = await this.#declare(caller, queue.account, {
      name: queue.name,
      kind: 'queue',
      // What was not named stays, since the queue may have been declared by somebody else.
      policy: {
        ...(changed.has('MessageRetentionPeriod') && ttlMs !== undefined && { ttlMs }),
        ...(changed.has('MaximumMessageSize') && maxMessageBytes !== undefined && { maxMessageBytes }),
      },
      subscription: {
        ...(changed.has('VisibilityTimeout') && leaseMs !== undefined && { leaseMs }),
        ...(changed.has('RedrivePolicy') &&
          maxAttempts !== undefined &&
          deadLetter !== undefined && { maxAttempts, deadLetter }),
      },
      attributes: attributesWith(queue.attributes, given, tags, this.#clock.now()),
      ifDifferent: 'update',
    });
    this.#queues.remember(queue.account, definition);
  }

  async #declare(
    caller: Caller,
    account: string,
    args: Operations['declareTopic']['args'],
  ): Promise<{ created: boolean; definition: TopicDefinition }> {
    try {
      return await this.#queues.use(caller, account, (session) => session.request('declareTopic', args));
    } catch (error) {
      if (RailheadError.is(error, 'POLICY_MISMATCH')) throw nameExists(error.message);
      throw error;
    }
  }

  /** Dead letters go to a queue of the same kind and account, which is there and lets them in. */
  async #checkRedrive(
    caller: Caller,
    queue: Pick<Queue, 'account' | 'name' | 'kind'> & { settings: Settings },
    text: string | undefined,
  ): Promise<void> {
    const redrive = redriveOf(text);
    if (redrive === undefined || text === undefined) return;
    const bad = (reason: string): AwsError => invalidValue(text, 'RedrivePolicy', reason);
    if (redrive.account !== queue.account) throw bad('Dead-letter queue must be in same account as the source.');
    const dead = await this.#queues.refresh(caller, redrive.account, redrive.queue).catch((error: unknown) => {
      throw error instanceof AwsError && error.error === 'QueueDoesNotExist'
        ? bad('Dead letter target does not exist.')
        : error;
    });
    if (dead.kind !== queue.kind) throw bad(`Dead-letter queue must be same type of queue as the source.`);
    const { permission, sources } = dead.settings.redriveAllow;
    const source = { account: queue.account, name: queue.name };
    const named = sources.some((arn) => arn.endsWith(`:${source.account}:${source.name}`));
    if (permission === 'denyAll' || (permission === 'byQueue' && !named))
      throw bad(
        `Queue ${dead.name} does not permit ${source.name} to use it as a dead-letter queue (RedriveAllowPolicy).`,
      );
  }

  // ---- Tags -------------------------------------------------------------------------------------------------------

  async listQueueTags({ QueueUrl }: SqsInputs['ListQueueTags'], caller: Caller): Promise<object> {
    const { account, name } = await this.#queues.byUrl(caller, QueueUrl);
    const { tags } = await this.#queues.refresh(caller, account, name);
    return tags.size === 0 ? {} : { Tags: Object.fromEntries(tags) };
  }

  tagQueue({ QueueUrl, Tags }: SqsInputs['TagQueue'], caller: Caller): Promise<object> {
    return this.#change(QueueUrl, caller, async (queue) => {
      const tags = new Map([...queue.tags, ...Tags]);
      checkTags(tags);
      await this.#update(caller, queue, queue.given, tags, new Set());
    });
  }

  untagQueue({ QueueUrl, TagKeys }: SqsInputs['UntagQueue'], caller: Caller): Promise<object> {
    return this.#change(QueueUrl, caller, async (queue) => {
      const tags = new Map([...queue.tags].filter(([key]) => !TagKeys.includes(key)));
      await this.#update(caller, queue, queue.given, tags, new Set());
    });
  }
}

/** What takes turns: a queue, also one that is made anew under its name. */
function thingOf({ account, name }: Pick<Queue, 'account' | 'name'>): string {
  return `${account} ${name}`;
}

function sourceOf(dead: Queue): (queue: Queue) => boolean {
  return ({ settings: { redrive } }) => redrive?.queue === dead.name && redrive.account === dead.account;
}

/** @throws QueueNameExists when it was made with another value for something */
function assertSame(queue: Queue, given: ReadonlyMap<string, string>): void {
  for (const [name, value] of given) {
    if (isSetting(name) && queue.settings.of(name) !== value)
      throw nameExists(`A queue already exists with the same name and a different value for attribute ${name}`);
  }
  if (queue.kind === 'fifo' && !given.has('FifoQueue'))
    throw nameExists('A queue already exists with the same name and a different value for attribute FifoQueue');
}

function nameExists(message: string): AwsError {
  return new AwsError('QueueNameExists', message);
}

function checkTags(tags: ReadonlyMap<string, string>): void {
  if (tags.size > MAX_TAGS)
    throw new AwsError('InvalidParameterValue', `Too many tags added for queue: at most ${MAX_TAGS}.`);
  for (const [key, value] of tags) {
    if (key.length < 1 || key.length > 128 || value.length > 256 || /^aws:/i.test(key))
      throw invalidValue(
        key,
        'Tags',
        'A key has 1 to 128 characters and does not begin with aws:, a value at most 256.',
      );
  }
}

function tokenOf(after: string): string {
  return Buffer.from(after, 'utf8').toString('base64url');
}

function afterOf(token: string): string {
  const after = Buffer.from(token, 'base64url').toString('utf8');
  if (after === '' || tokenOf(after) !== token)
    throw new AwsError('InvalidParameterValue', 'Invalid or expired next token.');
  return after;
}
