import { SystemClock } from '../core/clock.ts';
import { RailheadError } from '../core/errors.ts';
import { realTime } from '../core/real-time.ts';
import type { Session } from '../core/session.ts';
import { findTracing } from '../core/tracing.ts';
import { durationMs, sizeBytes } from '../core/units.ts';
import type { Duration, Size } from '../core/units.ts';
import { Rail } from '../sdk/rail.ts';
import type { RailOptions } from '../sdk/rail.ts';
import { connectRemote } from '../sdk/remote/remote-session.ts';
import type { Member } from './embedded/member.ts';
import { enterDirectory, leaveDirectory } from './embedded/members.ts';

export interface OpenOptions extends RailOptions {
  /** The directory of the broker. Made when it is not there, readable for its owner only. */
  dir: string;
  /** False: joins the process that owns the directory, and never owns it. Default true. */
  own?: boolean;
  /** Default `default`. */
  namespace?: string;
  /** Shown to people who look at the broker. Default `railhead-node`. */
  clientName?: string;
  /** Used when this process comes to own the directory; space for all segments is taken on disk in the background. */
  journal?: {
    /** Of one file of the commit log. Default '32MiB'. */
    segmentSize?: Size;
    /** How many files, at least 3. Default 8. */
    segments?: number;
  };
  /** How long to wait for an owner that is starting, is busy with its recovery, or (with `own: false`) is not there yet. Default 10 s. */
  connectTimeout?: Duration;
  /** Told what an operator should know after a recovery here, in words. Default: a process warning. */
  onNotice?: (text: string) => void;
}

const CONNECT_TIMEOUT: Duration = '10s';
const SEGMENT_BYTES = 32 << 20;
const SEGMENTS = 8;
/** Between two looks at a directory whose owner cannot be reached. */
const LOOK_AGAIN_MS = 20;
/** After a break: the next owner is a process of this machine, ready within milliseconds. */
const RECONNECT = { minMs: 10, maxMs: 500 };

/**
 * Opens the broker of a directory. The first process owns it and runs the broker; others that open the same directory
 * join the first without being told, and one of them takes over when it dies or closes. Several `open` of a directory
 * in one process share its broker.
 *
 * An idle rail does not keep the process alive, a worker does. No signal handlers are installed: what was confirmed is
 * safe however the process ends.
 *
 * @throws FORMAT_TOO_NEW, JOURNAL_CORRUPT, STORAGE_FAILED when nobody owns the directory and this process cannot;
 * CONNECTION_LOST when somebody does and cannot be reached; NOT_FOUND with `own: false` when there is no directory.
 * @example const rail = await open({ dir: './data' })
 */
export async function open(options: OpenOptions): Promise<Rail> {
  const { dir, own = true, namespace = 'default', clientName = 'railhead-node', definitions, sendTimeout } = options;
  if (typeof dir !== 'string' || dir === '')
    throw new RailheadError('INVALID', "The directory is missing; write open({ dir: './data' }).");
  const waitMs = durationMs(options.connectTimeout ?? CONNECT_TIMEOUT, 'connectTimeout');
  const journal = journalOf(options.journal);
  const onNotice = options.onNotice ?? ((text: string) => process.emitWarning(text, 'RailheadWarning'));
  const member = enterDirectory(dir, own, { journal, owner: { onNotice, report: warn } });
  const leave = (): Promise<void> => leaveDirectory(member, own);
  try {
    const session: Session =
      (own ? await member.session(namespace, clientName) : undefined) ??
      (await join(member, own, { namespace, clientName, waitMs }));
    return new Rail({
      session,
      tracing: await findTracing(),
      onClose: leave,
      ...(definitions !== undefined && { definitions }),
      ...(sendTimeout !== undefined && { sendTimeout }),
    });
  } catch (error) {
    await leave();
    throw error;
  }
}

/** The owner may be starting or ending just now: tried again until the time is over. */
async function join(
  member: Member,
  own: boolean,
  { namespace, clientName, waitMs }: { namespace: string; clientName: string; waitMs: number },
): Promise<Session> {
  const clock = new SystemClock();
  const until = clock.now() + waitMs;
  for (;;) {
    try {
      return await connectRemote({
        dial: (signal) => member.dial(signal, own),
        namespace,
        clientName,
        connectTimeoutMs: Math.max(1, until - clock.now()),
        reconnect: RECONNECT,
      });
    } catch (error) {
      if (!RailheadError.is(error, 'CONNECTION_LOST')) throw error;
      if (RailheadError.is(error.cause, 'FORMAT_TOO_NEW') || RailheadError.is(error.cause, 'JOURNAL_CORRUPT'))
        throw error.cause;
      if (clock.now() >= until) throw noOwner(member.directory, own, error);
      await new Promise((resolve) => realTime.setTimeout(resolve, LOOK_AGAIN_MS));
    }
  }
}

function noOwner(directory: string, own: boolean, cause: RailheadError): RailheadError {
  const what = own ? 'is owned by another process that cannot be reached' : 'has no owner that can be reached';
  const advice = own
    ? 'Look whether that process hangs.'
    : 'Start a process that opens it, or leave own: false out to own it here.';
  return new RailheadError('CONNECTION_LOST', `The directory ${directory} ${what}: ${cause.message} ${advice}`, {
    cause,
    outcome: 'not-stored',
  });
}

function journalOf(journal: OpenOptions['journal'] = {}): { segmentSize: number; segments: number } {
  const segmentSize = journal.segmentSize === undefined ? SEGMENT_BYTES : sizeBytes(journal.segmentSize, 'segmentSize');
  const { segments = SEGMENTS } = journal;
  if (segmentSize < 1 << 20 || segmentSize > 256 << 20) {
    throw new RailheadError(
      'INVALID',
      `journal.segmentSize is ${JSON.stringify(journal.segmentSize)}; write a size from '1MiB' to '256MiB'.`,
    );
  }
  if (!Number.isInteger(segments) || segments < 3 || segments > 256)
    throw new RailheadError('INVALID', `journal.segments is ${segments}; write a whole number from 3 to 256.`);
  return { segmentSize, segments };
}

function warn(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.emitWarning(`A bug of Railhead, please report it: ${text}`, 'RailheadWarning');
}
