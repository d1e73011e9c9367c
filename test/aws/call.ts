import assert from 'node:assert/strict';
import { parseModel, type ServiceModel, type Structure, type Type } from '../../src/gateways/aws/model.ts';
import { SNS_MODEL } from '../../src/gateways/aws/model/sns.ts';
import { SQS_MODEL } from '../../src/gateways/aws/model/sqs.ts';

/** How a client spells its requests: newer ones in JSON, older ones in forms, with XML as the answer. */
export const FORMS = ['json', 'query'] as const;
export type Form = (typeof FORMS)[number];

export const SQS = parseModel(SQS_MODEL);
export const SNS = parseModel(SNS_MODEL);

export const SERVICES = {
  sqs: { model: SQS, target: 'AmazonSQS', version: '2012-11-05' },
  sns: { model: SNS, target: 'AmazonSimpleNotificationService', version: '2010-03-31' },
} as const;
export type Service = keyof typeof SERVICES;

/** What a client sees, in the words of the form that it spoke. */
export interface Answer {
  status: number;
  /** Of an error, by the name that JSON has for it; undefined when all is well. */
  error: string | undefined;
  message: string;
  text: string;
}

/** One action by hand: no client stands between, and nothing is checked before it is sent. */
export async function call(
  url: string,
  form: Form,
  action: string,
  input: object,
  service: Service = 'sqs',
): Promise<Answer> {
  return send(url, form, bodyOf(form, action, input, service), `${SERVICES[service].target}.${action}`, service);
}

export function bodyOf(form: Form, action: string, input: object, service: Service = 'sqs'): string {
  const { model: whole, version } = SERVICES[service];
  const model = whole.actions.get(action);
  if (form === 'json') return JSON.stringify(input);
  return new URLSearchParams([
    ['Action', action],
    ['Version', version],
    ...(model === undefined ? [] : fields(input, model.input, '')),
  ]).toString();
}

/** What says, beside the body, of which form a request is, and in JSON of which action. */
function headersOf(form: Form, target?: string): Record<string, string> {
  if (form === 'query') return { 'content-type': 'application/x-www-form-urlencoded' };
  return { 'content-type': 'application/x-amz-json-1.0', ...(target !== undefined && { 'x-amz-target': target }) };
}

/** A body as it is. */
export async function send(
  url: string,
  form: Form,
  body: string,
  target?: string,
  service: Service = 'sqs',
  more: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const { errors } = SERVICES[service].model;
  const headers = { ...headersOf(form, target), ...more };
  const response = await fetch(url, { method: 'POST', headers, body });
  const text = await response.text();
  assert.ok(response.headers.has('x-amzn-requestid'), text);
  return {
    status: response.status,
    text,
    ...(form === 'json' ? inJson(text, response, errors) : inXml(text, response, errors)),
  };
}

type Errors = ServiceModel['errors'];

function inJson(text: string, { ok, headers }: Response, errors: Errors): Pick<Answer, 'error' | 'message'> {
  if (ok) return { error: undefined, message: '' };
  const { __type: type, message } = JSON.parse(text) as { __type: string; message: string };
  const error = type.slice(type.indexOf('#') + 1);
  // What the clients that were written for forms go by.
  assert.equal(headers.get('x-amzn-query-error'), `${errors.get(error)?.code ?? error};Sender`);
  return { error, message };
}

function inXml(text: string, { ok }: Response, errors: Errors): Pick<Answer, 'error' | 'message'> {
  if (ok) return { error: undefined, message: '' };
  assert.match(
    text,
    /^<\?xml version="1.0"\?><ErrorResponse.*<Type>Sender<\/Type>.*<RequestId>[\da-f-]{36}<\/RequestId>/s,
  );
  const code = /<Code>(.*)<\/Code>/.exec(text)?.[1] ?? '';
  const [error = code] = [...errors].find(([, listed]) => listed.code === code) ?? [];
  return { error, message: /<Message>(.*)<\/Message>/s.exec(text)?.[1] ?? '' };
}

function fields(value: object, { members }: Structure, prefix: string): [string, string][] {
  const values = new Map<string, unknown>(Object.entries(value));
  return members.flatMap(({ name, as, type, flat }) => {
    const given = values.get(name);
    return given === undefined ? [] : field(`${prefix}${as}`, given, type, flat ? 'flat' : 'nested');
  });
}

function field(name: string, value: unknown, type: Type, spelling: 'flat' | 'nested'): [string, string][] {
  // What is spelled wrong on purpose goes as it is.
  if (typeof value !== 'object' || value === null) return [[name, String(value)]];
  const at = (i: number, element: string): string => `${name}.${spelling === 'flat' ? '' : `${element}.`}${i + 1}`;
  switch (type.kind) {
    case 'list':
      return Object.values(value).flatMap((item, i) => field(at(i, type.element), item, type.of, 'nested'));
    case 'map':
      return Object.entries(value).flatMap(([key, item], i) => [
        [`${at(i, 'entry')}.${type.key}`, key] as [string, string],
        ...field(`${at(i, 'entry')}.${type.value}`, item, type.of, 'nested'),
      ]);
    case 'structure':
      return fields(value, type, `${name}.`);
    default:
      return [[name, JSON.stringify(value)]];
  }
}
