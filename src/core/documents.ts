/**
 * A small text that a protocol or the server keeps with the broker: a user, a policy. Kept and given back as it came;
 * what it means is known to whoever put it.
 */
export interface DocumentDefinition {
  kind: string;
  name: string;
  value: string;
}

/**
 * How the bodies of the topic of its name are read, for people. The one kind that others than admins may see: whoever may
 * peek at a topic, with what is peeked at.
 */
export const SCHEMA_DOCUMENT = 'schema';

/** A part of `Operations`. Who may put a document may do so to every user: all of them take the right `admin`. */
export interface DocumentOperations {
  /** Replaces one of the same kind and name. */
  putDocument: { args: DocumentDefinition; result: { created: boolean } };
  deleteDocument: { args: { kind: string; name: string }; result: { deleted: boolean } };
  /** Makes a secret unreadable for all but the broker, for the value of a document; `purpose` ties it to what it is for. */
  seal: { args: { purpose: string; text: string }; result: { sealed: string } };
  listDocuments: { args: { kind: string }; result: { documents: DocumentDefinition[] } };
}
