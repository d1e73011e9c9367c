import type { SeededRandom } from '../../../src/core/random.ts';

/** One thing that a client does. Names are those of the script; each run puts a prefix of its own before them. */
export type Step =
  | { do: 'declare'; queue: string; options: QueueOptions }
  | { do: 'exchange'; exchange: string; type: string; options: ExchangeOptions }
  | { do: 'bind' | 'unbind'; queue: string; exchange: string; key: string; args: Record<string, unknown> }
  | { do: 'bindExchange' | 'unbindExchange'; from: string; to: string; key: string }
  | { do: 'publish'; exchange: string; key: string; bodies: string[]; options: PublishOptions }
  | { do: 'get'; queue: string; after: 'ack' | 'requeue' | 'discard' | 'hold' | 'noAck' }
  | { do: 'settleHeld'; how: 'ack' | 'requeue' | 'discard'; which: 'first' | 'last' | 'upToLast' }
  | { do: 'consume'; queue: string; tag: string; prefetch: number; options: ConsumeOptions }
  | { do: 'settleConsumed'; tag: string; how: 'ack' | 'requeue' | 'discard'; which: 'first' | 'all' | 'upToLast' }
  | { do: 'ackUnknown' | 'recover' | 'closeChannel' | 'nackAll' }
  | { do: 'cancel'; tag: string }
  | { do: 'purge' | 'check' | 'drain'; queue: string }
  | { do: 'checkExchange'; exchange: string }
  | { do: 'deleteQueue'; queue: string; options: { ifUnused?: boolean; ifEmpty?: boolean } }
  | { do: 'deleteExchange'; exchange: string; options: { ifUnused?: boolean } }
  | ({ do: 'transaction' } & TransactionSteps)
  | { do: 'follow'; queue: string; tag: string; from: string | number; prefetch: number }
  | { do: 'secondConnection'; queue: string }
  | { do: 'wait'; ms: number };

/** On a channel of its own: what it publishes, what it gets and settles, and how it ends. */
export interface TransactionSteps {
  publish: { exchange: string; key: string; body: string; options: PublishOptions }[];
  get: { queue: string; how: 'ack' | 'requeue' | 'discard' | 'hold' }[];
  /** One that is closed has neither been committed nor rolled back. */
  ends: ('commit' | 'rollback')[];
}

export interface QueueOptions {
  durable?: boolean;
  exclusive?: boolean;
  autoDelete?: boolean;
  arguments?: Record<string, unknown>;
}

export interface ExchangeOptions {
  durable?: boolean;
  internal?: boolean;
  autoDelete?: boolean;
  alternate?: string;
}

export interface PublishOptions {
  mandatory?: boolean;
  persistent?: boolean;
  expiration?: string;
  priority?: number;
  headers?: Record<string, unknown>;
  /** Further routing keys, as the headers of these names. */
  copies?: { CC?: string[]; BCC?: string[] };
  properties?: Record<string, unknown>;
}

export interface ConsumeOptions {
  noAck?: boolean;
  exclusive?: boolean;
}

/** Keys of arguments that name something of the script, so that the prefix of the run is put before their values. */
export const NAMING_ARGUMENTS: ReadonlySet<string> = new Set(['x-dead-letter-exchange']);

/** Longer than any life of a message in a script, so that after a wait of it all that may expire is gone. */
const EXPIRED_MS = 160;
const LIFE_MS = 40;
const UNUSED_MS = 120;

const QUEUES = ['q0', 'q1', 'q2'] as const;
/** For these there are policies; see `policies.ts`. */
const RULED_QUEUES = ['p0', 'p1', 'p2'] as const;
const EXCHANGES = ['direct', 'topic', 'fanout', 'headers'] as const;
const KEYS = ['a', 'b', 'a.b', 'a.b.c', 'b.c', ''] as const;
const PATTERNS = ['a', '#', '*', 'a.*', 'a.#', '*.b.*', '#.c', 'a.b'] as const;

/** What the queues of a script are: one idea each, so that what follows from it is known. */
type Flavour =
  | 'plain'
  | 'dead-letters'
  | 'limited'
  | 'refusing'
  | 'short-lived'
  | 'priorities'
  | 'quorum'
  | 'policies'
  | 'streams';
const FLAVOURS: readonly Flavour[] = [
  'plain',
  'plain',
  'dead-letters',
  'dead-letters',
  'limited',
  'refusing',
  'short-lived',
  'priorities',
  'quorum',
  'policies',
  'streams',
];
/** Of these every queue counts what it holds; see the list. */
const COUNTING: readonly Flavour[] = ['limited', 'refusing', 'policies'];

/**
 * A script from a seed. It leaves out what `differences.ts` lists, and what no two runs of one broker do alike: which of
 * two consumers gets a message, and what happens while a message may just expire.
 */
export function script(random: SeededRandom, steps: number): Step[] {
  return new Author(random).write(steps);
}

class Author {
  readonly #random: SeededRandom;
  readonly #flavour: Flavour;
  readonly #queues: readonly string[];
  readonly #steps: Step[] = [];
  readonly #consuming = new Set<string>();
  readonly #declared = new Map<string, QueueOptions>();
  #messages = 0;
  #tags = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
    this.#flavour = random.pick(FLAVOURS);
    this.#queues = this.#flavour === 'policies' ? RULED_QUEUES : QUEUES;
  }

  write(count: number): Step[] {
    if (this.#flavour === 'streams') return this.#streams(count);
    for (const queue of this.#queues) {
      const options = this.#queue(queue);
      this.#declared.set(queue, options);
      this.#steps.push({ do: 'declare', queue, options });
    }
    for (const exchange of EXCHANGES) {
      const options: ExchangeOptions = this.#random.chance(0.3) ? { alternate: 'spare' } : {};
      this.#steps.push({ do: 'exchange', exchange, type: exchange, options });
    }
    if (this.#random.chance(0.7)) {
      this.#steps.push({ do: 'exchange', exchange: 'spare', type: 'fanout', options: {} });
      this.#steps.push({ do: 'bind', queue: this.#any(), exchange: 'spare', key: '', args: {} });
    }
    if (this.#flavour !== 'plain' && this.#flavour !== 'priorities') this.#deadLetters();
    for (let i = 0; i < 3; i++) this.#bind();
    for (let i = 0; i < count; i++) this.#step();
    for (const queue of [...this.#queues, 'dead']) this.#steps.push({ do: 'drain', queue });
    return this.#steps;
  }

  #any(): string {
    return this.#random.pick(this.#queues);
  }

  /** Logs that nothing is taken from, and readers of them; what RabbitMQ refuses of them is refused. */
  #streams(count: number): Step[] {
    const random = this.#random;
    const options: QueueOptions = { durable: true, arguments: { 'x-queue-type': 'stream' } };
    this.#steps.push({ do: 'declare', queue: 'log', options });
    this.#steps.push({ do: 'exchange', exchange: 'topic', type: 'topic', options: {} });
    this.#steps.push({ do: 'bind', queue: 'log', exchange: 'topic', key: random.pick(PATTERNS), args: {} });
    let reading: string | undefined;
    for (let i = 0; i < count; i++) {
      const roll = random.below(20);
      if (roll < 8) this.#publishTo(random.chance(0.6) ? ['', 'log'] : ['topic', random.pick(KEYS)]);
      else if (roll < 12 && reading === undefined) {
        reading = `r${++this.#tags}`;
        const from = random.pick(['first', 'next', 0, 1, 3]);
        // More than there is: RabbitMQ counts chunks; see the list.
        this.#steps.push({ do: 'follow', queue: 'log', tag: reading, from, prefetch: 1000 });
      } else if (roll < 15 && reading !== undefined)
        this.#steps.push({ do: 'settleConsumed', tag: reading, how: 'ack', which: random.pick(['first', 'all']) });
      else if (roll < 17 && reading !== undefined) {
        this.#steps.push({ do: 'cancel', tag: reading });
        reading = undefined;
      } else if (roll < 18) {
        reading = undefined;
        this.#steps.push(
          random.pick<Step>([
            { do: 'get', queue: 'log', after: 'ack' },
            { do: 'purge', queue: 'log' },
            { do: 'consume', queue: 'log', tag: `r${++this.#tags}`, prefetch: 1, options: { noAck: true } },
            { do: 'declare', queue: 'other', options: { ...options, autoDelete: true } },
            { do: 'declare', queue: 'log', options: { durable: true } },
          ]),
        );
      }
    }
    this.#steps.push({ do: 'follow', queue: 'log', tag: 'all', from: 'first', prefetch: 1000 });
    return this.#steps;
  }

  #publishTo([exchange, key]: [string, string]): void {
    const bodies = Array.from({ length: this.#random.pick([1, 2, 5]) }, () => `m${++this.#messages}`);
    const options: PublishOptions = this.#random.chance(0.3) ? { properties: PROPERTIES } : {};
    this.#steps.push({ do: 'publish', exchange, key, bodies, options });
  }

  /** The queue that dead letters end in. */
  #deadLetters(): void {
    this.#steps.push({ do: 'exchange', exchange: 'graves', type: 'topic', options: {} });
    this.#steps.push({ do: 'declare', queue: 'dead', options: {} });
    this.#steps.push({ do: 'bind', queue: 'dead', exchange: 'graves', key: '#', args: {} });
  }

  #queue(queue: string): QueueOptions {
    const random = this.#random;
    const durable = this.#flavour === 'quorum' || random.chance(0.8);
    const buried: Record<string, unknown> = {};
    if (queue !== 'q2' && random.chance(0.7)) {
      buried['x-dead-letter-exchange'] = 'graves';
      if (random.chance(0.5)) buried['x-dead-letter-routing-key'] = `dead.${queue}`;
    }
    switch (this.#flavour) {
      case 'plain':
        return { durable };
      case 'dead-letters':
        return { durable, arguments: buried };
      case 'limited':
        return { durable, arguments: { ...buried, 'x-max-length': 1 + random.below(3) } };
      case 'refusing':
        return {
          durable,
          arguments: { ...buried, 'x-max-length': 1 + random.below(3), 'x-overflow': 'reject-publish' },
        };
      case 'short-lived':
        return {
          durable,
          arguments: { ...buried, ...(queue === 'q0' && { 'x-message-ttl': random.pick([LIFE_MS, 0]) }) },
        };
      case 'priorities':
        return { durable, arguments: { 'x-max-priority': random.pick([1, 3, 9]) } };
      case 'quorum':
        return { durable, arguments: { ...buried, 'x-queue-type': 'quorum', 'x-delivery-limit': 2 } };
      case 'policies':
        return {
          durable,
          arguments: {
            ...buried,
            ...(random.chance(0.5) && { 'x-max-length': 1 + random.below(4) }),
            ...(random.chance(0.3) && { 'x-overflow': random.pick(['drop-head', 'reject-publish']) }),
          },
        };
      case 'streams':
        throw new Error('streams are declared by themselves');
    }
  }

  #step(): void {
    const random = this.#random;
    const roll = random.below(100);
    const queue = this.#any();
    if (roll < 34) this.#publish();
    else if (roll < 46) this.#get(queue);
    else if (roll < 52)
      this.#steps.push({
        do: 'settleHeld',
        how: this.#settlement(),
        which: random.pick(['first', 'last', 'upToLast']),
      });
    else if (roll < 64) this.#consume(queue);
    else if (roll < 72) this.#bind();
    else if (roll < 77) this.#steps.push({ do: 'check', queue });
    else if (roll < 80) this.#steps.push({ do: 'drain', queue });
    else if (roll < 82) this.#steps.push({ do: 'purge', queue });
    else if (roll < 86) this.#redeclare(queue);
    else if (roll < 89) this.#delete(queue);
    else if (roll < 92) this.#transaction();
    else this.#rare(queue);
  }

  #publish(): void {
    const random = this.#random;
    const direct = random.chance(0.35);
    const exchange = direct ? '' : random.pick(EXCHANGES);
    const key = direct ? random.pick([...this.#queues, ...this.#queues, 'nowhere']) : random.pick(KEYS);
    const options: PublishOptions = {};
    if (random.chance(0.3)) options.mandatory = true;
    if (random.chance(0.5)) options.persistent = true;
    if (this.#flavour === 'priorities') options.priority = random.below(12);
    if (exchange === 'headers' || random.chance(0.2)) options.headers = this.#headers();
    if (random.chance(0.15)) options.properties = PROPERTIES;
    if (random.chance(0.2)) options.copies = this.#copies(direct);
    // All of them: one that may expire behind one that stays is on the list.
    if (this.#flavour === 'short-lived') options.expiration = String(random.chance(0.2) ? 0 : LIFE_MS);
    const bodies = Array.from({ length: random.pick([1, 1, 2, 5]) }, () => `m${++this.#messages}`);
    this.#steps.push({ do: 'publish', exchange, key, bodies, options });
    // What may expire is given the time for it: else the rest of the script depends on how fast it runs.
    if (this.#flavour === 'short-lived') this.#steps.push({ do: 'wait', ms: EXPIRED_MS });
  }

  #copies(direct: boolean): { CC?: string[]; BCC?: string[] } {
    const random = this.#random;
    const keys = (): string[] =>
      Array.from({ length: 1 + random.below(2) }, () => (direct ? this.#any() : random.pick(KEYS)));
    return { ...(random.chance(0.7) && { CC: keys() }), ...(random.chance(0.5) && { BCC: keys() }) };
  }

  #headers(): Record<string, unknown> {
    const random = this.#random;
    const headers: Record<string, unknown> = {};
    for (const name of ['x', 'y', 'z']) if (random.chance(0.5)) headers[name] = random.pick([1, 2, 'one', true]);
    if (random.chance(0.2)) headers['nested'] = { list: [1, 'two', { three: 3 }], none: null };
    return headers;
  }

  #get(queue: string): void {
    // A queue that counts what is held differs; see the list.
    const mayHold = !COUNTING.includes(this.#flavour);
    const then = mayHold ? (['ack', 'requeue', 'discard', 'hold', 'hold', 'noAck'] as const) : (['noAck'] as const);
    const how = this.#random.pick(then);
    const mayReturn = how === 'requeue' || (how === 'hold' && this.#flavour === 'quorum');
    this.#steps.push({ do: 'get', queue, after: mayReturn ? this.#settlement() : how });
  }

  /** To a quorum queue nothing is given back by itself: its place differs; see the list. */
  #settlement(): 'ack' | 'requeue' | 'discard' {
    return this.#random.pick(this.#flavour === 'quorum' ? ['ack', 'discard'] : ['ack', 'requeue', 'discard']);
  }

  #consume(queue: string): void {
    const random = this.#random;
    // What is out counts, and what is published together is counted before any of it is out; see the list.
    if (COUNTING.includes(this.#flavour)) return;
    const [running] = this.#consuming;
    if (running !== undefined) {
      if (random.chance(0.3)) {
        this.#consuming.delete(running);
        this.#steps.push({ do: 'cancel', tag: running });
        // While it holds something it counts; see the list.
        if (this.#flavour === 'quorum')
          this.#steps.push({ do: 'settleConsumed', tag: running, how: 'ack', which: 'all' });
        return;
      }
      this.#steps.push({
        do: 'settleConsumed',
        tag: running,
        how: this.#settlement(),
        which: random.pick(['first', 'all', 'upToLast']),
      });
      return;
    }
    const tag = `c${++this.#tags}`;
    this.#consuming.add(tag);
    const options: ConsumeOptions = {};
    if (random.chance(0.2)) options.noAck = true;
    // What is requeued to a consumer without a limit comes round and round, as long as it is requeued.
    this.#steps.push({ do: 'consume', queue, tag, prefetch: random.pick([1, 2, 10]), options });
  }

  #bind(): void {
    const random = this.#random;
    const queue = this.#any();
    const exchange = random.pick(EXCHANGES);
    const how = random.chance(0.8) ? 'bind' : 'unbind';
    if (random.chance(0.1)) {
      // Never back to where it came from by more than one way: routes are a set all the same.
      const from = random.pick(EXCHANGES);
      this.#steps.push({
        do: how === 'bind' ? 'bindExchange' : 'unbindExchange',
        from,
        to: exchange,
        key: random.pick(KEYS),
      });
      return;
    }
    const key = exchange === 'topic' ? random.pick(PATTERNS) : random.pick(KEYS);
    // Elsewhere they mean nothing, and tell two bindings apart all the same.
    const meaningless = random.pick<Record<string, unknown>>([{}, {}, { mark: 1 }, { mark: 2, other: 'x' }]);
    const args = exchange === 'headers' ? { ...this.#headers(), 'x-match': random.pick(['all', 'any']) } : meaningless;
    this.#steps.push({ do: how, queue, exchange, key, args });
  }

  #redeclare(queue: string): void {
    const random = this.#random;
    // One thing is wrong: with two, which of them is named is nobody's business.
    const wrong = random.pick<Record<string, unknown>>([
      { 'x-max-length': 77 },
      { 'x-message-ttl': 77_000 },
      { 'x-max-priority': 200 },
      { 'x-dead-letter-exchange': 'elsewhere' },
      { 'x-max-length': -1 },
      { 'x-message-ttl': 'soon' },
      { 'x-expires': 0 },
      { 'x-overflow': 'pour' },
    ]);
    const right = this.#declared.get(queue);
    const options = { ...right, arguments: { ...right?.arguments, ...wrong } };
    if (random.chance(0.2)) this.#steps.push({ do: 'declare', queue, options: { ...right, autoDelete: true } });
    else if (random.chance(0.3)) this.#steps.push({ do: 'declare', queue, options: right ?? {} });
    else if (random.chance(0.6) && this.#flavour !== 'quorum') this.#steps.push({ do: 'declare', queue, options });
    else {
      const exchange = random.pick(EXCHANGES);
      const options = random.pick<ExchangeOptions>([{ durable: false }, { internal: true }, { autoDelete: true }]);
      this.#steps.push({ do: 'exchange', exchange, type: random.pick(EXCHANGES), options });
    }
  }

  #delete(queue: string): void {
    const random = this.#random;
    if (random.chance(0.7)) {
      // RabbitMQ has no conditions for quorum queues; see the list.
      const conditions = this.#flavour === 'quorum' ? [{}] : [{}, { ifUnused: true }, { ifEmpty: true }];
      const options = random.pick(conditions);
      this.#steps.push({ do: 'deleteQueue', queue, options });
      // As before: where a dead letter came from is told by what its queue is now; see the list.
      if (random.chance(0.7)) this.#steps.push({ do: 'declare', queue, options: this.#declared.get(queue) ?? {} });
      return;
    }
    const exchange = random.pick(EXCHANGES);
    this.#steps.push({ do: 'deleteExchange', exchange, options: random.pick([{}, { ifUnused: true }]) });
    if (random.chance(0.7)) this.#steps.push({ do: 'exchange', exchange, type: exchange, options: {} });
  }

  #transaction(): void {
    const random = this.#random;
    // What a full queue refuses makes the whole of a transaction fail; see the list.
    if (this.#flavour === 'short-lived' || COUNTING.includes(this.#flavour)) return;
    const publish = Array.from({ length: random.below(4) }, () => {
      const direct = random.chance(0.6);
      const options: PublishOptions = {};
      if (random.chance(0.3)) options.mandatory = true;
      if (random.chance(0.2)) options.copies = this.#copies(direct);
      return {
        exchange: direct ? '' : random.pick(EXCHANGES),
        key: direct ? random.pick([...this.#queues, 'nowhere']) : random.pick(KEYS),
        body: `m${++this.#messages}`,
        options,
      };
    });
    const get = Array.from({ length: random.below(3) }, () => ({
      queue: this.#any(),
      // To a quorum queue nothing is given back; see the list.
      how: random.pick(this.#flavour === 'quorum' ? (['ack', 'discard'] as const) : SETTLINGS),
    }));
    const ends = random.pick<('commit' | 'rollback')[]>([
      ['commit'],
      ['commit'],
      ['rollback'],
      ['rollback', 'commit'],
      [],
    ]);
    // What is not settled goes back to its place.
    if (this.#flavour === 'quorum' && ends.at(0) !== 'commit') get.splice(0);
    this.#steps.push({ do: 'transaction', publish, get, ends });
  }

  #rare(queue: string): void {
    const random = this.#random;
    const kind = random.below(13);
    // What comes back to a quorum queue has another place; see the list.
    if (this.#flavour === 'quorum' && kind >= 1 && kind <= 3) return;
    switch (kind) {
      case 0:
        this.#steps.push({ do: 'ackUnknown' });
        return;
      case 1:
        this.#steps.push({ do: 'recover' });
        return;
      case 2:
        this.#steps.push({ do: 'closeChannel' });
        this.#consuming.clear();
        return;
      case 3:
        this.#steps.push({ do: 'nackAll' });
        return;
      case 4:
        this.#steps.push({ do: 'publish', exchange: 'nowhere', key: 'a', bodies: ['lost'], options: {} });
        return;
      case 5:
        this.#steps.push({ do: 'check', queue: 'nowhere' }, { do: 'checkExchange', exchange: 'nowhere' });
        return;
      case 6:
        this.#steps.push({ do: 'exchange', exchange: 'odd', type: 'odd', options: {} });
        return;
      case 7: {
        const expires = { durable: true, arguments: { 'x-expires': UNUSED_MS } };
        this.#steps.push({ do: 'declare', queue: 'brief', options: expires });
        this.#steps.push({ do: 'wait', ms: UNUSED_MS * 3 }, { do: 'check', queue: 'brief' });
        return;
      }
      case 8:
        this.#steps.push({ do: 'declare', queue: 'own', options: { exclusive: true } });
        this.#steps.push({ do: 'secondConnection', queue: 'own' });
        return;
      case 9:
        this.#steps.push({ do: 'bind', queue: 'nowhere', exchange: random.pick(EXCHANGES), key: 'a', args: {} });
        return;
      case 10: {
        const options = { exclusive: true };
        this.#steps.push({ do: 'declare', queue: 'sole', options: { durable: true } });
        this.#steps.push({ do: 'consume', queue: 'sole', tag: `e${++this.#tags}`, prefetch: 1, options });
        this.#steps.push({ do: 'publish', exchange: '', key: 'sole', bodies: ['a', 'b', 'c'], options: {} });
        this.#steps.push({ do: 'get', queue: 'sole', after: 'ack' }, { do: 'check', queue: 'sole' });
        this.#steps.push({ do: 'consume', queue: 'sole', tag: `e${++this.#tags}`, prefetch: 1, options: {} });
        this.#consuming.clear();
        return;
      }
      case 11:
        this.#steps.push({ do: 'bind', queue, exchange: 'nowhere', key: 'a', args: {} });
        return;
      default:
        this.#steps.push({ do: 'get', queue: 'nowhere', after: 'ack' });
    }
  }
}

const SETTLINGS = ['ack', 'requeue', 'discard', 'hold'] as const;

const PROPERTIES: Record<string, unknown> = {
  contentType: 'application/json',
  contentEncoding: 'gzip',
  correlationId: 'c-1',
  replyTo: 'answers',
  messageId: 'id-1',
  timestamp: 1_700_000_000,
  type: 'event',
  appId: 'app',
};
