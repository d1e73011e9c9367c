import type { Credentials } from '../../core/auth.ts';
import { MIN_FRAME_MAX } from './codec.ts';
import { AmqpError } from './errors.ts';
import { flagField, flagOf, readTable, type Table, tableOf, textField, textOf } from './fields.ts';
import type { AmqpLimits } from './limits.ts';
import type { Arguments } from './methods.ts';

/** Clients look at product and version to know what a broker can do: we do what this one does. */
const COMPATIBLE_WITH = '4.1.0';

const CAPABILITIES = [
  'publisher_confirms',
  'exchange_exchange_bindings',
  'basic.nack',
  'consumer_cancel_notify',
  'connection.blocked',
  'consumer_priorities',
  'authentication_failure_close',
  'per_consumer_qos',
  'direct_reply_to',
];

const MECHANISMS = ['PLAIN', 'AMQPLAIN'];
/** By the certificate of the connection; offered to who has one. */
const EXTERNAL = 'EXTERNAL';

/** @param certificate whom the client has proved to be already */
export function start(version: string, certificate: string | undefined): Arguments<'connectionStart'> {
  return {
    versionMajor: 0,
    versionMinor: 9,
    serverProperties: new Map([
      ['capabilities', { type: 'F', value: new Map(CAPABILITIES.map((name) => [name, flagField(true)])) }],
      ['cluster_name', textField('railhead')],
      ['information', textField(`Railhead ${version}, which speaks AMQP 0-9-1 as RabbitMQ does`)],
      ['platform', textField(`Railhead ${version}`)],
      ['product', textField('RabbitMQ')],
      ['version', textField(COMPATIBLE_WITH)],
    ]),
    mechanisms: Buffer.from([...MECHANISMS, ...(certificate === undefined ? [] : [EXTERNAL])].join(' ')),
    locales: Buffer.from('en_US'),
  };
}

/** What a client says of itself. */
export interface ClientProperties {
  readonly table: Table;
  readonly name: string;
  readonly cancelNotify: boolean;
  readonly authenticationFailureClose: boolean;
  /** Wants to know when its publishes have to wait. */
  readonly blocked: boolean;
}

export function clientProperties(table: Table): ClientProperties {
  const capabilities = tableOf(table.get('capabilities'));
  return {
    table,
    name: textOf(table.get('connection_name')) ?? textOf(table.get('product')) ?? 'amqp',
    cancelNotify: flagOf(capabilities?.get('consumer_cancel_notify')) === true,
    authenticationFailureClose: flagOf(capabilities?.get('authentication_failure_close')) === true,
    blocked: flagOf(capabilities?.get('connection.blocked')) === true,
  };
}

/** @throws COMMAND_INVALID for an unknown mechanism, SYNTAX_ERROR */
export function credentials(
  { mechanism, response }: Arguments<'connectionStartOk'>,
  certificate: string | undefined,
): Credentials & { user: string } {
  if (mechanism === EXTERNAL && certificate !== undefined) return { certificate, user: certificate };
  if (mechanism === 'PLAIN') {
    const [, user, password, more] = response.toString().split('\0');
    if (user === undefined || password === undefined || more !== undefined)
      throw new AmqpError('SYNTAX_ERROR', 'response not interpretable by mechanism PLAIN');
    return { user, password };
  }
  if (mechanism === 'AMQPLAIN') {
    // A table without the size in front.
    const sized = Buffer.concat([Buffer.alloc(4), response]);
    sized.writeUInt32BE(response.byteLength, 0);
    const { table } = readTable(sized, 0, sized.byteLength);
    const [user, password] = [textOf(table.get('LOGIN')), textOf(table.get('PASSWORD'))];
    if (user === undefined || password === undefined)
      throw new AmqpError('SYNTAX_ERROR', 'AMQPLAIN auth info needs the fields LOGIN and PASSWORD');
    return { user, password };
  }
  throw new AmqpError('COMMAND_INVALID', `unknown authentication mechanism '${mechanism}'`);
}

export function tune({ channelMax, frameMax, heartbeatSeconds }: AmqpLimits): Arguments<'connectionTune'> {
  return { channelMax, frameMax, heartbeat: heartbeatSeconds };
}

/** @throws NOT_ALLOWED for more than was offered, or less than the protocol needs */
export function checkTuned(args: Arguments<'connectionTuneOk'>, { channelMax, frameMax }: AmqpLimits): void {
  within('channel_max', args.channelMax, 0, channelMax);
  within('frame_max', args.frameMax, MIN_FRAME_MAX, frameMax);
}

function within(name: string, value: number, least: number, most: number): void {
  if (most !== 0 && (value === 0 || value > most)) {
    const shown = value === 0 ? `${name} = 0 (no limit)` : `${name} = ${value}`;
    throw new AmqpError('NOT_ALLOWED', `negotiated ${shown} is higher than the maximum allowed value (${most})`);
  }
  if (value !== 0 && value < least)
    throw new AmqpError(
      'NOT_ALLOWED',
      `negotiated ${name} = ${value} is lower than the minimum allowed value (${least})`,
    );
}
