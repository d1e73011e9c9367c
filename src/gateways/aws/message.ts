import { AwsError, invalidValue } from './errors.ts';
import { type Attribute, isBinary } from './content.ts';
import { fitsXml } from './xml.ts';

/** What a message of SQS or SNS may be, before it is one. */

/** Of everything one message may take: its body, the names, types and values of its attributes. */
export const MAX_MESSAGE_BYTES = 1 << 20;

/** Of the model: the attributes of a message. */
export interface AttributeInput {
  DataType: string;
  StringValue?: string;
  BinaryValue?: Buffer;
  StringListValues?: string[];
  BinaryListValues?: Buffer[];
}

/** Of a message of a queue. */
export const MAX_ATTRIBUTES = 10;
const MAX_BATCH = 10;
const MAX_NAME = 256;
const ALLOWED =
  'Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF';

/** @throws MissingParameter, InvalidMessageContents for what XML could not carry */
export function checkBody(body: string): void {
  if (body === '') throw new AwsError('MissingParameter', 'The request must contain the parameter MessageBody.');
  if (!fitsXml(body)) throw new AwsError('InvalidMessageContents', `Invalid characters found. ${ALLOWED}`);
}

/** The attributes of a message, in the order in which they came. @throws InvalidParameterValue */
export function attributesOf(
  given: ReadonlyMap<string, AttributeInput> | undefined,
  most = MAX_ATTRIBUTES,
): Attribute[] {
  if (given === undefined || given.size === 0) return [];
  if (given.size > most)
    throw new AwsError(
      'InvalidParameterValue',
      `Number of message attributes [${given.size}] exceeds the allowed maximum [${most}].`,
    );
  return [...given].map(([name, attribute]) => {
    checkName(name);
    return { name, type: attribute.DataType, value: valueOf(name, attribute) };
  });
}

function checkName(name: string): void {
  const bad = (why: string): AwsError =>
    new AwsError('InvalidParameterValue', `The message attribute name '${name.slice(0, MAX_NAME)}' is invalid. ${why}`);
  if (name.length === 0 || name.length > MAX_NAME) throw bad(`It must have from 1 to ${MAX_NAME} characters.`);
  if (!/^[\w.-]+$/.test(name)) throw bad('It can contain only A-Z, a-z, 0-9, underscore, hyphen and period.');
  if (/^(?:aws|amazon)\./i.test(name)) throw bad('It must not start with AWS. or Amazon.');
  if (/^\.|\.\.|\.$/.test(name)) throw bad('It must not begin or end with a period, or have two in a row.');
}

function valueOf(name: string, attribute: AttributeInput): string | Buffer {
  const { DataType, StringValue, BinaryValue, StringListValues, BinaryListValues } = attribute;
  if (StringListValues !== undefined || BinaryListValues !== undefined)
    throw new AwsError(
      'UnsupportedOperation',
      'Message attribute list values in SendMessage operation are not supported.',
    );
  const isType = /^(?:String|Number|Binary)(?:\..*)?$/s.test(DataType) && fitsXml(DataType);
  if (!isType || Buffer.byteLength(DataType) > 255)
    throw new AwsError(
      'InvalidParameterValue',
      `The type of message (user) attribute '${name}' is invalid. You must use only the following supported type prefixes: Binary, Number, String.`,
    );
  const value = isBinary(DataType) ? BinaryValue : StringValue;
  if (value === undefined || value.length === 0)
    throw new AwsError(
      'InvalidParameterValue',
      `The message attribute '${name}' must contain a non-empty message attribute value for message attribute type '${DataType.split('.')[0]}'.`,
    );
  if (typeof value === 'string' && !fitsXml(value))
    throw new AwsError(
      'InvalidParameterValue',
      `Invalid characters found in the value of message attribute '${name}'. ${ALLOWED}`,
    );
  if (
    typeof value === 'string' &&
    DataType.startsWith('Number') &&
    !/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value)
  )
    throw new AwsError('InvalidParameterValue', `Could not cast message attribute '${name}' value to number.`);
  return value;
}

/** Of the attributes that only Amazon's own clients set. @throws InvalidParameterValue for another than the trace */
export function traceOf(given: ReadonlyMap<string, AttributeInput> | undefined): string | undefined {
  if (given === undefined) return undefined;
  for (const name of given.keys())
    if (name !== 'AWSTraceHeader')
      throw new AwsError('InvalidParameterValue', `Message system attribute name '${name.slice(0, 100)}' is invalid.`);
  const trace = given.get('AWSTraceHeader');
  if (trace === undefined) return undefined;
  const { DataType, StringValue } = trace;
  const isText = DataType === 'String' && StringValue !== undefined && fitsXml(StringValue);
  if (!isText || StringValue === '' || StringValue.length > 4096)
    throw new AwsError('InvalidParameterValue', "The message system attribute 'AWSTraceHeader' must be a String.");
  return StringValue;
}

/** Its body, and the names, types and values of its attributes. */
export function sizeOf(body: string, attributes: readonly Attribute[]): number {
  let bytes = Buffer.byteLength(body);
  for (const { name, type, value } of attributes)
    bytes += Buffer.byteLength(name) + Buffer.byteLength(type) + Buffer.byteLength(value);
  return bytes;
}

/** @throws InvalidParameterValue */
export function checkSize(bytes: number, maxBytes: number): void {
  if (bytes > maxBytes)
    throw new AwsError(
      'InvalidParameterValue',
      `One or more parameters are invalid. Reason: Message must be shorter than ${maxBytes} bytes.`,
    );
}

/** Group and dedupe ids: letters, digits and punctuation. */
export function isToken(value: string): boolean {
  return /^[\w!"#$%&'()*+,\-./:;<=>?@[\\\]^`{|}~]{1,128}$/.test(value);
}

/** @throws InvalidParameterValue */
export function checkToken(value: string, parameter: string): void {
  if (!isToken(value))
    throw invalidValue(
      value,
      parameter,
      `${parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.`,
    );
}

/** @throws EmptyBatchRequest, TooManyEntriesInBatchRequest, InvalidBatchEntryId, BatchEntryIdsNotDistinct */
export function checkBatch(entries: readonly { Id: string }[], entryName: string, max = MAX_BATCH): void {
  if (entries.length === 0)
    throw new AwsError('EmptyBatchRequest', `There should be at least one ${entryName} in the request.`);
  if (entries.length > max)
    throw new AwsError(
      'TooManyEntriesInBatchRequest',
      `Maximum number of entries per request are ${max}. You have sent ${entries.length}.`,
    );
  const seen = new Set<string>();
  for (const { Id } of entries) {
    if (!/^[\w-]{1,80}$/.test(Id))
      throw new AwsError(
        'InvalidBatchEntryId',
        'A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.',
      );
    if (seen.has(Id)) throw new AwsError('BatchEntryIdsNotDistinct', `Id ${Id} repeated.`);
    seen.add(Id);
  }
}

/** @throws BatchRequestTooLong */
export function checkBatchSize(bytes: number): void {
  if (bytes > MAX_MESSAGE_BYTES)
    throw new AwsError(
      'BatchRequestTooLong',
      `Batch requests cannot be longer than ${MAX_MESSAGE_BYTES} bytes. You have sent ${bytes} bytes.`,
    );
}
