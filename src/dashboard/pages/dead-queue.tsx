import { useEffect, useState } from 'preact/hooks';
import { apiPath, call, messageOf, parseExact, who } from '../api.ts';
import { found, type Group, groupsOf, REASON_TITLES } from '../model/dead.ts';
import { count, many, time } from '../model/format.ts';
import type { Message } from '../model/message.ts';
import { link } from '../model/place.ts';
import { deadLetterQueues } from '../model/rows.ts';
import { look, now, rows } from '../live.ts';
import { Dialog } from '../parts/dialog.tsx';
import { MessageView } from '../parts/messages.tsx';
import { Redrive, type Redriven } from '../parts/redrive.tsx';
import { Search } from '../parts/search.tsx';
import { attempt, say } from '../parts/toasts.tsx';
import { Waiting } from '../parts/waiting.tsx';
import { Gone } from './topic.tsx';
import { Failure } from '../parts/failure.tsx';

const PIECE = 500;
/** As many are looked at; what is done to all is done to the rest too. */
const MAX_LOOKED_AT = 5_000;
const SHOWN = 20;

/** Without `ids` to all, also those that were not looked at. */
type Doing = { what: 'redrive' | 'drop'; ids?: string[] } | { what: 'edit'; message: Message };

/** One queue of dead letters: why they died, and what is done about it. */
export function DeadQueuePage({ queue }: { queue: string }) {
  void look.value;
  const [messages, setMessages] = useState<Message[]>();
  const [failure, setFailure] = useState('');
  const [search, setSearch] = useState('');
  const [doing, setDoing] = useState<Doing>();
  const [redriving, setRedriving] = useState<Redriven>();

  const load = async (): Promise<void> => {
    const all: Message[] = [];
    try {
      for (let after: string | undefined; all.length < MAX_LOOKED_AT; after = all.at(-1)?.id) {
        const query = new URLSearchParams({
          limit: String(PIECE),
          decode: 'true',
          ...(after !== undefined && { after }),
        });
        const path = `${apiPath('queues', queue, 'messages')}?${query}`;
        const { messages: piece } = await call<{ messages: Message[] }>('GET', path);
        all.push(...piece);
        if (piece.length < PIECE) break;
      }
      setMessages(all);
      setFailure('');
    } catch (error) {
      setFailure(messageOf(error));
    }
  };
  useEffect(() => void load(), [queue]);

  const row = rows.get(queue);
  if (row === undefined) return now.sample === undefined ? <Waiting /> : <Gone name={queue} />;
  const depth = row.subscriptions[0]?.depth ?? 0;
  const source = sourceOf(queue);
  const wanted = (messages ?? []).filter((message) => found(message, search));
  const groups = groupsOf(wanted);
  const close = (): void => setDoing(undefined);
  const { publish = true, manage = true } = who.value?.may ?? {};
  return (
    <>
      <div class="page-head">
        <p class="crumbs">
          <a href={link('dead')}>Dead letters</a>
        </p>
        <h1>{queue}</h1>
        <p class="muted" role="status">
          {many(depth, 'dead letter')}
        </p>
        <span class="spacer" />
        <Search label="Search dead letters: id, key, error, headers, body" value={search} onInput={setSearch} />
        <button type="button" onClick={() => attempt(load)}>
          Look again
        </button>
        {manage && (
          <button type="button" class="danger" disabled={depth === 0} onClick={() => setDoing({ what: 'drop' })}>
            Drop all…
          </button>
        )}
        {publish && (
          <button type="button" class="primary" disabled={depth === 0} onClick={() => setDoing({ what: 'redrive' })}>
            Redrive all…
          </button>
        )}
      </div>
      <Failure text={failure} />
      {redriving !== undefined && (
        <Redrive
          key={redriving.id}
          of={redriving}
          onEnd={() => {
            attempt(load);
          }}
          onClose={() => setRedriving(undefined)}
        />
      )}
      {messages?.length === 0 && (
        <div class="empty">
          <h2>None are left</h2>
          <p>Whatever died here was redriven or dropped.</p>
        </div>
      )}
      {messages !== undefined && messages.length < depth && messages.length >= MAX_LOOKED_AT && (
        <p class="muted">
          The first {count(messages.length)} are grouped below; what is done to all is done to the rest too.
        </p>
      )}
      {messages !== undefined && messages.length > 0 && groups.length === 0 && <p class="muted">None is like this.</p>}
      {groups.map((group) => (
        <GroupView key={group.key} group={group} onDo={setDoing} mayRedrive={publish} mayDrop={manage} />
      ))}
      {doing !== undefined && doing.what !== 'edit' && (
        <DoDialog
          doing={doing}
          queue={queue}
          source={source}
          onClose={close}
          onDone={(id) => {
            if (id !== undefined) setRedriving(id);
            attempt(load);
          }}
        />
      )}
      {doing?.what === 'edit' && (
        <EditDialog message={doing.message} source={source} onClose={close} onDone={setRedriving} />
      )}
    </>
  );
}

/** The routes are those of a queue whose dead letters lie here: of itself, when what dies here stays here. */
function sourceOf(queue: string): string[] {
  const own = rows.get(queue)?.subscriptions[0];
  const [source] = deadLetterQueues(rows).get(queue) ?? [];
  if (own?.deadLetterQueue === queue || source === undefined) return ['queues', queue, 'dead'];
  const { topic, name } = source;
  return topic === name ? ['queues', topic, 'dead'] : ['topics', topic, 'subscriptions', name, 'dead'];
}

interface GroupProps {
  group: Group;
  onDo: (doing: Doing) => void;
  mayRedrive: boolean;
  mayDrop: boolean;
}

function GroupView({ group, onDo, mayRedrive, mayDrop }: GroupProps) {
  const { reason, error, from, messages, first, last } = group;
  const [open, setOpen] = useState(false);
  const [shown, setShown] = useState(SHOWN);
  const ids = messages.map(({ id }) => id);
  return (
    <section class="card group" aria-label={`${REASON_TITLES[reason] ?? reason}: ${error}`}>
      <div class="group-head">
        <span class="group-count">{count(messages.length)}</span>
        <div>
          <h2>
            {REASON_TITLES[reason] ?? reason}
            {from !== '' && <span class="muted"> in {from}</span>}
          </h2>
          {error !== '' && <p class="mono group-error">{error}</p>}
          <p class="muted small">{first === last ? time(first) : `${time(first)} to ${time(last)}`}</p>
        </div>
        <div class="group-buttons">
          <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? 'Hide' : 'Show'}
          </button>
          {mayDrop && (
            <button type="button" class="danger" onClick={() => onDo({ what: 'drop', ids })}>
              Drop…
            </button>
          )}
          {mayRedrive && (
            <button type="button" onClick={() => onDo({ what: 'redrive', ids })}>
              Redrive…
            </button>
          )}
        </div>
      </div>
      {open && (
        <ol class="messages">
          {messages.slice(0, shown).map((message) => (
            <li key={message.id}>
              <MessageView message={message}>
                <div class="buttons">
                  {mayDrop && (
                    <button type="button" class="danger" onClick={() => onDo({ what: 'drop', ids: [message.id] })}>
                      Drop…
                    </button>
                  )}
                  {mayRedrive && message.bodyBytes === undefined && (
                    <button type="button" onClick={() => onDo({ what: 'edit', message })}>
                      Edit and redrive…
                    </button>
                  )}
                  {mayRedrive && (
                    <button type="button" onClick={() => onDo({ what: 'redrive', ids: [message.id] })}>
                      Redrive…
                    </button>
                  )}
                </div>
              </MessageView>
            </li>
          ))}
          {shown < messages.length && (
            <li class="more">
              <button type="button" onClick={() => setShown(shown + 100)}>
                More
              </button>
            </li>
          )}
        </ol>
      )}
    </section>
  );
}

/** Of a redrive, as it begins. */
interface Started {
  id: string;
  startedAt: string;
}

interface DoProps {
  doing: Exclude<Doing, { what: 'edit' }>;
  queue: string;
  source: string[];
  onClose: () => void;
  /** With the id of a redrive. */
  onDone: (redriven?: Redriven) => void;
}

/** Of all it says how many, counted now and not when the page was drawn. */
function DoDialog({ doing, queue, source, onClose, onDone }: DoProps) {
  const [rate, setRate] = useState('');
  const [to, setTo] = useState('');
  const [failure, setFailure] = useState('');
  const { what, ids } = doing;
  const [counted, setCounted] = useState(ids?.length);
  useEffect(() => {
    if (ids !== undefined) return;
    call<{ ready: number; delayed: number }>('GET', apiPath('topics', queue, 'subscriptions', queue, 'stats')).then(
      ({ ready, delayed }) => setCounted(ready + delayed),
      (error: unknown) => setFailure(messageOf(error)),
    );
  }, []);
  const some = counted === undefined ? 'all dead letters' : many(counted, 'dead letter');
  const run = async (): Promise<void> => {
    try {
      const chosen = ids === undefined ? {} : { ids: ids.slice(0, 10_000) };
      if (what === 'drop') {
        const { dropped } = await call<{ dropped: number }>('POST', apiPath(...source, 'drop'), chosen);
        say(`${many(dropped, 'dead letter')} dropped.`);
        onDone();
      } else {
        const body: { to?: string } = {
          ...chosen,
          ...(rate !== '' && { ratePerSecond: Number(rate) }),
          ...(to.trim() !== '' && { to: to.trim() }),
        };
        const { id, startedAt } = await call<Started>('POST', apiPath(...source, 'redrive'), body);
        onDone({ id, source, undo: { since: startedAt, ...(body.to !== undefined && { to: body.to }) } });
      }
      onClose();
    } catch (error) {
      setFailure(messageOf(error));
    }
  };
  return (
    <Dialog title={what === 'drop' ? `Drop ${some}?` : `Redrive ${some}?`} onClose={onClose}>
      {what === 'drop' ? (
        <p>They are gone for good then, with their stories.</p>
      ) : (
        <form onSubmit={(event) => event.preventDefault()}>
          <p>They go back to where they came from, with their attempts at zero, and can be stopped on the way.</p>
          <div class="columns">
            <label>
              Messages a second
              <input
                type="number"
                min="0.1"
                step="any"
                placeholder="as fast as it goes"
                value={rate}
                onInput={(event) => setRate(event.currentTarget.value)}
              />
            </label>
            <label>
              To another queue
              <input placeholder="back" value={to} onInput={(event) => setTo(event.currentTarget.value)} />
            </label>
          </div>
        </form>
      )}
      <Failure text={failure} />
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Leave them
        </button>
        <button
          type="button"
          class={what === 'drop' ? 'danger solid' : 'primary'}
          disabled={counted === undefined || counted === 0}
          onClick={() => void run()}
        >
          {what === 'drop' ? 'Drop' : 'Redrive'} {some}
        </button>
      </div>
    </Dialog>
  );
}

interface EditProps {
  message: Message;
  source: string[];
  onClose: () => void;
  onDone: (redriven: Redriven) => void;
}

/** Another body goes in the place of the dead letter; its key, headers and the rest stay as they are. */
function EditDialog({ message, source, onClose, onDone }: EditProps) {
  const isJson = message.base64 === undefined;
  const [text, setText] = useState(isJson ? JSON.stringify(message.body, null, 2) : (message.base64 ?? ''));
  const [failure, setFailure] = useState('');
  const run = async (): Promise<void> => {
    const { id, key, headers, priority, contentType } = message;
    try {
      const edit = {
        id,
        ...(key !== undefined && { key }),
        ...(headers !== undefined && { headers }),
        ...(priority !== undefined && { priority }),
        ...(contentType !== undefined && { contentType }),
        ...(isJson ? { body: parseExact(text) } : { base64: text.replaceAll(/\s/g, '') }),
      };
      const body = { ids: [id], edits: [edit] };
      const { id: redrive, startedAt } = await call<Started>('POST', apiPath(...source, 'redrive'), body);
      onDone({ id: redrive, source, undo: { since: startedAt } });
      onClose();
    } catch (error) {
      setFailure(messageOf(error));
    }
  };
  return (
    <Dialog title={`Edit and redrive ${message.id}`} onClose={onClose} wide>
      <label>
        {isJson ? 'Body, as JSON' : 'Body, as base64'}
        <textarea
          class="mono"
          rows={12}
          spellcheck={false}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
      </label>
      <Failure text={failure} />
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Leave it
        </button>
        <button type="button" class="primary" onClick={() => void run()}>
          Redrive it so
        </button>
      </div>
    </Dialog>
  );
}
