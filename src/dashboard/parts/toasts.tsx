import { signal } from '@preact/signals';
import { messageOf } from '../api.ts';

interface Toast {
  id: number;
  kind: 'done' | 'failed';
  text: string;
}

const toasts = signal<Toast[]>([]);
const SHOWN_MS = 8_000;
let last = 0;

export function say(text: string, kind: Toast['kind'] = 'done'): void {
  const id = ++last;
  toasts.value = [...toasts.value, { id, kind, text }].slice(-4);
  setTimeout(() => (toasts.value = toasts.value.filter((toast) => toast.id !== id)), SHOWN_MS);
}

/** Does it, and says in words what went wrong if something did. */
export function attempt(work: () => Promise<void>): void {
  work().catch((error: unknown) => say(messageOf(error), 'failed'));
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, kind, text }) => (
        <p key={id} class={`toast ${kind}`}>
          {text}
        </p>
      ))}
    </div>
  );
}
