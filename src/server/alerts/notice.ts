import { createHash } from 'node:crypto';
import { formatDuration } from '../../core/units.ts';
import { type ActiveAlert, CONDITIONS } from '../../gateways/alerts.ts';
import type { Change } from './board.ts';

/** What is posted and published, as JSON. */
export interface Notice {
  /** In words, under the name that chat programs read. */
  readonly text: string;
  /** The same however often it is sent. */
  readonly id: string;
  readonly rule: string;
  readonly state: 'firing' | 'resolved';
  readonly when: string;
  readonly above: number;
  /** What to do. */
  readonly todo: string;
  readonly at: string;
  /** Of its journal: the same over restarts. */
  readonly broker: string;
  /** How many there are; `alerts` has the first of them. */
  readonly total: number;
  readonly alerts: readonly {
    readonly namespace?: string;
    readonly topic?: string;
    readonly subscription?: string;
    readonly value: number;
    readonly since: string;
  }[];
}

const MAX_ALERTS = 50;
const MAX_IN_WORDS = 5;

export function noticeOf({ rule, state, at, alerts }: Change, broker: string): Notice {
  const { name, when, above } = rule;
  const some = alerts.slice(0, MAX_IN_WORDS).map(inWords);
  if (alerts.length > some.length) some.push(`and ${alerts.length - some.length} more`);
  const limit = CONDITIONS[when].unit === 'none' ? '' : ` above ${amount(when, above)}`;
  return {
    text: `${state === 'firing' ? 'ALERT' : 'Resolved'}: ${name} (${when}${limit}): ${some.join(', ')}`,
    id: idOf([broker, name, state, at]),
    rule: name,
    state,
    when,
    above,
    todo: CONDITIONS[when].todo,
    at: new Date(at).toISOString(),
    broker,
    total: alerts.length,
    alerts: alerts
      .slice(0, MAX_ALERTS)
      .map(({ subject, value, since }) => ({ ...subject, value, since: new Date(since).toISOString() })),
  };
}

/** One look tells of one rule at most once that it is on, and once that it is over. */
function idOf(parts: readonly (string | number)[]): string {
  return `alert_${createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 22)}`;
}

function inWords({ subject, when, value }: ActiveAlert): string {
  const is = CONDITIONS[when].unit === 'none' ? 'is so' : amount(when, value);
  if (subject === null) return `the broker: ${is}`;
  const { namespace, topic, subscription } = subject;
  const place = topic === subscription ? topic : `${topic}/${subscription}`;
  return `${namespace === 'default' ? '' : `${namespace}/`}${place}: ${is}`;
}

function amount(when: ActiveAlert['when'], value: number): string {
  switch (CONDITIONS[when].unit) {
    case 'duration':
      return formatDuration(Math.round(value / 1_000) * 1_000);
    case 'percent':
      return `${Math.round(value * 10) / 10} %`;
    default:
      return String(value);
  }
}
