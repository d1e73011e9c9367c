import { ACL_NAMESPACE as NAMESPACE } from '../../core/auth.ts';
import { RETRY_DOCUMENT } from '../../core/retries.ts';

/** Of the documents in which the broker keeps when groups were used. */
export const GROUP_USE_DOCUMENT = 'kafka-group-use';

/** Of what there may be something to do although no client is there: what was handed back waits, and offsets expire. */
const KINDS: readonly string[] = [RETRY_DOCUMENT, GROUP_USE_DOCUMENT];

/** Whether the gateway has to run once there is a document like this. */
export function isKept(namespace: string, kind: string): boolean {
  return namespace === NAMESPACE && KINDS.includes(kind);
}

/** Whether it has to run from the start on. */
export function isAnythingKept(
  documentsOf: (namespace: string) => { of(kind: string): ReadonlyMap<string, unknown> },
): boolean {
  const documents = documentsOf(NAMESPACE);
  return KINDS.some((kind) => documents.of(kind).size > 0);
}
