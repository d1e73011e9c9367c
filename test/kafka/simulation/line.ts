import type { ManualClock } from '../../../src/core/clock.ts';
import type { ApiName, Apis } from '../../../src/gateways/kafka/apis.ts';
import { ERROR, type ErrorName } from '../../../src/gateways/kafka/errors.ts';
import type { KafkaGateway } from '../../../src/gateways/kafka/server.ts';
import { attach } from '../in-process.ts';
import { type Answer, type Question, RawPeer } from '../raw-peer.ts';

/** The connection is gone, or the broker stops: what was asked may have happened. */
export class Lost extends Error {}

/** The broker said no: what was asked has not happened, and will not. */
export class Refused extends Error {
  readonly error: ErrorName;

  constructor(error: ErrorName, what: string) {
    super(`${what}: ${error}`);
    this.error = error;
  }
}

/** Errors after which a client comes again, not knowing what became of its request. */
const PASSING = new Set<number>([ERROR.REQUEST_TIMED_OUT, ERROR.COORDINATOR_NOT_AVAILABLE, ERROR.KAFKA_STORAGE_ERROR]);
const NAMES = new Map<number, ErrorName>(Object.entries(ERROR).map(([name, code]) => [code, name as ErrorName]));

/** One connection of a client. */
export class Line {
  readonly #peer: RawPeer;
  #over = false;

  constructor(gateway: KafkaGateway, clock: ManualClock) {
    this.#peer = RawPeer.over(attach(gateway, clock));
  }

  /** @throws Lost */
  async ask<N extends ApiName>(name: N, version: number, request: Question<Apis[N]>): Promise<Answer<Apis[N]>> {
    if (this.#over) throw new Lost();
    const answer = await this.#peer.ask(name, version, request);
    if (answer === null || this.#isOver()) throw new Lost();
    return answer;
  }

  /** Asked again after each wait. */
  #isOver(): boolean {
    return this.#over;
  }

  cut(): void {
    this.#over = true;
    this.#peer.socket.destroy();
  }
}

/** @throws Lost, Refused */
export function demandOk(code: number | undefined, what: string): void {
  if (code === ERROR.NONE) return;
  if (code === undefined) throw new Error(`${what} has no answer`);
  if (PASSING.has(code)) throw new Lost();
  throw new Refused(NAMES.get(code) ?? 'UNKNOWN_SERVER_ERROR', what);
}
