import { LOCAL_PRINCIPAL } from '../../core/auth.ts';
import type { Connect } from '../session-cache.ts';

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
