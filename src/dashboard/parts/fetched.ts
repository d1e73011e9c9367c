import { useEffect, useState } from 'preact/hooks';
import { call, messageOf, namespace } from '../api.ts';

export interface Fetched<T> {
  value?: T;
  failure: string;
  again: () => void;
}

/** What the API answers, asked once, when told to, and when `beat` is another. Nothing is asked without a path. */
export function useFetched<T>(path: string | undefined, beat = 0): Fetched<T> {
  const [value, setValue] = useState<T>();
  const [failure, setFailure] = useState('');
  const [asked, setAsked] = useState(0);
  useEffect(() => {
    if (path === undefined) return undefined;
    let over = false;
    call<T>('GET', path).then(
      (answer) => {
        if (over) return;
        setValue(answer);
        setFailure('');
      },
      (error: unknown) => {
        if (!over) setFailure(messageOf(error));
      },
    );
    return () => {
      over = true;
    };
  }, [path, asked, beat, namespace.value]);
  return { ...(value !== undefined && { value }), failure, again: () => setAsked(asked + 1) };
}
