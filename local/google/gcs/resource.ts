/** Rows as the resources that the JSON API shows, and the `fields` parameter that picks from them. */

import { malformed } from './errors.ts';
import type { ObjectFields } from './fields.ts';
import type { ObjectRow } from './tables.ts';

const path = encodeURIComponent;

export function toObject(row: ObjectRow, base: string): Readonly<Record<string, unknown>> {
  const fields = JSON.parse(row.fields) as ObjectFields;
  const place = `b/${path(row.bucket)}/o/${path(row.name)}`;
  const generation = String(row.generation);
  return {
    kind: 'storage#object',
    id: `${row.bucket}/${row.name}/${generation}`,
    selfLink: `${base}/storage/v1/${place}`,
    mediaLink: `${base}/download/storage/v1/${place}?generation=${generation}&alt=media`,
    name: row.name,
    bucket: row.bucket,
    generation,
    metageneration: String(row.metageneration),
    ...fields,
    storageClass: row.storage_class,
    size: String(row.size),
    ...(row.md5 === null ? {} : { md5Hash: row.md5 }),
    crc32c: row.crc32c,
    ...(row.components === null ? {} : { componentCount: row.components }),
    etag: etagOf(row),
    timeCreated: row.created,
    updated: row.updated,
    timeStorageClassUpdated: row.created,
    timeFinalized: row.created,
    ...(row.deleted === null ? {} : { timeDeleted: row.deleted }),
  };
}

/** Like the cloud's own: both numbers as a protocol buffer, in base64. */
export function etagOf({
  generation,
  metageneration,
}: {
  readonly generation: number;
  readonly metageneration: number;
}) {
  return Buffer.from([0x08, ...varint(generation), 0x10, ...varint(metageneration)]).toString('base64');
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) + 128);
  }
}

/** https://cloud.google.com/storage/docs/json_api#partial-response, such as `items(name,size),nextPageToken` or `a/b`. */
export function pickFields(value: unknown, fields: string | null): unknown {
  return fields === null || fields === '' ? value : pick(value, readSelector(fields));
}

interface Selector extends Map<string, Selector> {}

const DEPTH_MAX = 20;

function readSelector(text: string): Selector {
  let at = 0;
  const refuse = () => malformed(`Invalid field selection ${text.slice(0, 100)}`);

  function readList(depth: number): Selector {
    if (depth > DEPTH_MAX) throw refuse();
    const list: Selector = new Map();
    for (;;) {
      readOne(list, depth);
      if (text[at] !== ',') return list;
      at++;
    }
  }

  function readOne(list: Selector, depth: number): void {
    if (depth > DEPTH_MAX) throw refuse();
    const name = /^\s*([\w*.-]+)\s*/.exec(text.slice(at));
    if (name === null) throw refuse();
    at += name[0].length;
    const below: Selector = list.get(name[1]!) ?? new Map();
    list.set(name[1]!, below);
    if (text[at] === '/') {
      at++;
      readOne(below, depth + 1);
    } else if (text[at] === '(') {
      at++;
      for (const [key, value] of readList(depth + 1)) below.set(key, value);
      if (text[at] !== ')') throw refuse();
      at++;
    }
  }

  const selector = readList(0);
  if (at !== text.length) throw refuse();
  return selector;
}

function pick(value: unknown, selector: Selector): unknown {
  if (selector.size === 0 || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((it) => pick(it, selector));
  const picked: Record<string, unknown> = {};
  for (const [name, it] of Object.entries(value)) {
    const below = selector.get(name) ?? selector.get('*');
    if (below !== undefined) picked[name] = pick(it, below);
  }
  return picked;
}
