/**
 * What the native protocol alone can carry: a client process, a broker process that accepts everything and stores
 * nothing, 100-byte messages. Says how much of the budget of a real publish goes into frames and sockets.
 *
 * node benches/native-protocol.ts [seconds for each figure, default 2]
 */
import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LOCAL_PRINCIPAL } from '../src/core/auth.ts';
import { SystemClock } from '../src/core/clock.ts';
import { FORMAT_NATIVE, RecordBatchWriter } from '../src/core/records.ts';
import type { Consumer, DeliverySink, PublishReceipt, Session, SettleReceipt } from '../src/core/session.ts';
import { Listener } from '../src/gateways/listener.ts';
import { NativeGateway } from '../src/gateways/native/server.ts';
import { connectRemote, type RemoteSession } from '../src/sdk/remote/remote-session.ts';

const MESSAGE_BYTES = 100;

function batchOf(count: number): Buffer {
  const writer = new RecordBatchWriter();
  for (let i = 0; i < count; i++) writer.append({}, 'x'.repeat(MESSAGE_BYTES));
  return writer.take().bytes;
}

// ---- Broker process -------------------------------------------------------------------------------------------------

/** Confirms at once; delivers runs of up to 256 as long as there is credit. */
class NothingStored implements Session {
  #offset = 0;
  #token = 0;

  publish(request: { count: number }): Promise<PublishReceipt> {
    const offset = this.#offset;
    this.#offset += request.count;
    return Promise.resolve({ topicId: 1, runs: [{ topicId: 1, partition: 0, offset, count: request.count }] });
  }

  body(): Promise<never> {
    throw new Error('Small messages only.');
  }

  consume(_request: unknown, sink: DeliverySink): Promise<Consumer> {
    const records = batchOf(256);
    let credit = 0;
    let scheduled = false;
    const feed = (): void => {
      scheduled = false;
      for (; credit > 0;) {
        const count = Math.min(credit, 256);
        credit -= count;
        const token = ++this.#token;
        const run = {
          topicId: 1,
          partition: 0,
          offset: token * 256,
          count,
          token,
          attempt: 1,
          publishedAt: 1,
          deadline: 2,
          format: FORMAT_NATIVE,
        };
        sink.deliver([{ ...run, records: records.subarray(0, (records.byteLength / 256) * count) }]);
      }
    };
    return Promise.resolve({
      id: 1,
      credit: (messages) => {
        credit += messages;
        if (!scheduled) setImmediate(feed);
        scheduled = true;
      },
      close: () => Promise.resolve(),
    });
  }

  settle(): Promise<SettleReceipt> {
    return Promise.resolve({ lost: [] });
  }

  commit(): Promise<PublishReceipt[]> {
    return Promise.resolve([]);
  }

  request(): Promise<never> {
    return Promise.reject(new Error('not measured'));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

async function broker(socketPath: string): Promise<void> {
  const clock = new SystemClock();
  const gateway = new NativeGateway({
    authenticator: { required: false, authenticate: () => Promise.resolve(LOCAL_PRINCIPAL) },
    connect: () => new NothingStored(),
    broker: { version: 'bench', journalId: 'bench' },
    clock,
    report: (error) => process.stderr.write(`${String(error)}\n`),
  });
  await new Listener({ gateway, clock }).listen({ path: socketPath });
  const http = createServer();
  http.on('upgrade', (request, socket, head) => {
    if (!gateway.upgrade(request, socket, head)) socket.destroy();
  });
  http.listen(0, '127.0.0.1', () => {
    const address = http.address();
    process.send?.(typeof address === 'object' ? address?.port : 0);
  });
  process.on('disconnect', () => process.exit(0));
}

// ---- Client process -------------------------------------------------------------------------------------------------

/** Messages a second of publishes of `count` messages each, `inFlight` of them unconfirmed. */
function publishing(session: RemoteSession, count: number, inFlight: number, ms: number): Promise<number> {
  const records = batchOf(count);
  const started = performance.now();
  return new Promise((resolve, reject) => {
    let confirmed = 0;
    let open = 0;
    const send = (): void => {
      open++;
      session.publish({ to: { topic: 'bench' }, format: FORMAT_NATIVE, records, count }).then(confirm, reject);
    };
    const confirm = (): void => {
      open--;
      confirmed += count;
      if (performance.now() - started < ms) send();
      else if (open === 0) resolve((confirmed * 1000) / (performance.now() - started));
    };
    for (let i = 0; i < inFlight; i++) send();
  });
}

/** Messages a second received and acked one by one; the acks of one tick travel in one frame, as the SDK sends them. */
async function consuming(session: RemoteSession, ms: number): Promise<number> {
  let acked = 0;
  let ranges: { partition: number; offset: number; count: number; token: number }[] = [];
  let over = false;
  const flush = (): void => {
    if (over) return;
    const sent = ranges;
    ranges = [];
    void session.settle([{ topic: 'bench', subscription: 'bench', action: 'ack', ranges: sent }]).then(() => {
      acked += sent.length;
      if (!over) consumer.credit(sent.length);
    });
  };
  const consumer = await session.consume(
    { topic: 'bench', subscription: 'bench', lease: 'session' },
    {
      deliver: (runs) => {
        for (const run of runs) {
          for (let i = 0; i < run.count; i++) {
            if (ranges.length === 0) setImmediate(flush);
            ranges.push({ partition: run.partition, offset: run.offset + i, count: 1, token: run.token });
          }
        }
      },
      ended: () => {},
    },
  );
  const started = performance.now();
  consumer.credit(8192);
  await new Promise((resolve) => setTimeout(resolve, ms));
  const rate = (acked * 1000) / (performance.now() - started);
  over = true;
  await consumer.close();
  return rate;
}

async function client(ms: number): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'railhead-bench-'));
  const socketPath = join(dir, 'socket');
  const child = fork(process.argv[1] ?? '', ['broker', socketPath], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  try {
    const port = await new Promise<number>((resolve) => child.once('message', (value) => resolve(Number(value))));
    for (const [name, options] of [
      ['TCP', { url: `railhead://127.0.0.1:${port}` }],
      ['Unix socket', { socketPath }],
    ] as const) {
      const session = await connectRemote(options);
      const show = (what: string, rate: number): void => {
        process.stdout.write(
          `${name.padEnd(12)} ${what.padEnd(44)} ${Math.round(rate).toLocaleString('en').padStart(12)}/s\n`,
        );
      };
      for (const [count, inFlight] of [
        [512, 16],
        [64, 64],
        [8, 256],
        [1, 1024],
      ] as const) {
        await publishing(session, count, inFlight, ms / 4);
        show(`publish, ${count} a request, ${inFlight} in flight`, await publishing(session, count, inFlight, ms));
      }
      show('receive in runs of 256, ack one by one', await consuming(session, ms));
      await session.close();
    }
  } finally {
    child.disconnect();
    await rm(dir, { recursive: true });
  }
}

if (process.argv[2] === 'broker') await broker(process.argv[3] ?? '');
else await client(Number(process.argv[2] ?? 2) * 1000);
