import { RailheadError } from '../../core/errors.ts';
import type { DocumentDefinition } from '../../core/documents.ts';
import type { Operations } from '../../core/session.ts';
import type { Shard } from './shard.ts';

type Args<O extends keyof Operations> = Operations[O]['args'];
type Result<O extends keyof Operations> = Operations[O]['result'];

export type DocumentWatcher = (namespace: string, kind: string) => Promise<void>;

/** Small texts that others keep with the broker. Nothing here reads them. */
export class Documents {
  readonly #shard: Shard;

  /** Who does something about them before whoever changed one is told that it is done. */
  readonly watchers: DocumentWatcher[] = [];

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  async changed(namespace: string, kind: string): Promise<void> {
    for (const watcher of this.watchers) await watcher(namespace, kind);
  }

  put(namespace: string, { kind, name, value }: Args<'putDocument'>): Result<'putDocument'> {
    const { maxDocumentBytes, maxDocumentNameBytes, maxDocuments, maxNameBytes } = this.#shard.limits;
    within('The kind of a document', kind, maxNameBytes);
    within('The name of a document', name, maxDocumentNameBytes);
    within('A document', value, maxDocumentBytes);
    const documents = this.#shard.state.directory.documentsOf(namespace, kind);
    const existing = documents.get(name);
    if (existing?.value === value) return { created: false };
    if (existing === undefined && documents.size >= maxDocuments) {
      throw new RailheadError(
        'TOO_LARGE',
        `There are ${maxDocuments} documents of the kind ${JSON.stringify(kind)}, as many as are allowed. Delete some.`,
      );
    }
    this.#shard.record({ type: 'document', namespace, kind, name, value });
    return { created: existing === undefined };
  }

  delete(namespace: string, { kind, name }: Args<'deleteDocument'>): Result<'deleteDocument'> {
    if (!this.#shard.state.directory.documentsOf(namespace, kind).has(name)) return { deleted: false };
    this.#shard.record({ type: 'documentGone', namespace, kind, name });
    return { deleted: true };
  }

  list(namespace: string, { kind }: Args<'listDocuments'>): { documents: DocumentDefinition[] } {
    const documents = this.#shard.state.directory.documentsOf(namespace, kind).values();
    return { documents: Array.from(documents, ({ name, value }) => ({ kind, name, value })) };
  }
}

function within(what: string, text: string, maxBytes: number): void {
  const bytes = Buffer.byteLength(text);
  if (bytes === 0 || bytes > maxBytes)
    throw new RailheadError('TOO_LARGE', `${what} has ${bytes} bytes; allowed are 1 to ${maxBytes}.`);
}
