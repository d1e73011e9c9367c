import type { OtherEntry } from '../entries.ts';
import type { ScheduleDefinition } from '../../core/schedules.ts';
import { declarationOf } from '../../core/declaration.ts';
import { Router } from '../routing/router.ts';
import { CursorPositions, type EncodedCursors } from './cursor-positions.ts';
import { scoped } from './scoped.ts';

export interface Schedule extends ScheduleDefinition {
  namespace: string;
}

export interface StoredDocument {
  namespace: string;
  kind: string;
  name: string;
  value: string;
}

export interface EncodedDirectory {
  routers: { namespace: string; definition: ReturnType<Router['definition']> }[];
  cursors: EncodedCursors;
  schedules: Schedule[];
  documents: StoredDocument[];
}

const NO_DOCUMENTS: ReadonlyMap<string, StoredDocument> = new Map();

/** What is named and is no topic: routers, cursors, schedules, documents. A part of the state, changed only by entries. */
export class Directory {
  /** By namespace, then by name. */
  readonly routers = new Map<string, Map<string, Router>>();
  readonly cursors = new CursorPositions();
  readonly schedules = new Map<string, Schedule>();
  /** By namespace and kind, then by name. */
  readonly documents = new Map<string, Map<string, StoredDocument>>();
  /** Grows with each change of a document. Volatile: for those that keep something made of them. */
  documentVersion = 0;

  routersOf(namespace: string): Map<string, Router> {
    let routers = this.routers.get(namespace);
    if (routers === undefined) this.routers.set(namespace, (routers = new Map<string, Router>()));
    return routers;
  }

  documentsOf(namespace: string, kind: string): ReadonlyMap<string, StoredDocument> {
    return this.documents.get(scoped(namespace, kind)) ?? NO_DOCUMENTS;
  }

  #putDocument(document: StoredDocument): void {
    this.documentVersion++;
    const key = scoped(document.namespace, document.kind);
    let documents = this.documents.get(key);
    if (documents === undefined) this.documents.set(key, (documents = new Map<string, StoredDocument>()));
    documents.set(document.name, document);
  }

  /** Applies an entry about one of them. */
  apply(entry: OtherEntry): void {
    switch (entry.type) {
      case 'router': {
        const { name, routerType: type, alternate, hashHeader = null } = entry;
        const routers = this.routersOf(entry.namespace);
        const existing = routers.get(name);
        if (existing !== undefined) existing.alternate = alternate;
        else
          routers.set(name, Router.from({ name, type, alternate, hashHeader, ...declarationOf(entry), bindings: [] }));
        return;
      }
      case 'routerGone':
        this.routersOf(entry.namespace).delete(entry.name);
        return;
      case 'bind':
        this.routersOf(entry.namespace).get(entry.router)?.add(entry.binding);
        return;
      case 'unbind':
        this.routersOf(entry.namespace).get(entry.router)?.remove(entry.binding);
        return;
      case 'cursor': {
        const { topicId, partition, offset, metadata } = entry;
        this.cursors.set(entry.namespace, entry.cursor, { topicId, partition, offset, metadata });
        return;
      }
      case 'cursorGone':
        this.cursors.remove(entry.namespace, entry.cursor, entry.topicId, entry.partition);
        return;
      case 'schedule': {
        const { type: _, ...schedule } = entry;
        this.schedules.set(scoped(entry.namespace, entry.name), schedule);
        return;
      }
      case 'scheduleGone':
        this.schedules.delete(scoped(entry.namespace, entry.name));
        return;
      case 'document': {
        const { type: _, ...document } = entry;
        this.#putDocument(document);
        return;
      }
      case 'documentGone': {
        const key = scoped(entry.namespace, entry.kind);
        const documents = this.documents.get(key);
        this.documentVersion++;
        documents?.delete(entry.name);
        if (documents?.size === 0) this.documents.delete(key);
        return;
      }
      default:
        throw new Error(`Railhead bug: no rule applies an entry of type ${entry.type}`);
    }
  }

  encode(): EncodedDirectory {
    const routers: EncodedDirectory['routers'] = [];
    for (const [namespace, named] of this.routers) {
      for (const router of named.values()) routers.push({ namespace, definition: router.definition() });
    }
    return {
      routers,
      cursors: this.cursors.encode(),
      schedules: [...this.schedules.values()],
      documents: Array.from(this.documents.values(), (documents) => [...documents.values()]).flat(),
    };
  }

  load(data: EncodedDirectory): void {
    this.routers.clear();
    for (const { namespace, definition } of data.routers)
      this.routersOf(namespace).set(definition.name, Router.from(definition));
    this.cursors.load(data.cursors);
    this.schedules.clear();
    for (const schedule of data.schedules) this.schedules.set(scoped(schedule.namespace, schedule.name), schedule);
    this.documents.clear();
    for (const document of data.documents) this.#putDocument(document);
  }
}
