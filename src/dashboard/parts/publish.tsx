import { useState } from 'preact/hooks';
import { apiPath, call, messageOf, parseExact } from '../api.ts';
import { Dialog } from './dialog.tsx';
import { say } from './toasts.tsx';
import { Failure } from './failure.tsx';

export interface PublishProps {
  to: { topic: string } | { router: string };
  onClose: () => void;
}

/** One message, by hand. */
export function PublishDialog({ to, onClose }: PublishProps) {
  const [failure, setFailure] = useState('');
  const [busy, setBusy] = useState(false);
  const name = 'topic' in to ? to.topic : to.router;
  const publish = async (form: FormData): Promise<void> => {
    setBusy(true);
    try {
      const path = 'topic' in to ? apiPath('topics', to.topic, 'messages') : apiPath('routers', to.router, 'messages');
      await call('POST', path, messageOfForm(form));
      say(`Published to ${name}.`);
      onClose();
    } catch (error) {
      setFailure(messageOf(error));
      setBusy(false);
    }
  };
  return (
    <Dialog title={`Publish to ${name}`} onClose={onClose} wide>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void publish(new FormData(event.currentTarget));
        }}
      >
        <label>
          Body
          <textarea name="body" rows={8} class="mono" spellcheck={false} required>
            {'{\n  \n}'}
          </textarea>
        </label>
        <label class="check">
          <input type="checkbox" name="json" checked /> The body is JSON
        </label>
        <div class="columns">
          <label>
            Key <input name="key" autocomplete="off" />
          </label>
          {'router' in to && (
            <label>
              Routing key <input name="routingKey" autocomplete="off" />
            </label>
          )}
          <label>
            Delay <input name="delay" placeholder="30s, 2h, 1d" autocomplete="off" />
          </label>
          <label>
            Priority <input name="priority" type="number" min="0" max="255" />
          </label>
          <label>
            Content type <input name="contentType" placeholder="application/json" autocomplete="off" />
          </label>
        </div>
        <label>
          Headers <textarea name="headers" rows={2} class="mono" placeholder='{ "tenant": "a" }' spellcheck={false} />
        </label>
        <Failure text={failure} />
        <div class="buttons">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={busy}>
            Publish
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** @throws with a sentence when the body or the headers are no JSON. */
export function messageOfForm(form: FormData): Record<string, unknown> {
  const field = (name: string): string => {
    const value = form.get(name);
    return typeof value === 'string' ? value.trim() : '';
  };
  const optional = Object.fromEntries(
    ['key', 'routingKey', 'delay', 'contentType'].flatMap((name) => (field(name) === '' ? [] : [[name, field(name)]])),
  );
  const text = form.get('body');
  const body = typeof text === 'string' ? text : '';
  return {
    ...optional,
    ...(field('priority') !== '' && { priority: Number(field('priority')) }),
    ...(field('headers') !== '' && { headers: parse(field('headers'), 'The headers') }),
    ...(form.get('json') === null
      ? { base64: toBase64(body), contentType: field('contentType') || 'text/plain' }
      : { body: parse(body, 'The body') }),
  };
}

function parse(text: string, what: string): unknown {
  try {
    return parseExact(text);
  } catch (error) {
    throw new Error(`${what} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}

function toBase64(text: string): string {
  return btoa(Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join(''));
}
