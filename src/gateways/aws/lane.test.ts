import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { testBroker } from '../../testing/index.ts';
import { HeadReader } from './head.ts';
import { Lane } from './lane.ts';

const LIST = '{}';
/** What waits for an answer that never comes. */
const LIMIT = { timeout: 20_000 };
const HEADERS = 'Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.ListQueues\r\n';

function post(body: string, more = ''): string {
  return `POST / HTTP/1.1\r\nHost: localhost\r\n${HEADERS}${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

/** What it reads, with all headers. */
function read(reader: HeadReader, bytes: Buffer): object | undefined {
  const head = reader.read(bytes);
  return head === undefined ? undefined : { ...head, headers: reader.headers() };
}

test('a plain POST is read, its headers by lower-case names and without the space around them', () => {
  const bytes = Buffer.from(
    'POST /a?b=c HTTP/1.1\r\nHost: x:1\r\nX-Amz-Target:  A.B \t\r\ncontent-length: 2\r\n\r\n{}',
  );
  assert.deepEqual(read(new HeadReader(), bytes), {
    url: '/a?b=c',
    headers: { host: 'x:1', 'x-amz-target': 'A.B', 'content-length': '2' },
    bodyBytes: 2,
    start: bytes.byteLength - 2,
  });
});

test('a line that stays the same from one request to the next means the same, and one that changes what it says now', () => {
  const reader = new HeadReader();
  const headers = (a: string, b: string): unknown =>
    reader.read(Buffer.from(`POST / HTTP/1.1\r\nHost: x\r\nA: ${a}\r\n${b}: c\r\nContent-Length: 0\r\n\r\n`)) &&
    reader.headers();
  const rest = { host: 'x', 'content-length': '0' };
  assert.deepEqual(headers('1', 'B'), { ...rest, a: '1', b: 'c' });
  assert.deepEqual(headers('2', 'B'), { ...rest, a: '2', b: 'c' });
  assert.equal(headers('2', 'A'), undefined);
  assert.equal(headers('2', 'Transfer-Encoding'), undefined);
  assert.deepEqual(headers('2', 'D'), { ...rest, a: '2', d: 'c' });
});

test('what came before on a connection changes nothing of what a head says', () => {
  const line = fc.tuple(
    fc.constantFrom('Host', 'A', 'a', 'B', 'AB', 'Expect', 'content-length'),
    fc.constantFrom('1', '12', ' 1 '),
  );
  const head = fc
    .tuple(fc.constantFrom('/', '/a', '/a b'), fc.array(line, { maxLength: 4 }), fc.boolean())
    .map(([url, lines, isGood]) => {
      const all = isGood ? [['Host', 'x'], ...lines, ['Content-Length', '0']] : lines;
      return `POST ${url} HTTP/1.1\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
    });
  fc.assert(
    fc.property(fc.array(head, { maxLength: 8 }), (heads) => {
      const reader = new HeadReader();
      for (const each of heads.map((text) => Buffer.from(text)))
        assert.deepEqual(read(reader, each), read(new HeadReader(), each));
    }),
    { numRuns: 500 },
  );
});

const NOT_PLAIN: Record<string, string> = {
  'another method': 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n',
  'an older version': 'POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n',
  'a URL with a host': 'POST http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n',
  'a space in the URL': 'POST /a b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n',
  'a head that is cut off': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n',
  'lines that end with a line feed alone': 'POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n\r\n\r\n',
  'a carriage return in a value': 'POST / HTTP/1.1\r\nHost: x\ry\r\nContent-Length: 0\r\n\r\n',
  'a NUL in a value': 'POST / HTTP/1.1\r\nHost: x\0\r\nContent-Length: 0\r\n\r\n',
  'a folded line': 'POST / HTTP/1.1\r\nHost: x\r\n y\r\nContent-Length: 0\r\n\r\n',
  'a space before the colon': 'POST / HTTP/1.1\r\nHost : x\r\nContent-Length: 0\r\n\r\n',
  'no colon': 'POST / HTTP/1.1\r\nHost: x\r\nnothing\r\nContent-Length: 0\r\n\r\n',
  'no name': 'POST / HTTP/1.1\r\nHost: x\r\n: y\r\nContent-Length: 0\r\n\r\n',
  'no host': 'POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n',
  'no length': 'POST / HTTP/1.1\r\nHost: x\r\n\r\n',
  'a length that is no number': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n0',
  'two lengths': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n0',
  'a length and chunks':
    'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  'a wish to be asked first': 'POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n',
  'a connection that is to end': 'POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n',
  'a name that every object has': 'POST / HTTP/1.1\r\nHost: x\r\n__proto__: y\r\nContent-Length: 0\r\n\r\n',
  'too many headers': `POST / HTTP/1.1\r\nHost: x\r\n${Array.from({ length: 100 }, (_, i) => `a${i}: b\r\n`).join('')}Content-Length: 0\r\n\r\n`,
  'too long a head': `POST / HTTP/1.1\r\nHost: x\r\na: ${'b'.repeat(17_000)}\r\nContent-Length: 0\r\n\r\n`,
};

for (const [what, text] of Object.entries(NOT_PLAIN))
  test(`${what} is left to Node's parser`, () =>
    assert.equal(new HeadReader().read(Buffer.from(text, 'latin1')), undefined));

test('whatever comes is read or not, without an error', () => {
  const part = fc.oneof(
    fc.constantFrom('POST ', '/', ' HTTP/1.1', '\r\n', '\r', '\n', ': ', 'Host', 'Content-Length', '1', '\r\n\r\n'),
    fc.string({ maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 40 }), (parts) => {
      const reader = new HeadReader();
      const head = reader.read(Buffer.from(parts.join(''), 'latin1'));
      assert.ok(head === undefined || (reader.header('host') !== undefined && head.bodyBytes >= 0));
    }),
  );
});

/** Until so many answers came. */
async function answers(socket: Socket, count: number): Promise<string> {
  let text = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    text += chunk.toString('latin1');
    if ((text.match(/HTTP\/1\.1 /g) ?? []).length >= count && text.endsWith('}')) break;
  }
  return text;
}

/** `caughtUp`: the broker has read what was written before, for it has answered another connection since. */
async function withSocket(use: (socket: Socket, caughtUp: () => Promise<void>) => Promise<void>): Promise<void> {
  await using broker = await testBroker();
  const { host, port } = await broker.endpoint('aws');
  const [socket, other] = [connect({ host, port }), connect({ host, port })];
  await Promise.all([once(socket, 'connect'), once(other, 'connect')]);
  const caughtUp = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      other.write(post(LIST));
      await firstAnswer(other);
    }
  };
  try {
    await use(socket, caughtUp);
  } finally {
    socket.destroy();
    other.destroy();
  }
}

test('requests that follow at once are answered one after the other, in their order', LIMIT, async () => {
  await withSocket(async (socket) => {
    const create = (name: string): string =>
      post(JSON.stringify({ QueueName: name })).replace('ListQueues', 'CreateQueue');
    socket.write(['a', 'b', 'c'].map(create).join(''));
    const text = await answers(socket, 3);
    assert.deepEqual(
      [...text.matchAll(/"QueueUrl":"[^"]*\/(\w)"/g)].map(([, name]) => name),
      ['a', 'b', 'c'],
    );
  });
});

test('a request in pieces, and one that is not plain, are answered on the same connection', LIMIT, async () => {
  await withSocket(async (socket, caughtUp) => {
    socket.setNoDelay(true);
    socket.write(post(LIST));
    assert.match(await firstAnswer(socket), /^HTTP\/1\.1 200 OK\r\n/);
    const whole = post(LIST);
    socket.write(whole.slice(0, 40));
    await caughtUp();
    socket.write(whole.slice(40));
    assert.match(await firstAnswer(socket), /^HTTP\/1\.1 200 OK\r\n/);
    socket.write(
      'POST / HTTP/1.1\r\nHost: localhost\r\n' + HEADERS + 'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
    );
    assert.match(await firstAnswer(socket), /^HTTP\/1\.1 200 OK\r\n/);
  });
});

async function firstAnswer(socket: Socket): Promise<string> {
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  return chunk.toString('latin1');
}

test('bytes that are no HTTP are answered with 400, and the connection ends', LIMIT, async () => {
  await withSocket(async (socket) => {
    socket.write('what is this?\r\n\r\n');
    assert.match(await firstAnswer(socket), /^HTTP\/1\.1 400 /);
    await once(socket, 'close');
  });
});

test('a body that a client reads slowly does not mix with the next', LIMIT, async () => {
  await withSocket(async (socket, caughtUp) => {
    const body = 'x'.repeat(60_000);
    const url = JSON.parse(
      (
        await (async () => {
          socket.write(post('{"QueueName":"q"}').replace('ListQueues', 'CreateQueue'));
          return firstAnswer(socket);
        })()
      ).split('\r\n\r\n')[1] ?? '{}',
    ) as { QueueUrl: string };
    const send = post(JSON.stringify({ ...url, MessageBody: body })).replace('ListQueues', 'SendMessage');
    const md5 = createHash('md5').update(body).digest('hex');
    for (let i = 0; i < 20; i++) {
      socket.write(send);
      assert.match(await firstAnswer(socket), new RegExp(md5));
    }
    const receive = JSON.stringify({ ...url, MaxNumberOfMessages: 10 });
    socket.pause();
    socket.write(post(receive).replace('ListQueues', 'ReceiveMessage').repeat(2));
    await caughtUp();
    socket.resume();
    let text = '';
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      text += chunk.toString('latin1');
      if ((text.match(/"MD5OfBody"/g) ?? []).length === 20 && text.endsWith('}')) break;
    }
    assert.equal((text.match(/HTTP\/1\.1 200 OK/g) ?? []).length, 2);
  });
});

test('what a client sends while it is answered is read no further than can be remembered', async () => {
  const socket = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const { promise: held, resolve: answer } = Promise.withResolvers<{
    status: number;
    headers: string[];
    body: string;
  }>();
  let handedOver = 0;
  const lane = new Lane(socket, {
    secure: false,
    origin: { network: '192.0.2.1', isCounted: true, isKnown: false },
    letIn: () => {},
    idleMs: 1_000,
    begin: () => {},
    answer: () => held,
    over: () => {},
    handOver: () => void handedOver++,
    date: () => 'now',
    onBug: (error) => assert.fail(String(error)),
  });
  const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  socket.push(post(LIST));
  await pause();
  assert.equal(socket.isPaused(), false);
  for (let i = 0; i < 5; i++) {
    socket.push(Buffer.alloc(16 * 1024, 'x'));
    await pause();
  }
  assert.equal(socket.isPaused(), true);
  answer({ status: 200, headers: [], body: '' });
  await pause();
  // Goes on with what it has kept, which is no request of its kind.
  assert.equal(handedOver, 1);
  lane.close();
  socket.destroy();
});
