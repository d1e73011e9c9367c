import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from 'smtp-server';
import { SENDER, SIGNUP_HEADER } from './mailer.ts';

const MAX_MAIL_BYTES = 64 * 1024;

/** A mail server that delivers nothing: it checks what it gets and counts it. */
export class MailSink {
  readonly #server: SMTPServer;
  readonly #delayMs: number;
  /** Sign-up ids, one for each e-mail taken, in the order of arrival. */
  readonly taken: string[] = [];
  /** What was wrong with e-mails that are not as the lab sends them. */
  readonly complaints: string[] = [];
  #hold: ((id: string) => void) | undefined;

  private constructor(delayMs: number) {
    this.#delayMs = delayMs;
    this.#server = new SMTPServer({
      authOptional: true,
      disabledCommands: ['AUTH', 'STARTTLS'],
      disableReverseLookup: true,
      size: MAX_MAIL_BYTES,
      closeTimeout: 500,
      onData: (stream, session, done) => void this.#answer(stream, session, done),
    });
    // A worker that is killed cuts its connection: no news here.
    this.#server.on('error', () => undefined);
  }

  /** On a free port. It answers each e-mail after `delayMs`, as one across the internet does. */
  static async start(delayMs: number): Promise<MailSink> {
    const sink = new MailSink(delayMs);
    await new Promise<void>((resolve) => sink.#server.listen(0, '127.0.0.1', resolve));
    return sink;
  }

  get port(): number {
    // Bound to host and port, so the address is neither a path nor null.
    return (this.#server.server.address() as AddressInfo).port;
  }

  /** The next e-mail gets no answer. Resolves to its sign-up when all of it has arrived. */
  holdNext(): Promise<string> {
    return new Promise((resolve) => (this.#hold = resolve));
  }

  /** Sign-ups that got at least one e-mail. */
  get welcomed(): Set<string> {
    return new Set(this.taken);
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(
    stream: SMTPServerDataStream,
    session: SMTPServerSession,
    done: (error?: Error) => void,
  ): Promise<void> {
    try {
      await this.#take(stream, session);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    done();
  }

  async #take(stream: SMTPServerDataStream, { envelope }: SMTPServerSession): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of stream) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
    const mail = Buffer.concat(chunks).toString('utf8');
    const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address;
    const problem = problemOf(
      mail,
      from,
      envelope.rcptTo.map(({ address }) => address),
    );
    const id = headerOf(mail, SIGNUP_HEADER) ?? '';
    if (this.#hold !== undefined) {
      this.#hold(id);
      this.#hold = undefined;
      return new Promise(() => undefined);
    }
    await sleep(this.#delayMs);
    if (problem !== undefined) this.complaints.push(problem);
    else this.taken.push(id);
  }
}

function problemOf(mail: string, from: string, to: readonly string[]): string | undefined {
  if (from !== SENDER) return `it comes from ${from}, not from ${SENDER}`;
  if (to.length !== 1 || to[0] !== headerOf(mail, 'To'))
    return `it goes to ${to.join(', ')}, but says To: ${headerOf(mail, 'To')}`;
  if (headerOf(mail, SIGNUP_HEADER) === undefined) return `it has no header ${SIGNUP_HEADER}`;
  if (!/^Welcome, \w/.test(headerOf(mail, 'Subject') ?? '')) return 'its subject does not welcome anybody';
  if (!/\r\n\r\nHello \w/.test(mail)) return 'its text greets nobody';
  return undefined;
}

function headerOf(mail: string, name: string): string | undefined {
  const head = mail.slice(0, mail.indexOf('\r\n\r\n'));
  const line = head.split('\r\n').find((candidate) => candidate.toLowerCase().startsWith(`${name.toLowerCase()}:`));
  return line?.slice(name.length + 1).trim();
}
