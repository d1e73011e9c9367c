import { z } from 'zod';
import type { Observation } from './actor.ts';

/** Where the two differ on purpose. `docs/protocols/amqp.md` shows this list; a test compares them. */
export interface Difference {
  what: string;
  rabbitmq: string;
  here: string;
  why: string;
  /** Makes what was seen alike on both. Without it the scripts leave the case out. */
  same?: (seen: Observation, who: 'rabbitmq' | 'railhead') => Observation;
}

/** As rows of the table on the page. */
export function differenceRows(): string[] {
  return DIFFERENCES.map(({ what, rabbitmq, here, why }) => `| ${what} | ${rabbitmq} | ${here} | ${why} |`);
}

export const DIFFERENCES: readonly Difference[] = [
  {
    what: 'headers `x-last-death-*`',
    rabbitmq: '3.10 has none, 3.13 and 4 have them',
    here: 'as 4',
    why: 'where versions differ the newest is followed',
    same: (seen) => withoutHeaders(seen, /^x-last-death-/),
  },
  {
    what: 'headers `x-acquired-count` and `x-delivery-count`',
    rabbitmq: '3.10 has the second alone, also with 0, and counts nacks in it; 4.3 has both',
    here: 'as 4.3',
    why: 'where versions differ the newest is followed',
    same: (seen) => withoutHeaders(seen, /^x-(acquired|delivery)-count$/),
  },
  {
    what: 'a message that expires behind one that does not',
    rabbitmq: 'stays, and counts, until it is at the head of its queue',
    here: 'goes at its time',
    why: 'that is what its publisher asked for',
  },
  {
    what: '`x-max-length` and `x-max-length-bytes`, while messages are with consumers',
    rabbitmq: 'counts those that wait',
    here: 'counts those that wait and those that are out, also of publishes that come together while a consumer waits',
    why: 'what is out may come back, and then the queue would hold more than its limit',
  },
  {
    what: '`x-max-length-bytes`',
    rabbitmq: 'counts bodies',
    here: 'counts what is stored: properties, headers and routing key too',
    why: 'what is stored is what fills a disk',
  },
  {
    what: 'a dead letter that would come back to a queue that it died in, without having been rejected since',
    rabbitmq: 'is dropped, with a warning in the log',
    here: 'goes to the queue `NAME.dead`',
    why: 'a mistake in how queues are put together loses no message',
  },
  {
    what: 'a message that was given up on by the delivery limit, and whose dead-letter exchange leads to its own queue',
    rabbitmq: 'is dropped, with a warning in the log',
    here: 'comes there again, and its story counts it',
    why: 'it was with a consumer each time, so that nothing turns by itself; and nothing is lost',
  },
  {
    what: 'the place of what is given back to a quorum queue',
    rabbitmq:
      'before all that was never out, in the order in which it came back; in 3.10 without a delivery limit behind all',
    here: 'its original place, as in a classic queue',
    why: 'one order for every queue; retried messages do not overtake each other',
  },
  {
    what: 'the consumers that a declare of a quorum queue counts',
    rabbitmq: 'also those that were cancelled and hold messages',
    here: 'those that get messages',
    why: 'as for a classic queue',
  },
  {
    what: '`queue.delete` of a quorum queue with `if-unused` or `if-empty`',
    rabbitmq: '540',
    here: 'as for a classic queue',
    why: 'one engine has both',
  },
  {
    what: 'a message that a full queue refuses, in a transaction',
    rabbitmq: 'makes the commit fail with 406, and the rest is there all the same',
    here: 'makes the commit fail with 406, and nothing of it is there',
    why: 'a transaction takes effect as a whole or not at all',
  },
  {
    what: 'the prefetch of a consumer of a stream',
    rabbitmq: '3.10 counts chunks: what came together is delivered together, above it too',
    here: 'counts messages',
    why: 'a client that asks for one gets one',
  },
  {
    what: 'a wrong `x-stream-offset`',
    rabbitmq: '3.10 ends the connection with 541',
    here: '406',
    why: 'as for other wrong arguments',
  },
  {
    what: 'an unknown type of exchange',
    rabbitmq: '503 up to 3.12, 406 since 3.13',
    here: '406',
    why: 'where versions differ the newest is followed',
    // The connection or the channel: of both the script opens another one.
    same: (seen) => withoutCode(seen, /unknown exchange type/),
  },
  {
    what: 'the type of a queue that names none, in the refusal of another declare',
    rabbitmq: '3.10 calls it `none`, 4 `classic`',
    here: 'as 4',
    why: 'where versions differ the newest is followed',
    same: (seen) => withoutText(seen, /inequivalent arg 'x-queue-type'/),
  },
  {
    what: 'exchange and routing key of a dead letter, after the queue it died in was declared anew with another dead-letter exchange',
    rabbitmq: 'those that it came by',
    here: 'those that it would come by now',
    why: 'the story of a message names the queue where it died; where that sends its dead letters is looked up when the message is delivered',
  },
];

const Failed = z.looseObject({ text: z.string() });

/** What an error with this text is called and ends. */
function withoutCode(seen: Observation, text: RegExp): Observation {
  const failed = Failed.safeParse(seen['error']);
  return failed.success && text.test(failed.data.text) ? { ...seen, error: text.source } : seen;
}

/** What an error says that begins like this. */
function withoutText(seen: Observation, text: RegExp): Observation {
  const failed = Failed.safeParse(seen['error']);
  return failed.success && text.test(failed.data.text)
    ? { ...seen, error: { ...failed.data, text: text.source } }
    : seen;
}

function withoutHeaders(seen: Observation, name: RegExp): Observation {
  const strip = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(strip);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .filter(([key]) => !name.test(key))
        .map(([key, each]) => [key, strip(each)]),
    );
  };
  // An object stays one.
  return strip(seen) as Observation;
}
