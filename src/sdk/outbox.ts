import { RailheadError } from '../core/errors.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../core/records.ts';
import type { PublishRequest } from '../core/session.ts';
import type { Prerequisite } from './batch.ts';
import type { SendOptions } from './envelope.ts';
import { toRailheadError } from './failure.ts';
import { MAX_ATOMIC_BYTES } from './producer.ts';
import type { Target } from './target.ts';

/** Messages that are to be stored together with something else, or not at all. */
export class Outbox {
  readonly #writers = new Map<string, RecordBatchWriter>();
  readonly #prerequisites = new Set<Prerequisite>();
  readonly #checks: Promise<void>[] = [];
  #failure: RailheadError | undefined;

  /** @throws INVALID, SCHEMA at once; what an asynchronous schema finds comes out of `take`. */
  add<In>(target: Target<In>, body: In, options?: SendOptions): void {
    const check = target.type.check(body);
    if (check !== undefined) {
      this.#checks.push(
        check.catch((error: unknown) => {
          this.#failure ??= toRailheadError(error);
        }),
      );
    }
    let writer = this.#writers.get(target.name);
    if (writer === undefined) {
      writer = new RecordBatchWriter(1024);
      this.#writers.set(target.name, writer);
    }
    target.write(writer, body, target.created(options));
    this.#prerequisites.add(target.declared);
  }

  /** One request for each queue or topic, all of them declared. @throws what a declare or a schema throws, TOO_LARGE. */
  async take(): Promise<PublishRequest[]> {
    await Promise.all(this.#checks);
    if (this.#failure !== undefined) throw this.#failure;
    await Promise.all([...this.#prerequisites].map((prerequisite) => prerequisite.get()));
    const requests: PublishRequest[] = [];
    let bytes = 0;
    for (const [topic, writer] of this.#writers) {
      bytes += writer.byteLength;
      const records = writer.take();
      requests.push({
        to: { topic },
        format: FORMAT_NATIVE,
        records: records.bytes,
        count: records.count,
        atomic: true,
      });
    }
    if (bytes > MAX_ATOMIC_BYTES) {
      throw new RailheadError(
        'TOO_LARGE',
        `The messages of one transaction take ${bytes} bytes; at most ${MAX_ATOMIC_BYTES} are allowed. Split it.`,
      );
    }
    return requests;
  }
}
