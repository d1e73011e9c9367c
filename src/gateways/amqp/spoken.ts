import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import { OPERATOR_POLICY_DOCUMENT, POLICY_DOCUMENT } from '../policies.ts';
import type { Connect } from '../session-cache.ts';
import { VHOST_DOCUMENT } from '../vhost-facts.ts';
import { VHOST_LIMIT_DOCUMENT } from '../vhost-limits.ts';

const RULES: readonly string[] = [POLICY_DOCUMENT, OPERATOR_POLICY_DOCUMENT, VHOST_LIMIT_DOCUMENT, VHOST_DOCUMENT];

/** Whether documents of this kind say what is so in a virtual host, and have to be applied. */
export function isRule(kind: string): boolean {
  return RULES.includes(kind);
}

/** Made with its virtual host, and never deleted. */
export const FIRST_EXCHANGE = 'amq.direct';

/** The namespaces in which AMQP was ever spoken: all that there may be to do for it at a start is there. */
export async function namespacesOfAmqp(connect: Connect, namespaces: Iterable<string>): Promise<string[]> {
  const spoken: string[] = [];
  for (const namespace of namespaces) {
    const session = connect({ principal: LOCAL_PRINCIPAL, namespace, name: 'amqp' });
    const { routers } = await session.request('listRouters', {});
    await session.close();
    if (routers.some(({ name }) => name === FIRST_EXCHANGE)) spoken.push(namespace);
  }
  return spoken;
}
