import { useEffect, useState } from 'preact/hooks';
import { apiPath, call, messageOf } from '../api.ts';
import { type PolicyShown, sentences } from '../model/policy.ts';

interface Described {
  policy: PolicyShown;
  createdAt: string;
  subscriptions: { subscription: string; policy: PolicyShown; createdAt: string }[];
}

export interface PolicyProps {
  topic: string;
  kind: 'queue' | 'topic';
  /** Of a topic: the one that the policy is of. */
  subscription?: string;
}

/** What the broker promises of it, in words. */
export function Policy({ topic, kind, subscription }: PolicyProps) {
  const [found, setFound] = useState<Described>();
  const [failure, setFailure] = useState('');
  useEffect(() => {
    call<Described>('GET', apiPath(kind === 'queue' ? 'queues' : 'topics', topic)).then(setFound, (error: unknown) =>
      setFailure(messageOf(error)),
    );
  }, [topic, kind]);
  const own = found?.subscriptions.find((one) => one.subscription === subscription);
  const policy = kind === 'topic' && subscription !== undefined ? own?.policy : found?.policy;
  return (
    <section aria-labelledby="policy">
      <h2 id="policy">Policy</h2>
      {failure !== '' && <p class="muted">{failure}</p>}
      {policy !== undefined && (
        <dl class="sentences card">
          {sentences(policy).map(({ about, text }) => (
            <div key={about}>
              <dt>{about}</dt>
              <dd>{text}</dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  );
}
