/** AWS JSON over HTTP with as little as it takes, so that the server is what a measurement is of. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');

/** One connection, one request at a time. */
export class AwsWire {
  readonly #socket: Socket;
  readonly #head: string;
  #received: Buffer = Buffer.alloc(0);
  #waiting: { resolve: (body: string) => void; reject: (error: Error) => void } | undefined;

  private constructor(socket: Socket, host: string) {
    this.#socket = socket;
    // Clients name their key; nobody checks it here.
    const scope =
      'AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0';
    this.#head = `Host: ${host}\r\nContent-Type: application/x-amz-json-1.0\r\nAuthorization: ${scope}\r\n`;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    const fail = (error: Error): void => this.#waiting?.reject(error);
    socket.on('error', fail);
    socket.on('close', () => fail(new Error('The server closed the connection.')));
  }

  static async open(url: string): Promise<AwsWire> {
    const { hostname, port, host } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    return new AwsWire(socket, host);
  }

  /** The bytes of a request, to be sent as often as wanted. */
  request(action: string, input: object): Buffer {
    const body = JSON.stringify(input);
    const length = Buffer.byteLength(body);
    return Buffer.from(
      `POST / HTTP/1.1\r\n${this.#head}X-Amz-Target: AmazonSQS.${action}\r\nContent-Length: ${length}\r\n\r\n${body}`,
    );
  }

  /** The body of the answer. @throws when it is not 200 */
  send(request: Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  /** Both in one. */
  async call<T>(action: string, input: object): Promise<T> {
    // The type is what Amazon documents of the action.
    return JSON.parse((await this.send(this.request(action, input))) || '{}') as T;
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    const bytes = this.#received.byteLength === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const head = bytes.indexOf(HEAD_END);
    const text = head < 0 ? '' : bytes.toString('latin1', 0, head);
    const start = head + HEAD_END.byteLength;
    const length = Number(/content-length: *(\d+)/i.exec(text)?.[1] ?? NaN);
    if (head < 0 || bytes.byteLength < start + length) {
      this.#received = bytes;
      return;
    }
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#received = bytes.subarray(start + length);
    const body = bytes.utf8Slice(start, start + length);
    if (text.startsWith('HTTP/1.1 200') && Number.isFinite(length)) waiting?.resolve(body);
    else waiting?.reject(new Error(`${text.split('\r\n', 1)[0]}: ${bytes.utf8Slice(start)}`));
  }
}
