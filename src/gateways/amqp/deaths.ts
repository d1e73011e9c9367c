import type { Death, DeliveryRun, MessageHistory } from '../../core/session.ts';
import { encodeRecord, RecordView } from './content.ts';
import { type Field, type Table, textField } from './fields.ts';
import { COPIES_HEADER, copiesOf, encodeProperties, type Properties, readProperties, shortText } from './properties.ts';

/** Where the dead letters of a queue go: an exchange, and a routing key unless they keep their own. */
export interface DeadLetterTarget {
  readonly exchange: string;
  readonly key: string | null;
}

interface Route {
  exchange: string;
  key: string;
  /** Routing keys of copies that the message was published for. */
  copies: readonly string[];
}

const REASONS: Readonly<Record<MessageHistory['reason'], string>> = {
  attempts: 'delivery_limit',
  crashes: 'delivery_limit',
  rejected: 'rejected',
  expired: 'expired',
  overflow: 'maxlen',
};

/**
 * Records with what RabbitMQ adds to them on their way: the story of a dead letter in `x-death`, with the exchange and
 * routing key that it came by, and how often a message of a quorum queue was delivered, and how
 * often that failed. What is stored stays as it came.
 */
export function withStory(
  records: Buffer,
  run: DeliveryRun,
  queue: { name: string; counts: boolean },
  targets: ReadonlyMap<string, DeadLetterTarget>,
): Buffer {
  const { history, attempt, returned = 0 } = run;
  const counted = queue.counts && attempt > 1;
  const failed = attempt - 1 - returned;
  if (history === undefined && !counted) return records;
  const view = new RecordView();
  const rewritten: Buffer[] = [];
  for (let i = 0, at = 0; i < run.count; i++, at = view.end) {
    view.at(records, at);
    const exchange = shortText(records, view.route);
    const key = shortText(records, view.route + 1 + (records[view.route] ?? 0));
    const properties = readProperties(records, view.properties, view.body);
    let route: Route = { exchange, key, copies: copiesOf(properties) };
    if (history !== undefined)
      route = addDeaths(properties, history, route, targets) ?? { exchange: '', key: queue.name, copies: [] };
    if (counted && failed > 0) addHeader(properties, 'x-delivery-count', { type: 'l', value: BigInt(failed) });
    if (counted) addHeader(properties, 'x-acquired-count', { type: 'l', value: BigInt(attempt - 1) });
    rewritten.push(
      encodeRecord(routeBytes(route), encodeProperties(properties), records.subarray(view.body, view.end)),
    );
  }
  return Buffer.concat(rewritten);
}

/** Returns by which exchange and routing key it came here; undefined when it did not come through an exchange. */
function addDeaths(
  properties: Properties,
  history: MessageHistory,
  published: Route,
  targets: ReadonlyMap<string, DeadLetterTarget>,
): Route | undefined {
  const { reason, topic, subscription, deadAt } = history;
  const deaths = history.deaths ?? [{ reason, topic, subscription, count: 1, firstAt: deadAt }];
  let route: Route | undefined = published;
  const told: Field[] = [];
  // The newest comes first, and where each death sent the message is known from the oldest on.
  for (const death of deaths.toReversed()) {
    const from: Route = route ?? { exchange: '', key: death.topic, copies: [] };
    told.unshift({ type: 'F', value: storyOf(death, from, told.length === 0 ? properties.expiration : undefined) });
    const target = targets.get(death.topic);
    if (target === undefined) route = undefined;
    else if (target.key === null) route = { ...from, exchange: target.exchange };
    else route = { exchange: target.exchange, key: target.key, copies: [] };
  }
  // With a routing key of its own a dead letter goes nowhere else.
  if (published.copies.length > 0 && route?.copies.length !== published.copies.length)
    properties.headers = new Map([...(properties.headers ?? [])].filter(([name]) => name !== COPIES_HEADER));
  const [first, last] = [deaths.at(-1), deaths[0]];
  addHeader(properties, 'x-death', { type: 'A', value: told });
  if (first !== undefined) addEnd(properties, 'first', first, published.exchange);
  if (last !== undefined) {
    const newest = told[0]?.type === 'F' ? told[0].value.get('exchange') : undefined;
    addEnd(properties, 'last', last, newest?.type === 'S' ? newest.value.toString() : '');
  }
  // It would expire again, where it lies to be looked at.
  delete properties.expiration;
  return route;
}

function storyOf(death: Death, from: Route, expiration: string | undefined): Table {
  const story = new Map<string, Field>([
    ['count', { type: 'l', value: BigInt(death.count) }],
    ['reason', textField(REASONS[death.reason])],
    ['queue', textField(death.topic)],
    ['time', { type: 'T', value: BigInt(Math.floor(death.firstAt / 1000)) }],
    ['exchange', textField(from.exchange)],
    ['routing-keys', { type: 'A', value: [from.key, ...from.copies].map(textField) }],
  ]);
  // The first death takes it away, whatever its reason.
  if (expiration !== undefined) story.set('original-expiration', textField(expiration));
  return story;
}

function addEnd(properties: Properties, which: 'first' | 'last', death: Death, exchange: string): void {
  addHeader(properties, `x-${which}-death-reason`, textField(REASONS[death.reason]));
  addHeader(properties, `x-${which}-death-queue`, textField(death.topic));
  addHeader(properties, `x-${which}-death-exchange`, textField(exchange));
}

function addHeader(properties: Properties, name: string, field: Field): void {
  properties.headers = new Map([...(properties.headers ?? []), [name, field]]);
}

function routeBytes({ exchange, key }: Pick<Route, 'exchange' | 'key'>): Buffer {
  const [a, b] = [Buffer.from(exchange), Buffer.from(key)];
  return Buffer.concat([Buffer.from([a.byteLength]), a, Buffer.from([b.byteLength]), b]);
}
