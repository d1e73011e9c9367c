/** What users write around the package, as text: these files run in a project that knows only the installed tarball. */

const DOORS = `['railhead', 'railhead/server', 'railhead/testing']`;

export const DOORS_MJS = `
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
for (const door of ${DOORS}) {
  const imported = await import(door);
  const required = require(door);
  const names = Object.keys(required).sort();
  assert.ok(names.length > 0, door + ' exports nothing');
  assert.deepEqual(Object.keys(imported).filter((name) => name !== 'module.exports').sort(), names, door);
  for (const name of names) assert.equal(imported[name], required[name], door + ' has two copies of ' + name);
}
const { open, connect } = await import('railhead');
assert.equal(typeof open, 'function');
assert.equal(typeof connect, 'function');
`;

/** The body of a test or a program with \`testBroker\` and \`defineQueue\` in scope. */
const ROUND_TRIP = `
  const broker = await testBroker();
  try {
    const queue = broker.rail.queue(defineQueue('jobs'));
    await queue.send({ n: 1 });
    const [message] = await queue.fetch({ max: 1, wait: '5s' });
    if (message === undefined || message.body.n !== 1) throw new Error('got ' + JSON.stringify(message));
    await message.ack();
  } finally {
    await broker.close();
  }
`;

export const ROUND_TRIP_MJS = `import { defineQueue } from 'railhead';\nimport { testBroker } from 'railhead/testing';\n${ROUND_TRIP}`;

export const ROUND_TRIP_CJS = `
const { defineQueue } = require('railhead');
const { testBroker } = require('railhead/testing');
async function main() {${ROUND_TRIP}}
main().catch((error) => { console.error(error); process.exitCode = 1; });
`;

export const JEST: Record<string, string> = {
  'package.json': '{ "private": true }\n',
  'queue.test.js': `
const { defineQueue, RailheadError } = require('railhead');
const { testBroker } = require('railhead/testing');
test('a message goes through a queue', async () => {${ROUND_TRIP}});
test('errors are recognised', () => { expect(RailheadError.is(new RailheadError('CLOSED', 'x'), 'CLOSED')).toBe(true); });
`,
};

export const VITEST: Record<string, string> = {
  'package.json': '{ "private": true, "type": "module" }\n',
  'queue.test.ts': `
import { expect, test } from 'vitest';
import { defineQueue, RailheadError } from 'railhead';
import { testBroker } from 'railhead/testing';
test('a message goes through a queue', async () => {
  const broker = await testBroker();
  const queue = broker.rail.queue(defineQueue('jobs'));
  await queue.send({ n: 1 });
  const [message] = await queue.fetch({ max: 1, wait: '5s' });
  expect(message?.body).toEqual({ n: 1 });
  await message?.ack();
  await broker.close();
});
test('errors are recognised', () => { expect(RailheadError.is(new RailheadError('CLOSED', 'x'), 'CLOSED')).toBe(true); });
`,
};

const MAIN_TS = `
import { connect, defineQueue, open, RailheadError } from 'railhead';
import * as server from 'railhead/server';
import { testBroker } from 'railhead/testing';

export async function main(): Promise<void> {
  if (typeof open !== 'function' || typeof connect !== 'function' || Object.keys(server).length === 0) throw new Error('a door is empty');
  const broker = await testBroker();
  try {
    const { id } = await broker.rail.queue(defineQueue('jobs')).send({ n: 1 });
    const text: string = id;
    if (text === '') throw new RailheadError('INVALID', 'The id is empty.');
  } finally {
    await broker.close();
  }
}
main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
`;

function project(type: 'module' | 'commonjs', compilerOptions: Record<string, unknown>): Record<string, string> {
  const shared = { strict: true, target: 'es2023', types: ['node'], outDir: 'out', rootDir: '.', skipLibCheck: false };
  return {
    'package.json': JSON.stringify({ private: true, type }),
    'tsconfig.json': JSON.stringify({ compilerOptions: { ...shared, ...compilerOptions }, files: ['main.ts'] }),
    'main.ts': MAIN_TS,
  };
}

/** By the setting that people know the project by. CommonJS is what NestJS and Next.js servers are compiled to. */
export const TYPESCRIPT: Record<string, Record<string, string>> = {
  'module nodenext, ES module': project('module', { module: 'nodenext' }),
  'module nodenext, CommonJS': project('commonjs', { module: 'nodenext' }),
  'module esnext, resolution bundler': project('module', { module: 'esnext', moduleResolution: 'bundler' }),
  'module commonjs with decorators, as NestJS has it': project('commonjs', {
    module: 'commonjs',
    moduleResolution: 'bundler',
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    esModuleInterop: true,
  }),
};

/** What `nest new` installs to run, from the registry. */
export const NESTJS_PACKAGES: readonly string[] = [
  '@nestjs/common@11',
  '@nestjs/core@11',
  '@nestjs/platform-express@11',
  'reflect-metadata@0.2',
  'rxjs@7',
];

/** A provider that owns the broker, a controller that sends, a worker, and a request that waits for what it did. */
export const NESTJS: Record<string, string> = {
  ...project('commonjs', {
    module: 'commonjs',
    moduleResolution: 'bundler',
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    esModuleInterop: true,
    skipLibCheck: true,
  }),
  'main.ts': `
import 'reflect-metadata';
import { AddressInfo } from 'node:net';
import { Body, Controller, Get, Injectable, Module, OnModuleDestroy, OnModuleInit, Post } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { defineQueue, open, type Rail, type Worker } from 'railhead';

const mails = defineQueue<{ to: string }>('mails');

@Injectable()
class Mailer implements OnModuleInit, OnModuleDestroy {
  readonly sent: string[] = [];
  #rail?: Rail;
  #worker?: Worker;

  async onModuleInit(): Promise<void> {
    this.#rail = await open({ dir: './data' });
    this.#worker = this.#rail.queue(mails).work(async (mail) => void this.sent.push(mail.body.to));
  }

  async onModuleDestroy(): Promise<void> {
    await this.#worker?.close();
    await this.#rail?.close();
  }

  async mail(to: string): Promise<string> {
    const sent = await this.#rail?.queue(mails).send({ to });
    return sent?.id ?? '';
  }
}

@Controller('mails')
class MailController {
  constructor(private readonly mailer: Mailer) {}

  @Post()
  async create(@Body() body: { to: string }): Promise<{ id: string }> {
    return { id: await this.mailer.mail(body.to) };
  }

  @Get()
  list(): string[] {
    return this.mailer.sent;
  }
}

@Module({ controllers: [MailController], providers: [Mailer] })
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error'] });
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  const url = \`http://127.0.0.1:\${port}/mails\`;
  const headers = { 'content-type': 'application/json' };
  const made = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ to: 'ann@example.com' }) });
  const { id } = (await made.json()) as { id: string };
  if (id === '') throw new Error('nothing was stored');
  for (let seen: string[] = []; seen[0] !== 'ann@example.com'; seen = (await (await fetch(url)).json()) as string[])
    await new Promise((resolve) => setImmediate(resolve));
  await app.close();
  console.log('mailed');
}
main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
`,
};

export const NEXTJS_PACKAGES: readonly string[] = ['next@15', 'react@19', 'react-dom@19'];

/** The app router, with a route handler that sends and takes a message. `next build` bundles the package. */
export const NEXTJS: Record<string, string> = {
  'app/layout.js': `export default function Layout({ children }) { return <html><body>{children}</body></html>; }\n`,
  'app/page.js': `export default function Page() { return <p>jobs</p>; }\n`,
  'app/api/jobs/route.js': `
import { defineQueue, open } from 'railhead';

const jobs = defineQueue('jobs');

export async function POST(request) {
  const rail = await open({ dir: './data' });
  const queue = rail.queue(jobs);
  await queue.send(await request.json());
  const [message] = await queue.fetch({ max: 1, wait: '5s' });
  await message.ack();
  const { acked } = await queue.stats();
  return Response.json({ body: message.body, acked });
}
`,
};
