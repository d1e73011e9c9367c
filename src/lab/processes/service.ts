/**
 * The sign-up service, as a process. `POST /signups` answers when the work is queued, `POST /signups?now` when it is done.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { connect } from '../../sdk/connect.ts';
import type { Rail } from '../../sdk/rail.ts';
import type { Mailer } from '../parts/mailer.ts';
import { emails, greetings, Signup, signups, thumbnails } from '../pipeline.ts';
import { fail, report, startedWith, untilStopped } from './channel.ts';

const Config = z.object({
  url: z.string(),
  /** For the work that is done within the request; without it there is none. */
  now: z.object({ smtpPort: z.number(), out: z.string() }).optional(),
});
export type ServiceConfig = z.infer<typeof Config>;

const MAX_BODY_BYTES = 64 * 1024;

type Take = (signup: Signup) => Promise<void>;

async function main(): Promise<void> {
  const config = startedWith(Config);
  const rail = await connect(config.url, { clientName: 'signup-service', sendTimeout: '3s' });
  await Promise.all([rail.queue(emails).ready(), rail.queue(thumbnails).ready(), rail.topic(signups).ready()]);
  const routes = new Map<string, Take>([
    ['/signups', (signup) => queued(rail, signup)],
    ['/greetings', greeted(rail)],
  ]);
  let mailer: Mailer | undefined;
  if (config.now !== undefined) {
    const { mailerTo } = await import('../parts/mailer.ts');
    mailer = mailerTo(config.now.smtpPort);
    routes.set('/signups?now', await workNow(mailer, config.now.out));
  }
  const server = createServer((request, response) => void answer(routes, request, response));
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  untilStopped(async () => {
    server.closeAllConnections();
    mailer?.close();
    await rail.close();
  });
  // Bound to host and port, so the address is neither a path nor null.
  report({ type: 'ready', port: (server.address() as AddressInfo).port });
}

/** All three are stored, or none: a sign-up that was answered is never half done. */
async function queued(rail: Rail, signup: Signup): Promise<void> {
  const options = { dedupeId: signup.id };
  await rail.transaction((tx) => {
    tx.send(emails, signup, options);
    tx.send(thumbnails, signup, options);
    tx.publish(signups, signup, { ...options, key: signup.id, headers: { plan: signup.plan } });
  });
}

function greeted(rail: Rail): Take {
  const queue = rail.queue(greetings);
  return async (signup) => void (await queue.send(signup));
}

async function workNow(mailer: Mailer, out: string): Promise<Take> {
  const { makeThumbnail } = await import('../parts/thumbnail.ts');
  return async (signup) => {
    await mailer.welcome(signup);
    await makeThumbnail(signup.photo, join(out, `${signup.id}.webp`));
  };
}

/** 201 done, 202 accepted, 400 for what is no sign-up, 503 with the reason: try again. */
async function answer(
  routes: ReadonlyMap<string, Take>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = request.url ?? '';
  const take = request.method === 'POST' ? routes.get(path) : undefined;
  if (take === undefined) return finish(response, 404, 'there is no such path');
  let signup: Signup;
  try {
    signup = Signup.parse(JSON.parse(await bodyOf(request)));
  } catch (error) {
    return finish(response, 400, reason(error));
  }
  try {
    await take(signup);
    finish(response, path.endsWith('?now') ? 201 : 202, '');
  } catch (error) {
    finish(response, 503, reason(error));
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    if (!Buffer.isBuffer(chunk)) continue;
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new Error('the body is larger than 64 KiB');
    chunks.push(chunk);
  }
  return chunks.length === 1 ? String(chunks[0]) : Buffer.concat(chunks).toString('utf8');
}

function finish(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-length': Buffer.byteLength(text) }).end(text);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

main().catch(fail);
