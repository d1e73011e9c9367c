import type { ActiveAlert, AlertRule, AlertSubject, EndedAlert } from '../../gateways/alerts.ts';

/** What a look found above the limit of a rule. */
export interface Finding {
  readonly subject: AlertSubject | null;
  readonly value: number;
}

/** What somebody has to be told: alerts of one rule that came on, or went off, at one look. */
export interface Change {
  readonly rule: AlertRule;
  readonly state: 'firing' | 'resolved';
  readonly at: number;
  readonly alerts: readonly ActiveAlert[];
}

/** Of those that are over: the last ones are remembered, since the start of the broker. */
const MAX_ENDED = 100;

/**
 * Which alerts are on. For each rule and each of its subjects:
 *
 * - absent: it is not so.
 * - `pending`: it is so since `since`, and not yet for as long as the rule says.
 * - `firing`: it was so for that long, and somebody was told.
 */
export class AlertBoard {
  readonly #rules = new Map<string, Map<string, ActiveAlert>>();
  /** The oldest first. */
  #ended: EndedAlert[] = [];

  /** Of one rule, as it is now. */
  update(rule: AlertRule, findings: readonly Finding[], now: number): Change[] {
    const before = this.#rules.get(rule.name) ?? new Map<string, ActiveAlert>();
    const after = new Map<string, ActiveAlert>();
    const fired: ActiveAlert[] = [];
    for (const { subject, value } of findings) {
      const key = keyOf(subject);
      const was = before.get(key);
      const since = was?.since ?? now;
      const state = was?.state === 'firing' || now - since >= rule.forMs ? 'firing' : 'pending';
      const { when, above } = rule;
      const alert: ActiveAlert = { rule: rule.name, when, state, subject, value, above, since };
      after.set(key, alert);
      if (state === 'firing' && was?.state !== 'firing') fired.push(alert);
    }
    const over = [...before]
      .filter(([key, { state }]) => state === 'firing' && !after.has(key))
      .map(([, alert]) => alert);
    this.#remember(over, now, 'over');
    if (after.size > 0) this.#rules.set(rule.name, after);
    else this.#rules.delete(rule.name);
    return [
      ...(fired.length > 0 ? [{ rule, state: 'firing', at: now, alerts: fired } as const] : []),
      ...(over.length > 0 ? [{ rule, state: 'resolved', at: now, alerts: over } as const] : []),
    ];
  }

  /** A rule that is gone, or says something else now: nobody is told of what it had found. */
  forget(name: string, now: number): void {
    const on = [...(this.#rules.get(name)?.values() ?? [])].filter(({ state }) => state === 'firing');
    this.#remember(on, now, 'rule');
    this.#rules.delete(name);
  }

  active(): ActiveAlert[] {
    return [...this.#rules.values()].flatMap((alerts) => [...alerts.values()]);
  }

  /** Those that were told and are over, the last first. */
  ended(): EndedAlert[] {
    return this.#ended.toReversed();
  }

  #remember(alerts: readonly ActiveAlert[], until: number, end: EndedAlert['end']): void {
    const ended = alerts.slice(-MAX_ENDED).map((alert) => {
      const { state: _, ...rest } = alert;
      return { ...rest, until, end };
    });
    this.#ended = [...this.#ended, ...ended].slice(-MAX_ENDED);
  }
}

function keyOf(subject: AlertSubject | null): string {
  return subject === null ? '' : JSON.stringify([subject.namespace, subject.topic, subject.subscription]);
}
