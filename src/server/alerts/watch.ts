import { SYSTEM_NAMESPACE } from '../../core/access.ts';
import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import type { Clock } from '../../core/clock.ts';
import { type Random, systemRandom } from '../../core/random.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../../core/records.ts';
import type { Session } from '../../core/session.ts';
import type { Broker } from '../../engine/broker.ts';
import {
  type ActiveAlert,
  ALERT_DOCUMENT,
  type AlertRule,
  alertRule,
  type AlertRuleInput,
  type EndedAlert,
  readAlert,
  type ShownRule,
  shownRule,
} from '../../gateways/alerts.ts';
import { Slices } from '../../gateways/metrics/slices.ts';
import type { Logger } from '../log.ts';
import { AlertBoard, type Change } from './board.ts';
import { look } from './look.ts';
import { type Notice, noticeOf } from './notice.ts';
import { Notifier } from './notifier.ts';
import type { Signing } from './signing.ts';

const LOOK_MS = 10_000;

export interface AlertWatchOptions {
  broker: Broker;
  /** Null: in memory. */
  directory: string | null;
  /** Of the config file. */
  rules: readonly AlertRuleInput[];
  clock: Clock;
  random?: Random;
  log: Pick<Logger, 'info' | 'warn' | 'error'>;
  /** Which addresses a webhook may have. */
  webhooks: 'public' | 'any';
  /** Left out, webhooks are not signed. */
  signing?: Signing | undefined;
}

/** Looks every ten seconds, as long as there are rules, and tells whom they name. */
export class AlertWatch {
  readonly #options: AlertWatchOptions;
  readonly #board = new AlertBoard();
  readonly #webhooks: Notifier;
  readonly #messages: Notifier;
  readonly #configured: readonly AlertRule[];
  readonly #sessions = new Map<string, Session>();
  readonly #closing = new AbortController();
  /** By name, as they were written: one that says something else now begins anew. */
  #texts = new Map<string, string>();
  #rules: readonly ShownRuleOf[] = [];
  #cancel: (() => void) | undefined;
  #looking: Promise<void> | undefined;

  /** @throws INVALID for a rule of the config file that says what cannot be */
  constructor(options: AlertWatchOptions) {
    this.#options = options;
    this.#configured = options.rules.map(alertRule);
    const { clock, random = systemRandom } = options;
    const notifier = (way: string, send: (rule: AlertRule, notice: Notice) => Promise<void>): Notifier =>
      new Notifier({
        send,
        clock,
        random,
        failed: (rule, error, final) =>
          options.log.warn({ rule: rule.name, way, reason: reasonOf(error) }, `a notice of an alert failed, ${final}`),
      });
    this.#webhooks = notifier('webhook', (rule, notice) => this.#post(rule, notice));
    this.#messages = notifier('message', (rule, notice) => this.#publish(rule, notice));
    options.broker.watchDocuments(async (namespace, kind) => {
      if (namespace === SYSTEM_NAMESPACE && kind === ALERT_DOCUMENT) this.#read();
    });
    this.#read();
  }

  rules(): ShownRule[] {
    return this.#rules.map(({ rule, from }) => shownRule(rule, from));
  }

  active(): ActiveAlert[] {
    return this.#board.active();
  }

  ended(): EndedAlert[] {
    return this.#board.ended();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#cancel?.();
    this.#webhooks.close();
    this.#messages.close();
    await this.#looking;
    await Promise.allSettled([...this.#sessions.values()].map((session) => session.close()));
  }

  /** Of two with one name the stored one counts: it can be changed without a restart. */
  #read(): void {
    const stored = this.#options.broker.documents(SYSTEM_NAMESPACE).of(ALERT_DOCUMENT);
    const rules = new Map<string, ShownRuleOf>(this.#configured.map((rule) => [rule.name, { rule, from: 'config' }]));
    for (const [name, { value }] of stored)
      for (const input of readAlert({ name, value })) rules.set(name, { rule: alertRule(input), from: 'stored' });
    const texts = new Map(Array.from(rules, ([name, { rule }]) => [name, JSON.stringify(rule)]));
    for (const [name, text] of this.#texts)
      if (texts.get(name) !== text) this.#board.forget(name, this.#options.clock.now());
    this.#texts = texts;
    this.#rules = [...rules.values()];
    if (this.#rules.length > 0 && this.#looking === undefined) this.#arm();
  }

  #arm(): void {
    if (this.#closing.signal.aborted) return;
    const { clock } = this.#options;
    this.#cancel ??= clock.timer(clock.now() + LOOK_MS, () => {
      this.#cancel = undefined;
      this.#looking = this.#look()
        .catch((error: unknown) =>
          this.#options.log.error({ reason: reasonOf(error) }, 'alerts could not be looked for'),
        )
        .finally(() => {
          this.#looking = undefined;
          if (this.#rules.length > 0) this.#arm();
        });
    });
  }

  async #look(): Promise<void> {
    const { broker, directory, clock } = this.#options;
    const rules = this.#rules.map(({ rule }) => rule);
    const found = await look(rules, { broker, directory, slices: new Slices() });
    // What a power cut could take back is told to nobody.
    await broker.told();
    if (this.#closing.signal.aborted) return;
    for (const [rule, findings] of found) {
      // Replaced while we looked.
      if (!this.#rules.some((each) => each.rule === rule)) continue;
      for (const change of this.#board.update(rule, findings, clock.now())) this.#tell(change);
    }
  }

  #tell(change: Change): void {
    const { rule, state, alerts } = change;
    const notice = noticeOf(change, this.#options.broker.info().journalId);
    const { log } = this.#options;
    const facts = { rule: rule.name, when: rule.when, alerts: alerts.length, text: notice.text };
    if (state === 'firing') log.warn(facts, 'an alert is on');
    else log.info(facts, 'an alert is over');
    if (rule.webhook !== null) this.#webhooks.notify(rule, notice);
    if (rule.topic !== null) this.#messages.notify(rule, notice);
  }

  async #post({ webhook }: AlertRule, notice: Notice): Promise<void> {
    if (webhook === null) return;
    const { post } = await import('../../gateways/outgoing.ts');
    const { webhooks, signing, clock } = this.#options;
    const body = JSON.stringify(notice);
    const status = await post({
      url: webhook,
      headers: {
        'Content-Type': 'application/json',
        'User-Agent': 'railhead-alerts',
        ...signing?.headers({ id: notice.id, at: clock.now(), body }),
      },
      body,
      addresses: webhooks,
      signal: this.#closing.signal,
    });
    if (status < 200 || status > 299) throw new Error(`the webhook answered with HTTP ${status}`);
  }

  async #publish({ topic }: AlertRule, notice: Notice): Promise<void> {
    if (topic === null) return;
    const writer = new RecordBatchWriter();
    const { rule, state } = notice;
    writer.append({ headers: { 'railhead-alert': rule, 'railhead-alert-state': state } }, JSON.stringify(notice));
    const { bytes, count } = writer.take();
    await this.#session(topic.namespace).publish({
      to: { topic: topic.name },
      format: FORMAT_NATIVE,
      records: bytes,
      count,
    });
  }

  #session(namespace: string): Session {
    let session = this.#sessions.get(namespace);
    if (session === undefined) {
      session = this.#options.broker.connect({ principal: LOCAL_PRINCIPAL, namespace, name: 'alerts' });
      this.#sessions.set(namespace, session);
    }
    return session;
  }
}

interface ShownRuleOf {
  rule: AlertRule;
  from: ShownRule['from'];
}

/** Never with the address: it may have a secret in it. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
