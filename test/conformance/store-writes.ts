/** Conformance of an object store: conditions, deletes, copies, checksums and concurrent writers. */

import { expect } from 'vitest';
import { Fault } from '#shared/model/fault.ts';
import type { ObjectVersion } from '#shared/model/object.ts';
import {
  ALWAYS,
  type Case,
  content,
  copyOnto,
  encode,
  IF_ABSENT,
  ifToken,
  options,
  PLAIN,
  put,
  RICH,
  refused,
  sumsOf,
} from './store-bench.ts';

const CONCURRENT = 64;

export const WRITES: readonly Case[] = [
  {
    test: 'a put if absent succeeds where nothing stands, and once',
    async run({ store, key }) {
      const first = await put(store, key(), 'one', { condition: IF_ABSENT });
      await refused(put(store, key(), 'two', { condition: IF_ABSENT }), 'precondition');
      expect(await store.head(key())).toEqual(first);
    },
  },
  {
    test: 'a put if absent succeeds on a deleted key',
    async run({ store, key }) {
      await put(store, key(), 'one');
      await store.delete(key(), ALWAYS);
      const again = await put(store, key(), 'again', { condition: IF_ABSENT });
      expect(await store.head(key())).toEqual(again);
    },
  },
  {
    test: 'a put with a token replaces that version and no later one',
    async run({ store, key }) {
      const first = await put(store, key(), 'one');
      const second = await put(store, key(), 'second', { condition: ifToken(first) });
      await refused(put(store, key(), 'third', { condition: ifToken(first) }), 'precondition');
      expect(await store.head(key())).toEqual(second);
    },
  },
  {
    test: 'a token never holds where nothing stands, or nothing any more',
    async run({ store, key }) {
      const elsewhere = await put(store, key('elsewhere'), 'one');
      await refused(put(store, key(), 'two', { condition: ifToken(elsewhere) }), 'precondition');
      const first = await put(store, key(), 'one');
      await store.delete(key(), ALWAYS);
      await refused(put(store, key(), 'two', { condition: ifToken(first) }), 'precondition');
      await refused(store.delete(key(), ifToken(first)), 'precondition');
      await refused(copyOnto(store, elsewhere, key(), { condition: ifToken(first) }), 'precondition');
      expect(await store.head(key())).toBeNull();
    },
  },
  {
    test: 'tokens are exact where the store says so, and else say the bytes alone',
    async run({ store, can, key }) {
      const first = await put(store, key(), 'same', { metadata: PLAIN });
      const second = await put(store, key(), 'same', { metadata: RICH });
      if (can.exactToken) expect(second.token).not.toBe(first.token);
      else expect(second.token).toBe(first.token);
      const replacing = put(store, key(), 'third', { condition: ifToken(first) });
      if (can.exactToken) await refused(replacing, 'precondition');
      else expect(await replacing).toMatchObject({ sizeBytes: 5 });
    },
  },
  {
    test: 'a delete leaves nothing standing',
    async run({ store, key }) {
      await put(store, key(), 'one');
      const answer = await store.delete(key(), ALWAYS);
      expect(await store.head(key())).toBeNull();
      if (answer) {
        expect(answer).toMatchObject({ kind: 'delete-marker', token: null, sizeBytes: 0 });
        expect((await store.versions(key())).at(-1)).toEqual(answer);
      }
    },
  },
  {
    test: 'deleting nothing, once or twice, is no error',
    async run({ store, key }) {
      await store.delete(key(), ALWAYS);
      expect(await store.head(key())).toBeNull();
      await put(store, key(), 'one');
      await store.delete(key(), ALWAYS);
      await store.delete(key(), ALWAYS);
      expect(await store.head(key())).toBeNull();
    },
  },
  {
    test: 'a delete with a token removes that version and no later one',
    async run({ store, key }) {
      const first = await put(store, key(), 'one');
      const second = await put(store, key(), 'second');
      await refused(store.delete(key(), ifToken(first)), 'precondition');
      expect(await store.head(key())).toEqual(second);
      await store.delete(key(), ifToken(second));
      expect(await store.head(key())).toBeNull();
    },
  },
  {
    test: 'a delete if absent deletes nothing',
    async run({ store, key }) {
      await store.delete(key(), IF_ABSENT);
      expect(await store.versions(key())).toEqual([]);
      const first = await put(store, key(), 'one');
      await refused(store.delete(key(), IF_ABSENT), 'precondition');
      expect(await store.head(key())).toEqual(first);
    },
  },
  {
    test: 'a copy has the bytes of its source and the metadata it was given',
    async run({ store, key }) {
      const source = await put(store, key('source'), 'hello', { metadata: RICH, marker: 'b2xk' });
      const copied = await copyOnto(store, source, key(), { metadata: PLAIN, marker: 'bmV3' });
      expect(copied).toMatchObject({ key: key(), sizeBytes: 5, revision: 1, metadata: PLAIN, marker: 'bmV3' });
      expect(await content(store, key(), copied)).toBe('hello');
      expect(await store.head(key('source'))).toEqual(source);
    },
  },
  {
    test: 'a copy carries no marker of its source',
    async run({ store, key }) {
      const source = await put(store, key('source'), 'hello', { marker: 'b2xk' });
      expect(await copyOnto(store, source, key())).not.toHaveProperty('marker');
    },
  },
  {
    test: 'a copy onto itself changes the metadata and makes a version of its own',
    async run({ store, key }) {
      const first = await put(store, key(), 'hello', { marker: 'b2xk' });
      const copied = await copyOnto(store, first, key(), { metadata: RICH, condition: ifToken(first) });
      expect(await store.head(key())).toEqual(copied);
      expect(copied.metadata).toEqual(RICH);
      expect(copied).not.toHaveProperty('marker');
      expect(await content(store, key(), copied)).toBe('hello');
    },
  },
  {
    test: 'a copy keeps the conditions of a put',
    async run({ store, key }) {
      const source = await put(store, key('source'), 'hello');
      const first = await copyOnto(store, source, key(), { condition: IF_ABSENT });
      await refused(copyOnto(store, source, key(), { condition: IF_ABSENT }), 'precondition');
      const second = await put(store, key(), 'second');
      await refused(copyOnto(store, source, key(), { condition: ifToken(first) }), 'precondition');
      expect(await store.head(key())).toEqual(second);
      const third = await copyOnto(store, source, key(), { condition: ifToken(second) });
      expect(await store.head(key())).toEqual(third);
    },
  },
  {
    test: 'a copy takes the version it names and nothing else',
    async run({ store, can, key }) {
      const first = await put(store, key('source'), 'one');
      await put(store, key('source'), 'second');
      if (can.history === 'chain') {
        const copied = await copyOnto(store, first, key());
        expect(await content(store, key(), copied)).toBe('one');
      } else {
        const copied = await copyOnto(store, first, key()).catch((error: unknown) => error);
        // Only a versioned GCS bucket, which keeps old generations, can still tell them.
        if (copied instanceof Fault) expect(copied.kind).toBe('not-found');
        else expect(await content(store, key(), copied as ObjectVersion)).toBe('one');
      }
      await refused(store.copy({ key: key('none'), phys: first.phys }, key('other'), options()), 'not-found');
      expect(await store.head(key('other'))).toBeNull();
    },
  },
  {
    test: 'checksums that fit are no obstacle, and the store shows those it keeps',
    async run({ store, can, key }) {
      const checksums = sumsOf(encode('hello'));
      const written = await put(store, key(), 'hello', { checksums });
      expect(Object.keys(written.checksums).sort()).toEqual([...can.checksums].sort());
      expect(checksums).toMatchObject(written.checksums);
      expect((await store.head(key()))?.checksums).toEqual(written.checksums);
      const copied = await copyOnto(store, written, key('copy'), { checksums });
      expect(copied.checksums).toEqual(written.checksums);
    },
  },
  {
    test: 'a checksum that does not fit is refused and nothing is written',
    async run({ store, key }) {
      const { crc32c: c32, crc64nvme: c64 } = sumsOf(encode('other'));
      const first = await put(store, key(), 'first');
      await refused(put(store, key(), 'hello', { checksums: { crc32c: c32 } }), 'corrupt');
      await refused(put(store, key(), 'hello', { checksums: { crc64nvme: c64 } }), 'corrupt');
      expect(await store.head(key())).toEqual(first);
    },
  },
  {
    test: 'of many who put if absent at once exactly one wins',
    async run({ store, key }) {
      const writers = Array.from({ length: CONCURRENT }, (_, index) =>
        put(store, key(), `writer ${index}`, { condition: IF_ABSENT }),
      );
      const winner = await onlyWinner(writers);
      expect(await store.head(key())).toEqual(winner);
    },
  },
  {
    test: 'of many who put with one token at once exactly one wins',
    async run({ store, key }) {
      const first = await put(store, key(), 'first');
      const writers = Array.from({ length: CONCURRENT }, (_, index) =>
        put(store, key(), `writer ${index}`, { condition: ifToken(first) }),
      );
      const winner = await onlyWinner(writers);
      expect(await store.head(key())).toEqual(winner);
    },
  },
  {
    test: 'a slow body is judged by what stands when it ends',
    async run({ store, key }) {
      const slow = gated('slow');
      const writing = put(store, key(), slow.body, { condition: IF_ABSENT });
      await slow.begun;
      const first = await put(store, key(), 'first');
      slow.finish();
      await refused(writing, 'precondition', 'conflict');
      expect(await store.head(key())).toEqual(first);
    },
  },
  {
    test: 'a patch of the metadata keeps bytes and marker and shows as a change',
    needs: 'client',
    async run({ store, can, client, key }) {
      const first = await put(store, key(), 'hello', { marker: 'bQ' });
      await client?.patchMetadata(key(), RICH);
      const patched = await store.head(key());
      expect(patched).toMatchObject({ metadata: RICH, marker: 'bQ', sizeBytes: 5 });
      expect(await content(store, key(), patched!)).toBe('hello');
      if (!can.exactToken) return expect(patched?.token).toBe(first.token);
      expect(patched?.token).not.toBe(first.token);
      expect(patched?.phys).not.toBe(first.phys);
      await refused(put(store, key(), 'late', { condition: ifToken(first) }), 'precondition');
      if (can.history === 'current') await refused(store.get(key(), first.phys), 'not-found');
      if (patched?.body === first.body) expect(patched.revision).toBe(first.revision + 1);
      else expect(patched?.revision).toBe(1);
    },
  },
  {
    test: 'a fault says its kind, the site and the key',
    async run({ store, key }) {
      await put(store, key(), 'one');
      const error = await put(store, key(), 'two', { condition: IF_ABSENT }).catch((it: unknown) => it);
      expect(error).toBeInstanceOf(Fault);
      expect(error).toMatchObject({ kind: 'precondition', retry: 'never', details: { site: store.site, key: key() } });
    },
  },
];

/** The rest must have been refused, for whatever reason a service gives those who come too many at once. */
async function onlyWinner(writers: readonly Promise<ObjectVersion>[]): Promise<ObjectVersion> {
  const outcomes = await Promise.allSettled(writers);
  const winners = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  expect(winners).toHaveLength(1);
  for (const outcome of outcomes)
    if (outcome.status === 'rejected')
      expect(['precondition', 'conflict', 'throttled']).toContain((outcome.reason as Fault).kind);
  return winners[0]!.value;
}

/** A body that ends only when told to. */
function gated(body: string): { body: AsyncIterable<Uint8Array>; begun: Promise<void>; finish: () => void } {
  const begun = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield encode(body);
    begun.resolve();
    await gate.promise;
  }
  return { body: pieces(), begun: begun.promise, finish: gate.resolve };
}
