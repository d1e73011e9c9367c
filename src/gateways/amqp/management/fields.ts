import { bad } from './errors.ts';
import type { Json } from './json.ts';

/** Fields of a body, checked. All of them throw bad_request. */

export function text(body: Json, name: string, otherwise?: string): string {
  const value = body[name] ?? otherwise;
  if (typeof value !== 'string') throw bad(`${name} is missing, or not a text`);
  return value;
}

/** A name as AMQP can say it. */
export function shortText(body: Json, name: string, otherwise?: string): string {
  const value = text(body, name, otherwise);
  if (Buffer.byteLength(value) > 255) throw bad(`${name} has more than 255 bytes`);
  return value;
}

/** Tools send booleans as text too. */
export function flag(body: Json, name: string, otherwise: 'true' | 'false'): boolean {
  const value = body[name] ?? otherwise;
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw bad(`${name} is ${JSON.stringify(value)}; write true or false`);
}

export function whole(body: Json, name: string, most: number): number {
  const value = Number(body[name]);
  if (!Number.isInteger(value) || value < 0 || value > most) throw bad(`${name} is not a whole number up to ${most}`);
  return value;
}

/** A parameter of the path, which the route says is there. */
export function param(params: Readonly<Record<string, string>>, name: string): string {
  const value = params[name] ?? '';
  if (Buffer.byteLength(value) > 255) throw bad(`${name} has more than 255 bytes`);
  return value;
}
