/**
 * Names as Amazon writes them. An account of twelve digits is a namespace; that of nobody in particular is `default`, so
 * that what an SDK or RabbitMQ's client calls `orders` is the same queue here.
 */
export const DEFAULT_ACCOUNT = '000000000000';
export const DEFAULT_REGION = 'us-east-1';

export function isAccount(text: string): boolean {
  return /^\d{12}$/.test(text);
}

export function namespaceOf(account: string): string {
  return account === DEFAULT_ACCOUNT ? 'default' : account;
}

/** The account of a namespace, where it has one. */
export function accountOf(namespace: string): string | undefined {
  if (namespace === 'default') return DEFAULT_ACCOUNT;
  return isAccount(namespace) ? namespace : undefined;
}

export interface Arn {
  service: string;
  region: string;
  account: string;
  /** What follows the account. */
  name: string;
}

export function arnText({ service, region, account, name }: Arn): string {
  return `arn:aws:${service}:${region}:${account}:${name}`;
}

/** Any partition and region; undefined when it is not one of that service. */
export function parseArn(text: string, service: string): Arn | undefined {
  const [arn, , found, region = '', account = '', ...rest] = text.split(':');
  const name = rest.join(':');
  if (arn !== 'arn' || found !== service || !isAccount(account) || name === '') return undefined;
  return { service, region, account, name };
}
