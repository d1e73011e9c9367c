import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createTransport } from 'nodemailer';
import { MailSink } from './mail-sink.ts';
import { mailerTo, SENDER } from './mailer.ts';
import { people } from './people.ts';

async function sinkFor(t: TestContext): Promise<MailSink> {
  const sink = await MailSink.start(0);
  t.after(() => sink.close());
  return sink;
}

test('a welcome e-mail is taken and counted under its sign-up, every time it comes', async (t) => {
  const sink = await sinkFor(t);
  const mailer = mailerTo(sink.port);
  t.after(() => mailer.close());
  const [ada, ben] = people(2);
  assert.ok(ada && ben);
  await mailer.welcome(ada);
  await mailer.welcome(ben);
  await mailer.welcome(ada);
  assert.deepEqual(sink.taken, [ada.id, ben.id, ada.id]);
  assert.deepEqual([...sink.welcomed], [ada.id, ben.id]);
  assert.deepEqual(sink.complaints, []);
});

test('an e-mail that is not as the lab sends them is a complaint and does not count', async (t) => {
  const sink = await sinkFor(t);
  const transport = createTransport({ host: '127.0.0.1', port: sink.port, ignoreTLS: true });
  t.after(() => transport.close());
  const good = {
    from: SENDER,
    to: 'a@example.com',
    subject: 'Welcome, Ada',
    text: 'Hello Ada',
    headers: { 'X-Signup-Id': '1' },
  };
  await transport.sendMail({ ...good, from: 'stranger@example.com' });
  await transport.sendMail({ ...good, headers: {} });
  await transport.sendMail({ ...good, subject: 'Buy now' });
  await transport.sendMail({ ...good, text: '' });
  await transport.sendMail({ ...good, envelope: { from: SENDER, to: 'b@example.com' } });
  assert.equal(sink.complaints.length, 5, sink.complaints.join('\n'));
  assert.deepEqual(sink.taken, []);
});

test('an e-mail that is held gets no answer and does not count', async (t) => {
  const sink = await sinkFor(t);
  const mailer = mailerTo(sink.port);
  const [ada] = people(1);
  assert.ok(ada);
  const held = sink.holdNext();
  const sending = mailer.welcome(ada);
  assert.equal(await held, ada.id);
  mailer.close();
  assert.deepEqual(sink.taken, []);
  sending.catch(() => undefined);
});
