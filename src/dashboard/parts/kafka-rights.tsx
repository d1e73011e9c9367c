import { apiPath, call } from '../api.ts';
import { bytes } from '../model/format.ts';
import { useFetched } from './fetched.ts';
import { attempt, say } from './toasts.tsx';

interface Acl {
  user: string;
  kind: string;
  pattern: 'literal' | 'prefixed';
  name: string;
  operation: string;
  permission: 'allow' | 'deny';
}

interface Quota {
  user?: string | null;
  clientId?: string | null;
  producerByteRate?: number;
  consumerByteRate?: number;
}

/** What Kafka's tools say of users beside this page: nothing where they said nothing. */
export function KafkaRights({ mayChange }: { mayChange: boolean }) {
  const acls = useFetched<{ acls: Acl[] }>(apiPath('acls'));
  const quotas = useFetched<{ quotas: Quota[] }>(apiPath('quotas'));
  const allAcls = acls.value?.acls ?? [];
  const allQuotas = quotas.value?.quotas ?? [];
  const remove = async (acl: Acl): Promise<void> => {
    await call('POST', apiPath('acls', 'remove'), acl);
    say(`Removed: ${textOf(acl)}.`);
    acls.again();
  };
  return (
    <>
      {allAcls.length > 0 && (
        <section class="card" aria-label="Kafka's ACLs">
          <h2>Kafka's ACLs</h2>
          <p class="muted">They stand before roles and rules, and count for no admin.</p>
          {allAcls.map((acl) => (
            <div key={JSON.stringify(acl)}>
              {textOf(acl)}
              {mayChange && (
                <button
                  type="button"
                  class="link"
                  aria-label={`Remove: ${textOf(acl)}`}
                  onClick={() => attempt(() => remove(acl))}
                >
                  Remove
                </button>
              )}
            </div>
          ))}
        </section>
      )}
      {allQuotas.length > 0 && (
        <section class="card" aria-label="Kafka's quotas">
          <h2>Kafka's quotas</h2>
          {allQuotas.map((quota) => (
            <div key={JSON.stringify(quota)}>
              {whose(quota)}: {limits(quota)}
            </div>
          ))}
        </section>
      )}
    </>
  );
}

function textOf({ user, permission, operation, kind, pattern, name }: Acl): string {
  const who = user === '*' ? 'everybody' : user;
  const what = kind === 'cluster' ? 'the cluster' : `${kind} ${name}${pattern === 'prefixed' ? '…' : ''}`;
  return `${who} ${permission === 'allow' ? 'may' : 'may not'} ${operation} ${what}`;
}

function whose({ user, clientId }: Quota): string {
  const part = (what: string, name: string | null | undefined): string[] =>
    name === undefined ? [] : [name === null ? `every other ${what}` : `${what} ${name}`];
  return [...part('user', user), ...part('client', clientId)].join(', ');
}

function limits({ producerByteRate, consumerByteRate }: Quota): string {
  const part = (verb: string, rate: number | undefined): string[] =>
    rate === undefined ? [] : [`${verb} ${bytes(rate)} a second`];
  return [...part('produces', producerByteRate), ...part('consumes', consumerByteRate)].join(', ');
}
