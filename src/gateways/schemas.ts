import { type BodySchema, compileSchema, type SchemaText } from '../core/bodies/schema.ts';
import { type DecodedBody, decodeBody } from '../core/bodies/decode.ts';
import { type DocumentDefinition, SCHEMA_DOCUMENT } from '../core/documents.ts';
import { RailheadError } from '../core/errors.ts';
import type { Session } from '../core/session.ts';
import type { PeekedMessage } from '../core/stats.ts';

/** Of bodies, for people who look at messages: a document of its namespace, by the name of the topic or queue. */
export interface TopicSchema extends SchemaText {
  topic: string;
}

/** Those of one namespace, through a session of it. */
export class Schemas {
  readonly #session: Pick<Session, 'request'>;

  constructor(session: Pick<Session, 'request'>) {
    this.#session = session;
  }

  async list(): Promise<TopicSchema[]> {
    const { documents } = await this.#session.request('listDocuments', { kind: SCHEMA_DOCUMENT });
    return documents.map(({ name, value }) => ({ topic: name, ...schemaText(value) }));
  }

  /** @throws INVALID, saying what is wrong with it */
  put({ topic, ...text }: TopicSchema): Promise<{ created: boolean }> {
    compileSchema(text);
    const value = JSON.stringify(text);
    return this.#session.request('putDocument', { kind: SCHEMA_DOCUMENT, name: topic, value });
  }

  delete(topic: string): Promise<{ deleted: boolean }> {
    return this.#session.request('deleteDocument', { kind: SCHEMA_DOCUMENT, name: topic });
  }
}

/** Written by `Schemas.put`, or by somebody with the right to put any document. */
function schemaText(value: string): SchemaText {
  try {
    return JSON.parse(value) as SchemaText;
  } catch {
    throw new RailheadError('INVALID', 'A schema of this namespace is no JSON. Set it again.');
  }
}

/** Compiled, as many as one look at messages needs. */
export class BodyReader {
  readonly #documents: ReadonlyMap<string, DocumentDefinition>;
  readonly #compiled = new Map<string, BodySchema | undefined>();

  /** @param schemas as a peek gives them */
  constructor(schemas: readonly DocumentDefinition[] = []) {
    this.#documents = new Map(schemas.map((schema) => [schema.name, schema]));
  }

  /** By the schema of where it lies, else of where it died. Undefined where the bytes say nothing more. */
  read(topic: string, { envelope, history, bodyBytes }: PeekedMessage): DecodedBody | undefined {
    if (bodyBytes !== undefined) return undefined;
    return decodeBody(envelope, this.#schema(topic) ?? (history && this.#schema(history.topic)));
  }

  #schema(topic: string): BodySchema | undefined {
    if (!this.#compiled.has(topic)) this.#compiled.set(topic, this.#compile(topic));
    return this.#compiled.get(topic);
  }

  /** One that somebody put in another way keeps nobody from looking at messages. */
  #compile(topic: string): BodySchema | undefined {
    const value = this.#documents.get(topic)?.value;
    if (value === undefined) return undefined;
    try {
      return compileSchema(schemaText(value));
    } catch (error) {
      if (RailheadError.is(error, 'INVALID')) return undefined;
      throw error;
    }
  }
}
