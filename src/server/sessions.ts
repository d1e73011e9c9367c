import type { Session } from '../core/session.ts';
import type { Tracing } from '../core/tracing.ts';
import type { BrokerTraces } from '../gateways/traced-session.ts';

/** Sessions for gateways; where somebody traces, with spans of what is done for their clients. */
export class Sessions {
  readonly #traces: BrokerTraces | undefined;

  private constructor(traces: BrokerTraces | undefined) {
    this.#traces = traces;
  }

  /** What looks into messages is loaded where somebody traces: a start must not wait for the formats of every protocol. */
  static async of(tracing: Tracing | undefined): Promise<Sessions> {
    if (tracing === undefined) return new Sessions(undefined);
    const [{ BrokerTraces }, { ALL_FORMATS }, { FORMAT_SQS }] = await Promise.all([
      import('../gateways/traced-session.ts'),
      import('./formats.ts'),
      import('../gateways/aws/content.ts'),
    ]);
    return new Sessions(new BrokerTraces(tracing, ALL_FORMATS, [FORMAT_SQS]));
  }

  open<Owner>(broker: { connect: (owner: Owner) => Session }, owner: Owner, protocol: string): Session {
    const session = broker.connect(owner);
    return this.#traces === undefined ? session : this.#traces.of(session, protocol);
  }
}
