import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { apiPath, call, messageOf } from '../api.ts';
import { decodeBody } from '../model/decode.ts';
import { REASONS } from '../model/dead.ts';
import { bytes, duration, many, time } from '../model/format.ts';
import type { History, Message } from '../model/message.ts';

export function pathOf(topic: string, subscription: string): string[] {
  return topic === subscription ? ['queues', topic] : ['topics', topic, 'subscriptions', subscription];
}

const STATES = ['ready', 'delayed', 'leased', 'settled'] as const;
const PAGE = 20;

/** What lies in a queue, looked at without taking it. */
export function Messages({ topic, subscription }: { topic: string; subscription: string }) {
  const [state, setState] = useState<(typeof STATES)[number]>('ready');
  const [found, setFound] = useState<Message[]>();
  const [more, setMore] = useState(false);
  const [failure, setFailure] = useState('');

  const load = async (after?: string): Promise<void> => {
    const query = new URLSearchParams({
      state,
      limit: String(PAGE),
      decode: 'true',
      ...(after !== undefined && { after }),
    });
    try {
      const { messages } = await call<{ messages: Message[] }>(
        'GET',
        `${apiPath(...pathOf(topic, subscription), 'messages')}?${query}`,
      );
      setFound((before) => (after === undefined ? messages : [...(before ?? []), ...messages]));
      setMore(messages.length === PAGE);
      setFailure('');
    } catch (error) {
      setFailure(messageOf(error));
    }
  };
  useEffect(() => {
    setFound(undefined);
    void load();
  }, [topic, subscription, state]);

  return (
    <section aria-labelledby="messages">
      <div class="section-head">
        <h2 id="messages">Messages</h2>
        <div class="choice" role="group" aria-label="State of the messages">
          {STATES.map((one) => (
            <button key={one} type="button" aria-pressed={state === one} onClick={() => setState(one)}>
              {one === 'leased' ? 'in flight' : one}
            </button>
          ))}
        </div>
        <span class="spacer" />
        <button type="button" onClick={() => void load()}>
          Look again
        </button>
      </div>
      {failure !== '' && <p class="failure">{failure}</p>}
      {found?.length === 0 && <p class="muted">No message is {state === 'leased' ? 'in flight' : state} now.</p>}
      {found !== undefined && found.length > 0 && (
        <ol class="messages card">
          {found.map((message) => (
            <li key={message.id}>
              <MessageView message={message} />
            </li>
          ))}
        </ol>
      )}
      {more && (
        <button type="button" onClick={() => void load(found?.at(-1)?.id)}>
          More
        </button>
      )}
    </section>
  );
}

export function MessageView({ message, children }: { message: Message; children?: ComponentChildren }) {
  const { text, as, bytes: length } = decodeBody(message);
  const summary = text.replaceAll(/\s+/g, ' ').slice(0, 240);
  return (
    <details class="message">
      <summary>
        <span class="mono faint">{message.id}</span>
        {message.key !== undefined && <span class="badge">{message.key}</span>}
        <span class="mono summary-body">{message.bodyBytes === undefined ? summary : 'a large body'}</span>
        <span class="muted small">{message.attempts > 0 && many(message.attempts, 'attempt')}</span>
        <time class="muted small" dateTime={message.publishedAt}>
          {time(Date.parse(message.publishedAt))}
        </time>
      </summary>
      <MessageFacts message={message} />
      <Body message={message} as={as} length={message.bodyBytes ?? length} />
      {children}
    </details>
  );
}

function MessageFacts({ message }: { message: Message }) {
  const { headers = {}, dueAt, expiresAt, priority, contentType, attempts, crashes } = message;
  const facts: [string, string][] = [
    [
      'Published',
      `${time(Date.parse(message.publishedAt))}, ${duration(Date.now() - Date.parse(message.publishedAt))} ago`,
    ],
    ...(dueAt === null
      ? []
      : [[message.state === 'leased' ? 'Lease ends' : 'Due', time(Date.parse(dueAt))] as [string, string]]),
    ...(expiresAt === null ? [] : [['Expires', time(Date.parse(expiresAt))] as [string, string]]),
    ['Attempts', `${attempts}${crashes > 0 ? `, and ${many(crashes, 'crash', 'crashes')}` : ''}`],
    ...(priority === undefined ? [] : [['Priority', String(priority)] as [string, string]]),
    ...(contentType === undefined ? [] : [['Content type', contentType] as [string, string]]),
    ...Object.entries(headers).map(([name, value]): [string, string] => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  ];
  return (
    <dl class="message-facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
      {message.history !== undefined && <Story history={message.history} />}
    </dl>
  );
}

/** Where it was and why it died, the newest first. */
function Story({ history }: { history: History }) {
  const { reason, error, topic, subscription, attempts, crashes, publishedAt, deadAt, deaths = [] } = history;
  const where = topic === subscription ? topic : `${subscription} of ${topic}`;
  return (
    <div>
      <dt>Story</dt>
      <dd>
        <ol class="story">
          <li>
            {time(Date.parse(publishedAt))}: published to {topic}
          </li>
          {deaths
            .slice(1)
            .toReversed()
            .map((death) => (
              <li key={`${death.topic}\n${death.subscription}\n${death.reason}`}>
                {time(Date.parse(death.firstAt))}: died in {death.subscription}, since{' '}
                {REASONS[death.reason] ?? death.reason}
                {death.count > 1 && `, ${many(death.count, 'time')}`}
              </li>
            ))}
          <li>
            {time(Date.parse(deadAt))}: died in {where}, since {REASONS[reason] ?? reason}, after{' '}
            {many(attempts, 'attempt')}
            {crashes > 0 && ` and ${many(crashes, 'crash', 'crashes')}`}
            {error !== undefined && <pre class="error-text">{error}</pre>}
          </li>
        </ol>
      </dd>
    </div>
  );
}

function Body({ message, as, length }: { message: Message; as: string; length: number }) {
  const [hex, setHex] = useState(false);
  if (message.bodyBytes !== undefined)
    return <p class="muted">The body has {bytes(message.bodyBytes)} and is not shown here.</p>;
  const decoded = decodeBody(message);
  return (
    <div class="body">
      <p class="muted small">
        {as}, {bytes(length)}
        {decoded.hex !== undefined && (
          <button type="button" class="link" aria-pressed={hex} onClick={() => setHex(!hex)}>
            {hex ? 'as text' : 'as bytes'}
          </button>
        )}
      </p>
      <pre tabIndex={0}>{hex ? decoded.hex : decoded.text}</pre>
    </div>
  );
}
