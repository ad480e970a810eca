/** AMQP 1.0 messages as bytes: taken apart and put together again without reading what nobody has to read. */

/** The sections of a message, each with its descriptor; null where the message has none. */
export interface Sections {
  readonly annotations: Buffer | null;
  readonly properties: Buffer | null;
  readonly application: Buffer | null;
  /** Data, sequences or value, and the footer: never looked into. */
  readonly body: Buffer;
}

/** Key and value as encoded. */
export type Entry = readonly [key: string, bytes: Buffer];

export class MalformedMessage extends Error {
  override readonly name = 'MalformedMessage';
}

const SECTION = { header: 0x70, delivery: 0x71, annotations: 0x72, properties: 0x73, application: 0x74 } as const;
const SMALL_ULONG = 0x53;
const ULONG = 0x80;
/** Of the values of a constructor's first half byte: widths of fixed ones, and of the size before variable ones. */
const FIXED: Readonly<Record<number, number>> = { 4: 0, 5: 1, 6: 2, 7: 4, 8: 8, 9: 16 };
const SIZED: Readonly<Record<number, 1 | 4>> = { 10: 1, 11: 4, 12: 1, 13: 4, 14: 1, 15: 4 };
const DEPTH_MAX = 32;

export function readSections(bytes: Buffer): Sections {
  const found: Record<'annotations' | 'properties' | 'application', Buffer | null> = {
    annotations: null,
    properties: null,
    application: null,
  };
  const body: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = endOf(bytes, at);
    const section = bytes.subarray(at, end);
    const code = codeOf(section);
    if (code === SECTION.annotations) found.annotations = section;
    else if (code === SECTION.properties) found.properties = section;
    else if (code === SECTION.application) found.application = section;
    else if (code > SECTION.application) body.push(section);
    at = end;
  }
  if (body.length === 0) throw new MalformedMessage('the message has no body');
  return { ...found, body: Buffer.concat(body) };
}

/** The entries of a section that is a map with keys of letters. */
export function readEntries(section: Buffer | null): readonly Entry[] {
  if (section === null) return [];
  const map = section.subarray(descriptorEnd(section));
  const kind = map[0];
  if (kind === undefined) throw new MalformedMessage('a map is missing');
  const small = kind === 0xc1;
  if (!small && kind !== 0xd1) throw new MalformedMessage('a section that should be a map is none');
  const entries: Entry[] = [];
  for (let at = small ? 3 : 9; at < map.length; ) {
    const middle = endOf(map, at);
    const end = endOf(map, middle);
    entries.push([textOf(map.subarray(at, middle)), map.subarray(at, end)]);
    at = end;
  }
  return entries;
}

export function toMapSection(section: 'annotations' | 'application', entries: readonly Entry[]): Buffer {
  const content = Buffer.concat(entries.map(([, bytes]) => bytes));
  const head = Buffer.alloc(12);
  head.set([0x00, SMALL_ULONG, SECTION[section], 0xd1]);
  head.writeUInt32BE(content.length + 4, 4);
  head.writeUInt32BE(entries.length * 2, 8);
  return Buffer.concat([head, content]);
}

/** Later entries replace earlier ones of the same key. */
export function withEntries(entries: readonly Entry[], more: readonly Entry[]): readonly Entry[] {
  return [...new Map([...entries, ...more])].map(([key, bytes]) => [key, bytes] as const);
}

export function toHeader(ttlMs: number | null, deliveryCount: number): Buffer {
  const fields = Buffer.alloc(ttlMs === null ? 10 : 14);
  // durable, priority 4, time to live, not first acquirer, delivery count
  fields.set([0x41, 0x50, 4]);
  let at = 3;
  if (ttlMs === null) fields[at++] = 0x40;
  else {
    fields[at] = 0x70;
    fields.writeUInt32BE(Math.min(ttlMs, 0xffffffff), at + 1);
    at += 5;
  }
  fields[at] = 0x42;
  fields[at + 1] = 0x70;
  fields.writeUInt32BE(deliveryCount, at + 2);
  return Buffer.concat([Buffer.from([0x00, SMALL_ULONG, SECTION.header, 0xc0, fields.length + 1, 5]), fields]);
}

const symbol = (key: string) => Buffer.concat([Buffer.from([0xa3, key.length]), Buffer.from(key, 'ascii')]);
const number = (code: number, value: number) => {
  const bytes = Buffer.alloc(9);
  bytes[0] = code;
  bytes.writeBigInt64BE(BigInt(value), 1);
  return bytes;
};

/** Entries of annotations, whose keys are symbols, and of application properties, whose keys are strings. */
export const entry = {
  long: (key: string, value: number): Entry => [key, Buffer.concat([symbol(key), number(0x81, value)])],
  time: (key: string, value: number): Entry => [key, Buffer.concat([symbol(key), number(0x83, value)])],
  int(key: string, value: number): Entry {
    const bytes = Buffer.alloc(5);
    bytes[0] = 0x71;
    bytes.writeInt32BE(value, 1);
    return [key, Buffer.concat([symbol(key), bytes])];
  },
  text: (key: string, value: string): Entry => [key, Buffer.concat([symbol(key), toText(value)])],
  property: (key: string, value: Buffer): Entry => [key, Buffer.concat([toText(key), value])],
};

export function toText(value: string): Buffer {
  const text = Buffer.from(value);
  const head = Buffer.alloc(text.length < 256 ? 2 : 5);
  if (text.length < 256) head.set([0xa1, text.length]);
  else {
    head[0] = 0xb1;
    head.writeUInt32BE(text.length, 1);
  }
  return Buffer.concat([head, text]);
}

/** Clients count on an id: a message that came without one is given one. */
export function withMessageId(properties: Buffer | null, messageId: string): Buffer {
  const list = properties?.subarray(descriptorEnd(properties)) ?? Buffer.from([0x45]);
  const fields: Buffer[] = [];
  if (list[0] !== 0x45)
    for (let at = list[0] === 0xc0 ? 3 : 9; at < list.length; ) {
      const end = endOf(list, at);
      fields.push(list.subarray(at, end));
      at = end;
    }
  if (properties !== null && fields[0] !== undefined && fields[0][0] !== 0x40) return properties;
  fields[0] = toText(messageId);
  const content = Buffer.concat(fields);
  const head = Buffer.from([0x00, SMALL_ULONG, SECTION.properties, 0xd0, 0, 0, 0, 0, 0, 0, 0, 0]);
  head.writeUInt32BE(content.length + 4, 4);
  head.writeUInt32BE(fields.length, 8);
  return Buffer.concat([head, content]);
}

/** Where the value that begins at `at` ends. */
function endOf(bytes: Buffer, at: number, depth = 0): number {
  const code = bytes[at];
  if (code === undefined || depth > DEPTH_MAX) throw new MalformedMessage('the message breaks off');
  let end: number;
  if (code === 0) end = endOf(bytes, endOf(bytes, at + 1, depth + 1), depth + 1);
  else {
    const half = code >> 4;
    const fixed = FIXED[half];
    const sized = SIZED[half];
    if (fixed !== undefined) end = at + 1 + fixed;
    else if (sized === undefined) throw new MalformedMessage(`no value begins with 0x${code.toString(16)}`);
    else if (at + 1 + sized > bytes.length) throw new MalformedMessage('the message breaks off');
    else end = at + 1 + sized + (sized === 1 ? bytes.readUInt8(at + 1) : bytes.readUInt32BE(at + 1));
  }
  if (end > bytes.length) throw new MalformedMessage('the message breaks off');
  return end;
}

function descriptorEnd(section: Buffer): number {
  if (section[0] !== 0) throw new MalformedMessage('a section has no descriptor');
  return endOf(section, 1);
}

function codeOf(section: Buffer): number {
  if (section[0] === 0 && section[1] === SMALL_ULONG) return section[2] ?? 0;
  if (section[0] === 0 && section[1] === ULONG && section.length > 9) return Number(section.readBigUInt64BE(2));
  throw new MalformedMessage('a section has an unknown descriptor');
}

function textOf(value: Buffer): string {
  const half = (value[0] ?? 0) >> 4;
  if (half === 10) return value.toString('utf8', 2);
  if (half === 11) return value.toString('utf8', 5);
  return value.toString('hex');
}
