import { setFlagsFromString } from 'node:v8';

/** V8 13, of Node 24, has the flag; what others say to one that they do not know, they say to whoever reads our output. */
const KNOWN_BY = '13.';

/**
 * Counts the memory of buffers as part of the heap when it is decided whether to collect garbage. By itself V8 collects
 * all of it whenever some tens of megabytes of buffers were made, however few are still in use: at 100 MB/s from sockets
 * several times a second, which took half of the processor time of a produce over Kafka. For a process of our own: in one
 * that belongs to others we set no flags.
 */
export function countBuffersAsHeap(): void {
  if (process.versions.v8.startsWith(KNOWN_BY)) setFlagsFromString('--external-memory-accounted-in-global-limit');
}
