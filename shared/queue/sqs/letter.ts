/** What we want to know of a message beyond what SQS keeps: one attribute beside the body, and a part of every receipt. */

import type { Message } from '@aws-sdk/client-sqs';
import type { Outgoing } from './calls.ts';

export interface Letter {
  readonly id: string;
  readonly body: string;
  readonly sentAt: number;
  /** Of copies that stood for this message before. */
  readonly attempts: number;
  /** Still to be waited when this copy comes. */
  readonly delayMs: number;
  readonly reason?: string;
  /** What somebody else sent beside the body. */
  readonly attributes?: Readonly<Record<string, string>>;
}

/** Everything but the body of a message that was received, as far as it may be missing. */
interface Notes {
  readonly id?: string;
  readonly sentAt?: number;
  readonly attempts?: number;
  readonly delayMs?: number;
  readonly reason?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  /** The body as sent holds characters that SQS does not take. */
  readonly encoding?: 'base64';
}

const NOTES = 'triplicate';
const DELAY_MS_MAX = 900_000;
/** A reason is for people; what is longer is cut, so that body and reason fit into one message. */
const REASON_LENGTH_MAX = 64 * 1024;

const PLAIN = /^[\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]*$/u;
const NEVER_PLAIN = /[\ufffe\uffff]/g;

/** A longer delay than SQS knows is waited in steps: every copy says what is left. */
export function toOutgoing(body: string, delayMs: number, known: Omit<Notes, 'delayMs' | 'encoding'> = {}): Outgoing {
  const plain = PLAIN.test(body);
  const left = Math.max(0, delayMs - DELAY_MS_MAX);
  const { reason, ...others } = known;
  const notes: Notes = {
    ...others,
    ...(reason === undefined ? {} : { reason: cut(reason) }),
    ...(left === 0 ? {} : { delayMs: left }),
    ...(plain ? {} : { encoding: 'base64' }),
  };
  const text = JSON.stringify(notes).replace(NEVER_PLAIN, (it) => `\\u${it.charCodeAt(0).toString(16)}`);
  return {
    body: plain ? body : Buffer.from(body).toString('base64'),
    attributes: text === '{}' ? {} : { [NOTES]: text },
    delaySeconds: Math.ceil((delayMs - left) / 1000),
  };
}

/** What stands in the attribute but was not written by us is left alone. */
export function readLetter({ MessageId = '', Body = '', Attributes = {}, MessageAttributes = {} }: Message): Letter {
  const { [NOTES]: ours, ...foreign } = MessageAttributes;
  const notes = readNotes(ours?.StringValue);
  const texts = Object.entries(foreign).flatMap(([name, { StringValue }]) =>
    StringValue === undefined ? [] : [[name, StringValue] as const],
  );
  const attributes = notes.attributes ?? (texts.length === 0 ? undefined : Object.fromEntries(texts));
  return {
    id: notes.id ?? MessageId,
    body: notes.encoding === 'base64' ? Buffer.from(Body, 'base64').toString() : Body,
    sentAt: notes.sentAt ?? Number(Attributes.SentTimestamp ?? 0),
    attempts: notes.attempts ?? 0,
    delayMs: notes.delayMs ?? 0,
    ...(notes.reason === undefined ? {} : { reason: notes.reason }),
    ...(attributes === undefined ? {} : { attributes }),
  };
}

/** For a copy of the message. */
export function notesOf({ id, sentAt, attributes }: Letter): Notes {
  return { id, sentAt, ...(attributes === undefined ? {} : { attributes }) };
}

/** A delivery as its receipt holds it: SQS shows nobody a message by its handle, and a dead letter needs all of it. */
export interface Held {
  readonly handle: string;
  readonly heldUntil: number;
  readonly attempt: number;
  readonly letter: Letter;
}

export function writeReceipt({ handle, heldUntil, attempt, letter: { body, ...rest } }: Held): string {
  return `${JSON.stringify({ handle, heldUntil, attempt, ...rest })}\n${body}`;
}

/** Null: nobody was ever given this receipt. */
export function readReceipt(receipt: string): Held | null {
  const end = receipt.indexOf('\n');
  const fields = readObject(receipt.slice(0, Math.max(end, 0)));
  const { handle, heldUntil, attempt } = fields ?? {};
  if (typeof handle !== 'string' || typeof heldUntil !== 'number' || typeof attempt !== 'number') return null;
  const { id = '', sentAt = 0, attributes } = toNotes(fields ?? {});
  const letter = { id, body: receipt.slice(end + 1), sentAt, attempts: 0, delayMs: 0 };
  return { handle, heldUntil, attempt, letter: attributes === undefined ? letter : { ...letter, attributes } };
}

function readNotes(text: string | undefined): Notes {
  return toNotes(readObject(text ?? '') ?? {});
}

function toNotes(found: Readonly<Record<string, unknown>>): Notes {
  const { id, sentAt, attempts, delayMs, reason, attributes, encoding } = found;
  return {
    ...(typeof id === 'string' && id !== '' ? { id } : {}),
    ...(isCount(sentAt) ? { sentAt } : {}),
    ...(isCount(attempts) ? { attempts } : {}),
    ...(isCount(delayMs) ? { delayMs } : {}),
    ...(typeof reason === 'string' ? { reason } : {}),
    ...(isTexts(attributes) ? { attributes } : {}),
    ...(encoding === 'base64' ? { encoding } : {}),
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((it) => typeof it === 'string');
}

function readObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : null;
  } catch {
    return null;
  }
}

function cut(reason: string): string {
  if (reason.length <= REASON_LENGTH_MAX) return reason;
  return `${reason.slice(0, REASON_LENGTH_MAX).replace(/[\ud800-\udbff]$/, '')}...`;
}
