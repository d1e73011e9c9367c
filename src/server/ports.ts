import type { TlsOptions } from 'node:tls';
import { SystemClock } from '../core/clock.ts';
import type { Gateway } from '../gateways/gateway.ts';
import type { Listener } from '../gateways/listener.ts';
import { isLoopback } from './config.ts';
import { isTaken, listenOn, readTls } from './listen.ts';
import type { Logger } from './log.ts';
import type { ServerConfig } from './settings.ts';

/** A protocol that has a port of its own. */
export type PortProtocol = 'amqp' | 'amqp-management' | 'aws' | 'elasticmq' | 'kafka';

export interface PortsOptions {
  config: ServerConfig;
  log: Logger;
  /** Whether a protocol is left out when its usual port, which nobody asked for, is taken. */
  mayYield: boolean;
  /** Notes what is to be done when the server stops. */
  undo: (step: () => Promise<void>) => void;
}

/** Who listens where: the main port, one for each protocol that has its own, and what certificates they show. */
export class Ports {
  /** By protocol; `railhead` is the main port. */
  readonly listeners = new Map<string, Listener>();
  /** Protocols that were to be spoken and are not. */
  readonly off: string[] = [];
  readonly #options: PortsOptions;
  readonly #ports = new Map<string, number>();
  #tls: TlsOptions | undefined;

  constructor(options: PortsOptions) {
    this.#options = options;
  }

  get secure(): boolean {
    return this.#options.config.tls.cert !== undefined;
  }

  /** Before the first port is opened, and again for who connects from now on. @throws CONFIG, and the old ones stay */
  async readTls(): Promise<void> {
    this.#tls = await readTls(this.#options.config.tls);
    if (this.#tls !== undefined) for (const listener of this.listeners.values()) listener.renewTls(this.#tls);
  }

  /** The one port of the native protocol and of HTTP. `close` is what ends it, together with what it serves. */
  async openMain(gateway: Gateway, close: (listener: Listener) => Promise<void>): Promise<void> {
    const { config, log } = this.#options;
    const onSkipped = (host: string): void => log.info({ host }, 'this address does not exist here and is left out');
    const { listener, port } = await this.#listen(config.port, gateway, onSkipped);
    this.#ports.set('railhead', port);
    this.listeners.set('railhead', listener);
    this.#options.undo(() => close(listener));
  }

  /** A protocol on a port of its own. It is off when another process has the port that it would have had. */
  async open(
    protocol: PortProtocol,
    gateway: Gateway & { close(): Promise<void> },
    { asked, usual }: { asked: number | undefined; usual: number },
  ): Promise<void> {
    const { config, log, mayYield, undo } = this.#options;
    const wanted = asked ?? (config.port === 0 ? 0 : usual);
    try {
      const { listener, port } = await this.#listen(wanted, gateway, () => {});
      this.#ports.set(protocol, port);
      this.listeners.set(protocol, listener);
      undo(async () => {
        // Either may wait for the other: connections for what they have asked, requests for the connection to go.
        await Promise.all([listener.close(config.drainTimeout), gateway.close()]);
      });
    } catch (error) {
      const yields = asked === undefined && mayYield && config.host.every((each) => isLoopback(each));
      if (!yields || !isTaken(error)) throw error;
      this.off.push(protocol);
      const name = protocol === 'kafka' ? 'Kafka' : protocol.toUpperCase();
      log.warn(
        { port: wanted },
        `the port of ${name} is taken, so that ${name} is off; name another with --${protocol}`,
      );
    }
  }

  #listen(
    port: number,
    gateway: Gateway,
    onSkipped: (host: string) => void,
  ): Promise<{ listener: Listener; port: number }> {
    const { host, limits, tls } = this.#options.config;
    return listenOn(
      { host, port },
      {
        gateway,
        // Deadlines of connections live by the real time.
        clock: new SystemClock(),
        limits: { maxConnections: limits.connections, maxPerAddress: limits.connectionsPerAddress },
        ...(this.#tls !== undefined && { tls: this.#tls }),
        ...(this.#tls !== undefined && tls.clientCa !== undefined && { certificateName: tls.clientName }),
      },
      onSkipped,
    );
  }

  /** The port of a protocol, or null when it is off. */
  portOf(protocol: PortProtocol | 'railhead'): number | null {
    return this.#ports.get(protocol) ?? null;
  }

  /** `127.0.0.1:9092`, or null when it is off. */
  addressOf(protocol: PortProtocol | 'railhead'): string | null {
    const port = this.portOf(protocol);
    if (port === null) return null;
    const [first = 'localhost'] = this.#options.config.host;
    const host = first === '0.0.0.0' || first === '::' ? 'localhost' : first;
    return `${host.includes(':') ? `[${host}]` : host}:${port}`;
  }

  /** With `http`: `http://127.0.0.1:4566`, or `https://` with TLS; null when it is off. */
  urlOf(protocol: PortProtocol | 'railhead', scheme: string): string | null {
    const address = this.addressOf(protocol);
    return address === null ? null : `${scheme}${this.secure ? 's' : ''}://${address}`;
  }
}
