import { useEffect, useState } from 'preact/hooks';
import { apiPath, call, messageOf } from '../api.ts';
import { count, many } from '../model/format.ts';
import { attempt } from './toasts.tsx';

interface Progress {
  id: string;
  state: 'running' | 'done' | 'cancelled' | 'failed';
  moved: number;
  matched: number;
  error?: string;
}

const POLL_MS = 500;

export interface RedriveProps {
  id: string;
  onEnd: () => void;
  onClose: () => void;
}

/** How far a redrive is, with a way to stop it. */
export function Redrive({ id, onEnd, onClose }: RedriveProps) {
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
  const cancel = async (): Promise<void> => {
    setProgress(await call<Progress>('DELETE', apiPath('redrives', id)));
  };
  return (
    <div class="card redrive" role="status">
      <p>{failure === '' ? sentence(progress) : failure}</p>
      {progress?.state === 'running' ? (
        <>
          <progress max={Math.max(1, progress.matched)} value={progress.moved} aria-label="Redriven" />
          <button type="button" onClick={() => attempt(cancel)}>
            Stop
          </button>
        </>
      ) : (
        <button type="button" onClick={onClose}>
          Close
        </button>
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
      return `Stopped: ${count(moved)} were moved and stay where they are now.`;
    case 'failed':
      return `It failed after ${count(moved)}: ${error ?? 'for an unknown reason'}.`;
  }
}
