import type { BodyWriter, PublishRequest, Session } from '../../core/session.ts';

interface UploadContext {
  readonly session: Session;
  /** Bytes that wait for the engine; negative when they are done. */
  hold(bytes: number): void;
}

/** The body of one large message, handed to the engine as its frames come, so that nobody holds all of it. */
export class Upload {
  readonly bytes: number;
  readonly #context: UploadContext;
  #work: Promise<BodyWriter>;
  #id: Promise<number> | undefined;

  constructor(context: UploadContext, to: PublishRequest['to'], bytes: number) {
    this.#context = context;
    this.bytes = bytes;
    this.#work = context.session.body(to, bytes);
    this.#work.catch(() => {});
  }

  /** The bytes must not change any more. What is wrong is known by the end. */
  write(bytes: Buffer): void {
    this.#context.hold(bytes.byteLength);
    this.#work = this.#work
      .then(async (writer) => {
        await writer.write(bytes);
        return writer;
      })
      .finally(() => this.#context.hold(-bytes.byteLength));
    this.#work.catch(() => {});
  }

  /** By which a publish names the body, once all of it is stored. */
  get id(): Promise<number> {
    this.#id ??= this.#work.then(async (writer) => {
      await writer.end();
      return writer.id;
    });
    return this.#id;
  }

  /** Gives it up, unless it was published. */
  abort(): void {
    this.#work.then((writer) => writer.abort()).catch(() => {});
  }
}
