import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

/** Where SNS posts to. */
export interface Endpoint extends AsyncDisposable {
  readonly url: string;
  /** It was asked whether it wants to be subscribed, and has said so. */
  readonly confirmed: Promise<void>;
}

/** An endpoint that confirms its subscription and takes all that it is posted. */
export async function endpoint(onMessage: (body: string) => void): Promise<Endpoint> {
  const { promise: confirmed, resolve: confirm } = Promise.withResolvers<void>();
  const take = async (request: IncomingMessage): Promise<void> => {
    const body = await text(request);
    if (request.headers['x-amz-sns-message-type'] === 'Notification') return onMessage(body);
    // As SNS has it.
    const { SubscribeURL } = JSON.parse(body) as { SubscribeURL: string };
    if ((await fetch(SubscribeURL)).ok) confirm();
  };
  const server = createServer((request, response) => {
    // Who was killed while it posted ends in the middle of it, and posts again.
    take(request).then(
      () => response.end(),
      () => response.destroy(),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return {
    url: `http://127.0.0.1:${port}/`,
    confirmed,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
