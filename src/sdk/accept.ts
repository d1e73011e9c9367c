import { RailheadError } from '../core/errors.ts';
import { Message, StoredMessage } from './message.ts';
import { errorText } from './outcome.ts';

/**
 * Whether a message fits its schema and may be handed out. One that does not goes to the dead-letter queue at once:
 * no further attempt would read it better.
 */
export async function accept(message: Message<unknown>): Promise<boolean> {
  if (Message.leaseOf(message).state !== 'held') return false;
  try {
    await StoredMessage.prepare(message);
    return true;
  } catch (error) {
    if (!RailheadError.is(error, 'SCHEMA')) throw error;
    Message.leaseOf(message).settleQuietly({ action: 'reject', reason: errorText(error) });
    return false;
  }
}
