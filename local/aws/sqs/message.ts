/** What a message may be made of, and the checksums that prove to a client that it arrived whole. */

import { createHash } from 'node:crypto';
import type { AwsError } from '../query/error.ts';
import { invalidParameter, sqsError } from './errors.ts';

export interface MessageAttribute {
  readonly DataType: string;
  readonly StringValue?: string;
  /** Base64. */
  readonly BinaryValue?: string;
}

export type MessageAttributes = Readonly<Record<string, MessageAttribute>>;

const ATTRIBUTES_MAX = 10;
const NAME_LENGTH_MAX = 256;
const NAME = /^[\p{L}\p{N}_.-]+$/u;
const TYPE = /^(String|Number|Binary)(\.[^\p{Cc}]{1,256})?$/u;
/** Everything but these is refused, as XML 1.0 would. */
const TEXT = /^[\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]*$/u;
const ID = /^[\w!"#$%&'()*+,\-./:;<=>?@[\\\]^`{|}~]{1,128}$/;

/** Throws what SQS answers to a body that it does not take. */
export function checkBody(body: string): void {
  if (!TEXT.test(body))
    throw sqsError(
      'InvalidMessageContents',
      'Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF',
    );
}

export function checkMessageAttributes(attributes: MessageAttributes): void {
  const names = Object.keys(attributes);
  if (names.length > ATTRIBUTES_MAX)
    throw sqsError(
      'InvalidParameterValue',
      `Number of message attributes [${names.length}] exceeds the allowed maximum [${ATTRIBUTES_MAX}].`,
    );
  for (const name of names) {
    checkName(name);
    checkValue(name, attributes[name]!);
  }
}

/** Only the header of a trace is taken. */
export function checkSystemAttributes(attributes: MessageAttributes): void {
  for (const [name, attribute] of Object.entries(attributes)) {
    if (name !== 'AWSTraceHeader')
      throw invalidParameter(name, 'MessageSystemAttributes', 'Message system attribute name is not supported.');
    checkValue(name, attribute);
    if (attribute.DataType !== 'String') throw refused(name, 'must be of type String.');
  }
}

export function checkId(value: string, parameter: 'MessageGroupId' | 'MessageDeduplicationId'): void {
  const reason = `${parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.`;
  if (!ID.test(value)) throw invalidParameter(value, parameter, reason);
}

/** What counts against the limit of a queue. */
export function sizeOf(body: string, attributes: MessageAttributes): number {
  return Object.entries(attributes).reduce((sum, [name, { DataType, StringValue, BinaryValue }]) => {
    const value = BinaryValue === undefined ? Buffer.byteLength(StringValue ?? '') : fromBase64(BinaryValue).length;
    return sum + Buffer.byteLength(name) + Buffer.byteLength(DataType) + value;
  }, Buffer.byteLength(body));
}

export function md5Of(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

/** By name, each part with its length before it and a byte for the kind of value. Undefined without attributes. */
export function md5OfAttributes(attributes: MessageAttributes): string | undefined {
  const names = Object.keys(attributes).sort();
  if (names.length === 0) return undefined;
  const hash = createHash('md5');
  const add = (bytes: Uint8Array) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  };
  for (const name of names) {
    const { DataType, StringValue, BinaryValue } = attributes[name]!;
    add(Buffer.from(name));
    add(Buffer.from(DataType));
    hash.update(Uint8Array.of(BinaryValue === undefined ? 1 : 2));
    add(BinaryValue === undefined ? Buffer.from(StringValue ?? '') : fromBase64(BinaryValue));
  }
  return hash.digest('hex');
}

/** Those a receiver asked for: a name, the beginning of names followed by .*, or all of them. */
export function chosenAttributes(attributes: MessageAttributes, names: readonly string[]): MessageAttributes {
  const chosen = (name: string) =>
    names.some((it) => it === 'All' || it === name || (it.endsWith('.*') && name.startsWith(it.slice(0, -2))));
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => chosen(name)));
}

function checkName(name: string): void {
  const fits = name.length <= NAME_LENGTH_MAX && NAME.test(name) && !/^\.|\.$|\.\.|^(aws|amazon)\./i.test(name);
  if (!fits)
    throw sqsError(
      'InvalidParameterValue',
      `Invalid message attribute name '${name}': it can contain letters, digits, hyphens, underscores and single ` +
        'dots, has at most 256 characters, and must not begin with AWS. or Amazon.',
    );
}

function checkValue(name: string, { DataType, StringValue, BinaryValue }: MessageAttribute): void {
  const kind = TYPE.exec(DataType)?.[1];
  if (DataType === '') throw refused(name, 'must contain a non-empty attribute type.');
  if (kind === undefined)
    throw refused(
      name,
      'has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.',
    );
  const value = kind === 'Binary' ? BinaryValue : StringValue;
  if ((kind === 'Binary' ? StringValue : BinaryValue) !== undefined)
    throw refused(name, `with type '${kind}' must use field '${kind === 'Binary' ? 'Binary' : 'String'}'.`);
  if (value === undefined || value === '') throw refused(name, `must contain a non-empty value of type '${kind}'.`);
  if (kind === 'Binary' && !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) throw refused(name, 'must be encoded as base64.');
  if (kind === 'Number' && !/^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(value))
    throw refused(name, 'with type Number must contain a number.');
  if (!TEXT.test(value)) throw sqsError('InvalidMessageContents', `Invalid characters found in attribute '${name}'.`);
}

function refused(name: string, reason: string): AwsError {
  return sqsError('InvalidParameterValue', `Message (user) attribute '${name}' ${reason}`);
}

function fromBase64(text: string): Buffer {
  return Buffer.from(text, 'base64');
}
