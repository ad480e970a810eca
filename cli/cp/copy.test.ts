import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withCanonicalNames } from '../../shared/store/layers/canonical.ts';
import { type MemoryStore, openMemoryStore } from '../../shared/store/memory.ts';
import { copy } from './copy.ts';
import { objectSource, type Source } from './ends.ts';

const METADATA = { headers: { contentType: 'text/plain' }, user: { note: 'kept' } };
let given = 0;
const options = {
  condition: { kind: 'if-absent' } as const,
  nextId: () => `id${++given}`,
  onBytes: () => {},
};

function bucket(
  flavour: 's3' | 'gcs' | 'azure',
  limits: { putBytesMax?: number; partBytesMin?: number } = {},
): MemoryStore {
  return openMemoryStore({ site: flavour, flavour, versioned: true, now: () => 1_750_000_000_000, ...limits });
}

async function sourceIn(store: MemoryStore, bytes: Uint8Array): Promise<Source> {
  store.clientPut('from', bytes, { metadata: METADATA });
  return (await objectSource(withCanonicalNames(store), 'from')) as Source;
}

async function bytesOf(store: MemoryStore, key: string): Promise<Buffer> {
  const head = await store.head(key);
  const chunks: Uint8Array[] = [];
  for await (const chunk of (await store.get(key, head?.phys ?? '')).body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('a copy', () => {
  it('carries bytes, content type and user metadata to another cloud', async () => {
    const target = bucket('azure');
    const source = await sourceIn(bucket('s3'), Buffer.from('some text'));
    const copied = await copy(source, { kind: 'object', store: withCanonicalNames(target), key: 'to' }, options);
    expect(copied).toMatchObject({ sizeBytes: 9, how: 'streamed' });
    expect((await bytesOf(target, 'to')).toString()).toBe('some text');
    expect((await withCanonicalNames(target).head('to'))?.metadata).toEqual(METADATA);
  });

  it('goes in parts where one request does not take it, and leaves nothing else behind', async () => {
    const target = bucket('gcs', { putBytesMax: 1_000, partBytesMin: 1 });
    const bytes = randomBytes(4_500);
    const source = await sourceIn(bucket('s3'), bytes);
    const told: number[] = [];
    const counting = { ...options, onBytes: (more: number) => void told.push(more) };
    const copied = await copy(source, { kind: 'object', store: withCanonicalNames(target), key: 'to' }, counting);
    expect(copied).toMatchObject({ sizeBytes: 4_500, how: 'in parts' });
    expect(told.reduce((sum, more) => sum + more, 0)).toBe(4_500);
    expect(await bytesOf(target, 'to')).toEqual(bytes);
    expect((await target.list({ prefix: '', limit: 10 })).objects.map(({ key }) => key)).toEqual(['to']);
  });

  it('in parts overwrites nothing either, and leaves nothing behind', async () => {
    const target = bucket('gcs', { putBytesMax: 1_000, partBytesMin: 1 });
    target.clientPut('to', Buffer.from('was here'), { metadata: METADATA });
    const source = await sourceIn(bucket('s3'), randomBytes(4_500));
    const copying = copy(source, { kind: 'object', store: withCanonicalNames(target), key: 'to' }, options);
    await expect(copying).rejects.toMatchObject({ kind: 'precondition' });
    expect((await bytesOf(target, 'to')).toString()).toBe('was here');
    expect((await target.list({ prefix: '', limit: 10 })).objects.map(({ key }) => key)).toEqual(['to']);
  });

  it.each([
    ['other bytes than their checksum', { body: async () => [Buffer.from('sOme text')] }],
    ['too few bytes', { body: async () => [Buffer.from('some')], checksums: {} }],
  ])('of %s writes nothing', async (_what, wrong) => {
    const target = bucket('azure');
    const source = await sourceIn(bucket('s3'), Buffer.from('some text'));
    const broken = { ...source, ...(wrong as unknown as Partial<Source>) };
    const copying = copy(broken, { kind: 'object', store: withCanonicalNames(target), key: 'to' }, options);
    await expect(copying).rejects.toMatchObject({ kind: 'corrupt' });
    expect(await target.head('to')).toBeNull();
  });
});
