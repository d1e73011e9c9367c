/** The errors that Amazon documents for all actions: each that a client can provoke is, of both services, over both forms. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ServerConfigInput, startServer } from '../../src/server/index.ts';
import { type Answer, bodyOf, type Form, FORMS, send, type Service, SERVICES } from './call.ts';
import { amzDate, signed } from './signing.ts';

/** Nobody can provoke them here, and why. */
const NEVER: Readonly<Record<string, string>> = {
  InternalFailure: 'a bug of the broker',
  MalformedHttpRequestException: 'such a connection is ended by the parser of HTTP',
  OptInRequired: 'nothing has to be subscribed to',
  RequestAbortedException: 'who has gone is answered nothing',
  ServiceUnavailable:
    'not by what is asked for: the broker is stopping, or a queue is full that another protocol bounded',
  ThrottlingException: 'not on this machine: for an address of which too many logins were refused',
};

/** What one document of Amazon names, and another has a word of its own for, by which clients go. */
const SAME: Readonly<Record<string, readonly string[]>> = {
  AccessDenied: ['AccessDeniedException', 'NotAuthorized'],
  AuthorizationErrorException: ['AccessDeniedException', 'NotAuthorized'],
  InvalidAction: ['UnknownOperationException'],
  InvalidClientTokenId: ['ExpiredTokenException', 'UnrecognizedClientException'],
  MissingParameter: ['ValidationError'],
  RequestEntityTooLarge: ['RequestEntityTooLargeException'],
};

const DOCUMENTED = [
  'AccessDeniedException',
  'ExpiredTokenException',
  'IncompleteSignature',
  'InternalFailure',
  'InvalidAction',
  'InvalidClientTokenId',
  'MalformedHttpRequestException',
  'MissingAuthenticationToken',
  'NotAuthorized',
  'OptInRequired',
  'RequestAbortedException',
  'RequestEntityTooLargeException',
  'RequestExpired',
  'ServiceUnavailable',
  'ThrottlingException',
  'UnknownOperationException',
  'UnrecognizedClientException',
  'ValidationError',
];

interface Place extends AsyncDisposable {
  url: string;
}

async function place(users: NonNullable<ServerConfigInput['users']> = []): Promise<Place> {
  const log = { level: 'silent' } as const;
  const server = await startServer({
    memory: true,
    port: 0,
    amqp: false,
    kafka: false,
    log,
    ...(users.length > 0 && { users }),
  });
  assert.ok(server.awsUrl !== null);
  return { url: server.awsUrl, [Symbol.asyncDispose]: () => server.close() };
}

const KEY = { id: 'AKIDOFANN', secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY' };
const HOUR = 3_600_000;
const ALLOWED = { sqs: ['CreateQueue', { QueueName: 'orders' }], sns: ['CreateTopic', { Name: 'orders' }] } as const;
const OTHERS = { sqs: ['CreateQueue', { QueueName: 'payments' }], sns: ['CreateTopic', { Name: 'payments' }] } as const;
const DENIED = { sqs: 'AccessDenied', sns: 'AuthorizationErrorException' } as const;

interface Case {
  error: string | undefined;
  status: number;
  what: string;
  asked?: readonly [action: string, input: object];
  key?: typeof KEY;
  as?: Service;
  at?: number;
  /** What is sent beside, and signed. */
  more?: Readonly<Record<string, string>>;
  change?: (authorization: string) => string | undefined;
}

function casesOf(service: Service): Case[] {
  return [
    { error: undefined, status: 200, what: 'all is well' },
    { error: 'MissingAuthenticationToken', status: 403, what: 'no signature', change: () => undefined },
    {
      error: 'IncompleteSignature',
      status: 400,
      what: 'Signature Version 4A',
      change: (signature) => signature.replace('AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256'),
    },
    {
      error: 'IncompleteSignature',
      status: 400,
      what: 'Signature Version 2 in the header',
      change: () => `AWS ${KEY.id}:frJIUN8DYpKDtOLCwo//yllqDzg=`,
    },
    {
      error: 'IncompleteSignature',
      status: 400,
      what: 'a signature that does not cover the host',
      change: (signature) => signature.replace('host;', ''),
    },
    { error: 'IncompleteSignature', status: 400, what: 'no time', change: (text) => text.replace(/\/\d{8}\//, '//') },
    { error: 'InvalidClientTokenId', status: 403, what: 'an unknown key', key: { ...KEY, id: 'AKIDOFBOB' } },
    { error: 'InvalidClientTokenId', status: 403, what: 'a wrong secret', key: { ...KEY, secret: 'x' } },
    {
      error: 'InvalidClientTokenId',
      status: 403,
      what: 'the token of a session',
      more: { 'x-amz-security-token': 'FwoGZXIvYXdz' },
    },
    { error: 'SignatureDoesNotMatch', status: 403, what: 'another service', as: service === 'sqs' ? 'sns' : 'sqs' },
    { error: 'RequestExpired', status: 400, what: 'an hour ago', at: -HOUR },
    { error: 'RequestExpired', status: 400, what: 'an hour from now', at: HOUR },
    { error: DENIED[service], status: 403, what: 'what the user may not', asked: OTHERS[service] },
    { error: 'InvalidAction', status: 400, what: 'an action that there is none', asked: ['Dance', {}] },
    { error: 'MissingParameter', status: 400, what: 'a parameter that is not there', asked: [ALLOWED[service][0], {}] },
  ];
}

async function ask(url: string, form: Form, service: Service, one: Case): Promise<Answer> {
  const [action, input] = one.asked ?? ALLOWED[service];
  const body = bodyOf(form, action, input, service);
  const target = `${SERVICES[service].target}.${action}`;
  const amz = {
    ...(form === 'json' && { 'x-amz-target': target }),
    ...one.more,
    'x-amz-date': amzDate(Date.now() + (one.at ?? 0)),
  };
  const scope = { service: one.as ?? service, region: 'eu-central-1' };
  const authorization = signed(scope, { ...amz, host: new URL(url).host }, body, one.key ?? KEY);
  const changed = one.change === undefined ? authorization : one.change(authorization);
  return send(url, form, body, target, service, { ...amz, ...(changed !== undefined && { authorization: changed }) });
}

for (const service of ['sqs', 'sns'] as const)
  for (const form of FORMS)
    test(`what Amazon documents for all actions is answered where a request has it (${service}, ${form})`, async () => {
      const grants = [{ namespace: 'default', resource: 'orders' }];
      await using at = await place([{ name: 'ann', accessKeys: [KEY], grants }]);
      for (const one of casesOf(service)) {
        const answer = await ask(at.url, form, service, one);
        assert.deepEqual([answer.error, answer.status], [one.error, one.status], `${one.what}: ${answer.text}`);
      }
    });

for (const form of FORMS)
  test(`a body that is larger than any request is refused (${form})`, async () => {
    await using at = await place();
    const answer = await send(at.url, form, 'x'.repeat((32 << 20) + 1), 'AmazonSQS.SendMessage');
    assert.deepEqual([answer.error, answer.status], ['RequestEntityTooLarge', 413], answer.text);
  });

for (const form of FORMS)
  test(`actions of SNS that are there by name are refused, whatever they are given (${form})`, async () => {
    await using at = await place();
    for (const action of SERVICES.sns.model.refused) {
      const target = `${SERVICES.sns.target}.${action}`;
      const answer = await send(at.url, form, bodyOf(form, action, {}, 'sns'), target, 'sns');
      assert.deepEqual([answer.error, answer.status], ['UnsupportedOperation', 400], answer.text);
    }
  });

test('each error that Amazon documents for all actions is provoked, or it is said why it cannot be', () => {
  const provoked = new Set(
    [...casesOf('sqs'), ...casesOf('sns'), { error: 'RequestEntityTooLarge' }].flatMap(({ error = '' }) => [
      error,
      ...(SAME[error] ?? []),
    ]),
  );
  assert.deepEqual(
    DOCUMENTED.filter((error) => !provoked.has(error)),
    Object.keys(NEVER),
  );
});
