import type { Concern } from './attention.ts';
import { count, duration } from './format.ts';
import { link } from './place.ts';

/** What `GET /api/v1/alerts` tells. */
export interface Alerts {
  active: ActiveAlert[];
  ended: EndedAlert[];
  /** Null: only who may do everything sees them. */
  rules: Rule[] | null;
}

export interface Alert {
  rule: string;
  says: string;
  unit: 'messages' | 'duration' | 'percent' | 'none';
  /** Null: the broker. */
  subject: { namespace: string; topic: string; subscription: string } | null;
  value: number;
  above: number;
  since: string;
}

export interface ActiveAlert extends Alert {
  state: 'pending' | 'firing';
  todo: string;
}

export interface EndedAlert extends Alert {
  until: string;
  end: 'over' | 'rule';
}

export interface Rule {
  name: string;
  says: string;
  unit: Alert['unit'];
  of: 'subscription' | 'broker';
  above: number;
  queues: string;
  namespace: string;
  forMs: number;
  webhook: string | null;
  topic: { namespace: string; name: string } | null;
  from: 'config' | 'stored';
}

/** The broker looks for alerts every ten seconds; asked anew after so many looks of this page, one a second. */
export const ALERT_BEAT = 5;

/** What is on, the longest first, then what is about to be. */
export function byState(active: readonly ActiveAlert[]): { firing: ActiveAlert[]; pending: ActiveAlert[] } {
  const sorted = active.toSorted((a, b) => Date.parse(a.since) - Date.parse(b.since));
  return {
    firing: sorted.filter(({ state }) => state === 'firing'),
    pending: sorted.filter(({ state }) => state === 'pending'),
  };
}

/** `12 min, above 10 min`. */
export function measured({ unit, value, above }: Pick<Alert, 'unit' | 'value' | 'above'>): string {
  return unit === 'none' ? 'it is so' : `${amount(unit, value)}, above ${amount(unit, above)}`;
}

function amount(unit: Alert['unit'], value: number): string {
  if (unit === 'duration') return duration(value);
  if (unit === 'percent') return `${Math.round(value * 10) / 10} %`;
  return count(value);
}

/** `age of the oldest message that is not settled, above 10 min`. */
export function conditionOf({ says, unit, above }: Pick<Rule, 'says' | 'unit' | 'above'>): string {
  return unit === 'none' ? says : `${says}, above ${amount(unit, above)}`;
}

/** What a rule is about. */
export function scopeOf({ of, queues, namespace }: Pick<Rule, 'of' | 'queues' | 'namespace'>): string {
  if (of === 'broker') return 'the broker';
  return `${queues === '*' ? 'all queues' : queues}${namespace === '*' ? '' : ` in ${namespace}`}`;
}

/** Of whom: a queue, a subscription, or the broker. */
export function subjectOf({ subject }: Pick<Alert, 'subject'>, shown: string): string {
  if (subject === null) return 'the broker';
  const { namespace, topic, subscription } = subject;
  const name = topic === subscription ? topic : `${topic} / ${subscription}`;
  return namespace === shown ? name : `${name} in ${namespace}`;
}

/** Its page, where that is of the namespace that is shown. */
export function placeOf({ subject }: Pick<Alert, 'subject'>, shown: string): string | undefined {
  if (subject === null || subject.namespace !== shown) return undefined;
  const { topic, subscription } = subject;
  return topic === subscription ? link('queues', topic) : link('topics', topic, subscription);
}

/** For the home page: that there are any. */
export function alertConcerns(active: readonly ActiveAlert[]): Concern[] {
  const { firing } = byState(active);
  if (firing.length === 0) return [];
  const rules = [...new Set(firing.map(({ rule }) => rule))];
  return [
    {
      severity: 'stop',
      title: firing.length === 1 ? 'An alert is on' : `${count(firing.length)} alerts are on`,
      why: `By ${rules.length === 1 ? 'the rule' : 'the rules'} ${rules.slice(0, 5).join(', ')}${rules.length > 5 ? ', …' : ''}.`,
      todo: 'See of what, since when, and what to do.',
      href: link('alerts'),
    },
  ];
}
