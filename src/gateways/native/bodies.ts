import { RailheadError } from '../../core/errors.ts';
import type { BodyWriter, PublishReceipt, PublishRequest, Session, Transaction } from '../../core/session.ts';
import type { ByteReader } from '../../wire/byte-reader.ts';
import { readData } from '../../wire/data.ts';
import { bodyRequest } from '../../wire/requests.ts';

/** The large bodies that a client sends before the publish that names them, by the numbers that it gave them. */
export class BodyTable {
  readonly #bodies = new Map<number, BodyWriter>();

  async open(session: Session, fields: ByteReader): Promise<void> {
    const name = fields.u32();
    const { to, bytes } = bodyRequest(readData(fields), 'body');
    if (this.#bodies.has(name))
      throw new RailheadError('PROTOCOL', `Body ${name} is open already; choose another number.`);
    this.#bodies.set(name, await session.body(to, bytes));
  }

  async write(fields: ByteReader): Promise<void> {
    const body = this.#find(fields.u32());
    await body.write(fields.rest());
  }

  async end(fields: ByteReader): Promise<void> {
    const name = fields.u32();
    const whole = fields.u8() === 1;
    fields.done();
    const body = this.#find(name);
    if (whole) return body.end();
    this.#bodies.delete(name);
    await body.abort();
  }

  publish(session: Session, request: PublishRequest): Promise<PublishReceipt> {
    if (request.body === undefined) return session.publish(request);
    return this.#using([request], ([named]) => session.publish(named ?? request));
  }

  commit(session: Session, transaction: Transaction): Promise<PublishReceipt[]> {
    if (transaction.publishes.every(({ body }) => body === undefined)) return session.commit(transaction);
    return this.#using(transaction.publishes, (publishes) => session.commit({ ...transaction, publishes }));
  }

  /** Whatever becomes of the request, its bodies are used up: the client sends them again with the next attempt. */
  async #using<T>(requests: readonly PublishRequest[], run: (named: PublishRequest[]) => Promise<T>): Promise<T> {
    const bodies = requests.map(({ body }) => (body === undefined ? undefined : this.#find(body)));
    for (const { body } of requests) if (body !== undefined) this.#bodies.delete(body);
    try {
      return await run(
        requests.map((request, i) => {
          const id = bodies[i]?.id;
          return id === undefined ? request : { ...request, body: id };
        }),
      );
    } finally {
      for (const body of bodies) void body?.abort().catch(() => {});
    }
  }

  #find(name: number): BodyWriter {
    const body = this.#bodies.get(name);
    if (body !== undefined) return body;
    throw new RailheadError('NOT_FOUND', `There is no large body ${name} on this connection.`, {
      outcome: 'not-stored',
    });
  }
}
