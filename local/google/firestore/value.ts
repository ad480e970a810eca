/** Firestore's values: in one order over all types, found and changed by field path. */

import { grpcError } from '../grpc.ts';
import type { Fields, Value } from './wire.ts';

/** The types in their order; 0 ends an array or a map. */
const RANK = {
  nullValue: 1,
  booleanValue: 2,
  integerValue: 3,
  doubleValue: 3,
  timestampValue: 4,
  stringValue: 5,
  bytesValue: 6,
  referenceValue: 7,
  geoPointValue: 8,
  arrayValue: 9,
  mapValue: 10,
} as const;

type Kind = keyof typeof RANK;

const END = Buffer.of(0);
const ENTRY = Buffer.of(1);

export function kindOf(value: Value): Kind {
  for (const kind of Object.keys(RANK) as Kind[]) if (value[kind] !== undefined) return kind;
  throw grpcError('INVALID_ARGUMENT', 'A value has no type that can be stored.');
}

/** Values are ordered as their bytes are, and equal when these are. The first byte is the type. */
export function toOrdered(value: Value): Buffer {
  const kind = kindOf(value);
  return Buffer.concat([Buffer.of(RANK[kind]), ORDERED[kind](value)]);
}

export function isEqual(a: Value, b: Value): boolean {
  return toOrdered(a).equals(toOrdered(b));
}

const ORDERED: Readonly<Record<Kind, (value: Value) => Buffer>> = {
  nullValue: () => Buffer.alloc(0),
  booleanValue: ({ booleanValue }) => Buffer.of(booleanValue ? 1 : 0),
  integerValue: ({ integerValue }) => numberBytes(Number(integerValue), BigInt(integerValue ?? 0)),
  doubleValue: ({ doubleValue }) => numberBytes(doubleValue ?? 0, null),
  timestampValue: ({ timestampValue }) =>
    Buffer.concat([
      numberBytes(Number(timestampValue?.seconds ?? 0), null),
      numberBytes(timestampValue?.nanos ?? 0, null),
    ]),
  stringValue: ({ stringValue }) => textBytes(Buffer.from(stringValue ?? '')),
  bytesValue: ({ bytesValue }) => textBytes(bytesValue ?? Buffer.alloc(0)),
  referenceValue: ({ referenceValue }) =>
    Buffer.concat([...(referenceValue ?? '').split('/').map((part) => textBytes(Buffer.from(part))), END, END]),
  geoPointValue: ({ geoPointValue }) =>
    Buffer.concat([numberBytes(geoPointValue?.latitude ?? 0, null), numberBytes(geoPointValue?.longitude ?? 0, null)]),
  arrayValue: ({ arrayValue }) => Buffer.concat([...(arrayValue?.values ?? []).map(toOrdered), END]),
  mapValue: ({ mapValue }) =>
    Buffer.concat([
      ...Object.entries(mapValue?.fields ?? {})
        .map(([name, value]) => [Buffer.from(name), value] as const)
        .sort(([a], [b]) => Buffer.compare(a, b))
        .flatMap(([name, value]) => [ENTRY, textBytes(name), toOrdered(value)]),
      END,
    ]),
};

/** What an integer has beyond the nearest double tells it from its neighbours. NaN comes first. */
function numberBytes(value: number, exact: bigint | null): Buffer {
  if (Number.isNaN(value)) return Buffer.of(0);
  const bytes = Buffer.alloc(17);
  bytes[0] = 1;
  bytes.writeDoubleBE(value === 0 ? 0 : value, 1);
  const negative = (bytes[1] as number) >= 0x80;
  for (let at = 1; at <= 8; at++) bytes[at] = (bytes[at] as number) ^ (negative ? 0xff : at === 1 ? 0x80 : 0);
  const rest = exact === null ? 0n : exact - BigInt(value);
  bytes.writeBigUInt64BE(rest + 0x8000000000000000n, 9);
  return bytes;
}

/** Ends by 0, 1, and no text has that within: its own zeros are followed by 255. */
function textBytes(bytes: Buffer): Buffer {
  if (!bytes.includes(0)) return Buffer.concat([bytes, Buffer.of(0, 1)]);
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(0); at >= 0; at = bytes.indexOf(0, from)) {
    parts.push(bytes.subarray(from, at + 1), Buffer.of(0xff));
    from = at + 1;
  }
  return Buffer.concat([...parts, bytes.subarray(from), Buffer.of(0, 1)]);
}

const SEGMENT = /(?:([a-zA-Z_][a-zA-Z_0-9]*)|`((?:[^`\\]|\\.)+)`)(\.|$)/y;

/** `a.b` or with what is no identifier between backticks. */
export function readFieldPath(path: string): readonly string[] {
  const names: string[] = [];
  SEGMENT.lastIndex = 0;
  for (let dot = '.'; dot === '.'; ) {
    const match = SEGMENT.exec(path);
    if (match === null) throw grpcError('INVALID_ARGUMENT', `Invalid field path: ${path}`);
    names.push(match[1] ?? (match[2] ?? '').replace(/\\(.)/gs, '$1'));
    dot = match[3] ?? '';
  }
  return names;
}

export function fieldAt(fields: Fields, [name = '', ...rest]: readonly string[]): Value | undefined {
  const value = Object.hasOwn(fields, name) ? fields[name] : undefined;
  if (rest.length === 0 || value === undefined) return value;
  return value.mapValue === undefined ? undefined : fieldAt(value.mapValue.fields, rest);
}

/** The fields with this one set, or without it. Maps on the way are made as needed. */
export function withField(fields: Fields, [name = '', ...rest]: readonly string[], value: Value | undefined): Fields {
  const entries = new Map(Object.entries(fields));
  if (rest.length === 0) {
    if (value === undefined) entries.delete(name);
    else entries.set(name, value);
  } else {
    const inner = entries.get(name)?.mapValue?.fields;
    if (inner === undefined && value === undefined) return fields;
    entries.set(name, { mapValue: { fields: withField(inner ?? {}, rest, value) } });
  }
  // Not by assignment: a field may be called __proto__.
  return Object.fromEntries(entries);
}
