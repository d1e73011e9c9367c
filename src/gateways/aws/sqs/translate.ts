import { isUtf8 } from 'node:buffer';
import { asBuffer, type Envelope, type HeaderValue } from '../../../core/records.ts';
import type { Attribute, SqsRecord } from '../content.ts';
import { fitsXml } from '../xml.ts';

/** Of the name of an attribute, as the clients of SQS take it. */
const MAX_NAME = 256;

/**
 * What another protocol published, as SQS has it. What SQS cannot carry as text, which is what XML cannot, comes as base64.
 * `docs/protocols/sqs.md` has the same as a table.
 */
export function fromEnvelope({ body, key, dedupeId, headers = {} }: Envelope): SqsRecord {
  const bytes = asBuffer(body);
  const text = isUtf8(bytes) ? bytes.toString('utf8') : undefined;
  const attributes = new Map<string, Attribute>();
  for (const [header, value] of Object.entries(headers)) {
    const name = header.replaceAll(/[^\w.-]/g, '_').slice(0, MAX_NAME);
    const attribute = attributeOf(name, value);
    // An attribute has a value that is not empty.
    if (name !== '' && attribute.value.length > 0) attributes.set(name, attribute);
  }
  return {
    body: text !== undefined && fitsXml(text) ? text : bytes.toString('base64'),
    groupId: key !== undefined && fitsXml(key) ? key : undefined,
    dedupeId: dedupeId !== undefined && fitsXml(dedupeId) ? dedupeId : undefined,
    attributes: [...attributes.values()],
  };
}

function attributeOf(name: string, value: HeaderValue): Attribute {
  if (typeof value === 'number' && Number.isFinite(value)) return { name, type: 'Number', value: String(value) };
  if (value instanceof Uint8Array) return { name, type: 'Binary', value: asBuffer(value) };
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return fitsXml(text)
    ? { name, type: 'String', value: text }
    : { name, type: 'Binary', value: Buffer.from(text, 'utf8') };
}
