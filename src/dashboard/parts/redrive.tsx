import { useEffect, useState } from 'preact/hooks';
import { apiPath, call, messageOf } from '../api.ts';
import { count, many } from '../model/format.ts';
import { attempt, say } from './toasts.tsx';

interface Progress {
  id: string;
  state: 'running' | 'done' | 'cancelled' | 'failed';
  moved: number;
  matched: number;
  error?: string;
}

const POLL_MS = 500;
const SOON_MS = 50;

/** What it takes to follow a redrive, and to undo it. */
export interface Redriven {
  id: string;
  /** The route of its dead letters. */
  source: string[];
  undo: { since: string; to?: string };
}

export interface RedriveProps {
  of: Redriven;
  onEnd: () => void;
  onClose: () => void;
}

/** How far a redrive is, with a way to stop it, and to put back what it has moved. */
export function Redrive({ of: { id, source, undo }, onEnd, onClose }: RedriveProps) {
  const [progress, setProgress] = useState<Progress>();
  const [failure, setFailure] = useState('');
  useEffect(() => {
    let over = false;
    let timer = 0;
    const ask = async (): Promise<void> => {
      try {
        const now = await call<Progress>('GET', apiPath('redrives', id));
        if (over) return;
        setProgress(now);
        if (now.state === 'running') timer = window.setTimeout(() => void ask(), POLL_MS);
        else onEnd();
      } catch (error) {
        setFailure(messageOf(error));
      }
    };
    void ask();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [id]);
  const cancel = async (): Promise<Progress> => {
    const now = await call<Progress>('DELETE', apiPath('redrives', id));
    setProgress(now);
    return now;
  };
  /** What is under way when it is stopped is moved still: that is waited for. */
  const stopped = async (): Promise<Progress> => {
    let now = await cancel();
    while (now.state === 'running') {
      await new Promise((resolve) => setTimeout(resolve, SOON_MS));
      now = await call<Progress>('GET', apiPath('redrives', id));
    }
    return now;
  };
  const putBack = async (of = progress): Promise<void> => {
    const { moved } = await call<{ moved: number }>('POST', apiPath(...source, 'undo'), undo);
    const rest = Math.max(0, (of?.moved ?? moved) - moved);
    say(`${many(moved, 'dead letter')} put back.${rest === 0 ? '' : ` ${count(rest)} had been taken already.`}`);
    onEnd();
    onClose();
  };
  return (
    <div class="card redrive" role="status">
      <p>{failure === '' ? sentence(progress) : failure}</p>
      {progress?.state === 'running' ? (
        <>
          <progress max={Math.max(1, progress.matched)} value={progress.moved} aria-label="Redriven" />
          <button type="button" onClick={() => attempt(async () => void (await cancel()))}>
            Stop
          </button>
          <button type="button" onClick={() => attempt(async () => putBack(await stopped()))}>
            Stop and undo
          </button>
        </>
      ) : (
        <>
          {progress !== undefined && progress.moved > 0 && (
            <button type="button" onClick={() => attempt(() => putBack())}>
              Undo
            </button>
          )}
          <button type="button" onClick={onClose}>
            Close
          </button>
        </>
      )}
    </div>
  );
}

function sentence(progress: Progress | undefined): string {
  if (progress === undefined) return 'Redriving…';
  const { state, moved, matched, error } = progress;
  switch (state) {
    case 'running':
      return `Redriving: ${count(moved)} of ${count(matched)}${matched === 0 ? '' : ' found so far'}.`;
    case 'done':
      return `${many(moved, 'dead letter')} redriven.`;
    case 'cancelled':
      return `Stopped: ${count(moved)} were moved. Undo puts back those that nobody has taken yet.`;
    case 'failed':
      return `It failed after ${count(moved)}: ${error ?? 'for an unknown reason'}.`;
  }
}
