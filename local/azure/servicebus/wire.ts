/** Between what the AMQP library decodes and what the broker works with. */

import { randomUUID } from 'node:crypto';
import rhea from 'rhea';
import { type Entry, MalformedMessage, readEntries, readSections } from './bytes.ts';
import type { Filtered } from './entities.ts';
import type { Incoming } from './messages.ts';

const { message: codec } = rhea;
type Message = ReturnType<typeof codec.decode>;
const SCHEDULED = 'x-opt-scheduled-enqueue-time';

export interface ReadMessage extends Incoming {
  /** For the filters of subscriptions. */
  readonly filtered: Filtered;
}

export function readMessage(bytes: Buffer): ReadMessage {
  const message = decode(bytes);
  const at = message.message_annotations?.[SCHEDULED];
  const id = message.message_id as unknown;
  return {
    bytes,
    messageId: id === undefined || id === null ? randomUUID().replaceAll('-', '') : toKey(id),
    sessionId: message.group_id ?? null,
    ttlMs: message.ttl ?? null,
    enqueueAt: at === undefined || at === null ? null : new Date(at).getTime() || null,
    filtered: message as Filtered,
  };
}

/** The messages of one transfer: Service Bus sends many as the data sections of an outer one. */
export function readBatch(bytes: Buffer): readonly ReadMessage[] {
  const body: unknown = decode(bytes).body;
  const { multiple, content } = (body ?? {}) as { multiple?: boolean; content?: unknown };
  const all = multiple ? (content as unknown[]) : [content];
  return all.map((it) => {
    if (!Buffer.isBuffer(it)) throw new MalformedMessage('a batch holds something that is no message');
    return readMessage(it);
  });
}

export function decode(bytes: Buffer): Message & { readonly body?: unknown } {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw new MalformedMessage('the message cannot be decoded', { cause: error });
  }
}

/** From a map of the library, which may come decoded or still typed. */
export function toOutcomeProperties(map: unknown): readonly Entry[] {
  if (map === null || map === undefined || typeof map !== 'object') return [];
  const plain = plainOf(map as Readonly<Record<string, unknown>>);
  if (Object.keys(plain).length === 0) return [];
  const encoded = codec.encode({ application_properties: plain, body: null });
  return readEntries(readSections(encoded).application);
}

export function plainOf(map: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { value } = map as { value?: unknown };
  if (!Array.isArray(value)) return Object.fromEntries(Object.entries(map).map(([key, it]) => [key, unwrap(it)]));
  const plain: Record<string, unknown> = {};
  for (let at = 0; at + 1 < value.length; at += 2) plain[String(unwrap(value[at]))] = unwrap(value[at + 1]);
  return plain;
}

function unwrap(it: unknown): unknown {
  const typed = it as { value?: unknown; type?: unknown } | null;
  return typeof typed === 'object' && typed?.type !== undefined ? typed.value : it;
}

function toKey(id: unknown): string {
  return Buffer.isBuffer(id) ? id.toString('hex') : String(id);
}

/** What Event Grid and the world send. */
export interface PlainMessage {
  readonly body: string;
  readonly contentType?: string;
  readonly messageId?: string;
  readonly properties?: Readonly<Record<string, string | number | boolean>>;
}

export function toBytes({ body, contentType, messageId, properties }: PlainMessage): Buffer {
  const message = {
    message_id: messageId ?? randomUUID(),
    ...(contentType === undefined ? {} : { content_type: contentType }),
    ...(properties === undefined ? {} : { application_properties: properties }),
    body: codec.data_section(Buffer.from(body)),
  };
  return codec.encode(message);
}
