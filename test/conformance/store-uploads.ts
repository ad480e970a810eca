/** Conformance of an object store: uploads by parts. */

import { createHash, randomBytes } from 'node:crypto';
import { expect } from 'vitest';
import { Fault } from '#shared/model/fault.ts';
import type { PartReceipt, StreamedPart } from '#shared/store/store.ts';
import {
  type Case,
  content,
  copyOnto,
  encode,
  IF_ABSENT,
  PLAIN,
  put,
  refused,
  sumsOf,
  uploadWhole,
} from './store-bench.ts';

export const UPLOADS: readonly Case[] = [
  {
    test: 'an upload joins its parts in order',
    async run({ store, can, key }) {
      const upload = await store.createUpload(key());
      const [a, b, c] = [filled(can.partBytesMin, 'a'), filled(can.partBytesMin, 'b'), encode('end')];
      // Sent out of order, as workers do.
      const third = await store.putPart(key(), upload, 3, c);
      const first = await store.putPart(key(), upload, 1, a);
      const second = await store.putPart(key(), upload, 2, b);
      expect(await store.head(key())).toBeNull();
      const written = await store.completeUpload(key(), upload, [first, second, third]);
      expect(written).toMatchObject({ kind: 'object', sizeBytes: 2 * can.partBytesMin + 3, revision: 1 });
      expect(await store.head(key())).toEqual(written);
      expect(await digest((await store.get(key(), written.phys)).body)).toBe(await digest([a, b, c]));
      for (const name of can.checksums)
        if (written.checksums[name] !== undefined)
          expect(written.checksums[name]).toBe(sumsOf(Buffer.concat([a, b, c]))[name]);
    },
  },
  {
    test: 'an upload is published by a conditional copy',
    async run({ store, key }) {
      const staged = await uploadWhole(store, key('stage'), 'whole');
      const first = await copyOnto(store, staged, key(), { condition: IF_ABSENT, marker: 'bQ' });
      expect(first).toMatchObject({ marker: 'bQ', sizeBytes: 5 });
      await refused(copyOnto(store, staged, key(), { condition: IF_ABSENT }), 'precondition');
    },
  },
  {
    test: 'a copy may be cut into calls, and ends as one',
    async run({ store, key }) {
      const staged = await uploadWhole(store, key('stage'), 'whole');
      const progress = {
        from: null as string | null,
        stop: true,
        isTimeUp: () => progress.stop,
        async save(text: string) {
          progress.from = text;
        },
      };
      const how = { condition: IF_ABSENT, metadata: PLAIN, marker: 'bQ' };
      // What fits into one call may end with the first one all the same.
      const first = await store.copy(staged, key(), how, progress).catch((error: unknown) => {
        expect(error).toMatchObject({ kind: 'timeout' });
        return null;
      });
      progress.stop = false;
      const copied = first ?? (await store.copy(staged, key(), how, progress));
      expect(copied).toMatchObject({ marker: 'bQ', sizeBytes: 5, metadata: PLAIN });
      expect(await content(store, key(), copied)).toBe('whole');
      if (progress.from !== null) await store.abortUpload(key(), progress.from);
    },
  },
  {
    test: 'a part sent again replaces the earlier one',
    async run({ store, key }) {
      const upload = await store.createUpload(key());
      await store.putPart(key(), upload, 1, encode('first'));
      const part = await store.putPart(key(), upload, 1, encode('second'));
      const same = await store.putPart(key(), upload, 1, encode('second'));
      expect(same).toEqual(part);
      expect(part).toMatchObject({ part: 1, sizeBytes: 6 });
      const written = await store.completeUpload(key(), upload, [same]);
      expect(await content(store, key(), written)).toBe('second');
    },
  },
  {
    test: 'a part may come as a stream, whatever its pieces',
    async run({ store, can, key }) {
      const upload = await store.createUpload(key());
      const bytes = randomBytes(can.partBytesMin + 700_001);
      const first = await store.putPart(key(), upload, 1, streamed(bytes, [1, 70_000, 300_000, 5]));
      const second = await store.putPart(key(), upload, 2, encode('end'), sumsOf(encode('end')));
      expect(first).toMatchObject({ part: 1, sizeBytes: bytes.length });
      const written = await store.completeUpload(key(), upload, [first, second]);
      expect(await digest((await store.get(key(), written.phys)).body)).toBe(await digest([bytes, encode('end')]));
    },
  },
  {
    test: 'a part that is not what its checksums say is no part',
    async run({ store, key }) {
      const upload = await store.createUpload(key());
      const other = sumsOf(encode('other'));
      await refused(store.putPart(key(), upload, 1, encode('bytes'), other), 'corrupt');
      await refused(store.putPart(key(), upload, 1, { ...streamed(encode('bytes')), sums: () => other }), 'corrupt');
    },
  },
  {
    test: 'a streamed part is as long as it says, and its source learns when nobody reads on',
    async run({ store, key }) {
      const upload = await store.createUpload(key());
      const short = { ...streamed(encode('short')), sizeBytes: 6 };
      await expect(store.putPart(key(), upload, 1, short)).rejects.toBeInstanceOf(Fault);
      let ended = false;
      async function* endless(): AsyncGenerator<Uint8Array> {
        try {
          for (;;) yield encode('and so on');
        } finally {
          ended = true;
        }
      }
      const long = { sizeBytes: 20, bytes: endless(), sums: () => ({}) };
      await expect(store.putPart(key(), upload, 1, long)).rejects.toBeInstanceOf(Fault);
      expect(ended).toBe(true);
    },
  },
  {
    test: 'two uploads to one key do not mix',
    async run({ store, key }) {
      const one = await store.createUpload(key());
      const two = await store.createUpload(key());
      expect(two).not.toBe(one);
      const part = await store.putPart(key(), one, 1, encode('one'));
      await store.putPart(key(), two, 1, encode('other'));
      const written = await store.completeUpload(key(), one, [part]);
      expect(await content(store, key(), written)).toBe('one');
    },
  },
  {
    test: 'an upload replaces whatever stands when it is completed',
    async run({ store, key }) {
      const upload = await store.createUpload(key('big'));
      const before = await put(store, key('big'), 'before');
      const part = await store.putPart(key('big'), upload, 1, encode('after'));
      const written = await store.completeUpload(key('big'), upload, [part]);
      expect(written.phys).not.toBe(before.phys);
      expect(await content(store, key('big'), written)).toBe('after');
    },
  },
  {
    test: 'an upload is not completed with a part that was never sent',
    async run({ store, key }) {
      const upload = await store.createUpload(key());
      const part = await store.putPart(key(), upload, 1, encode('one'));
      const forged: PartReceipt = { ...part, part: 2 };
      await expect(store.completeUpload(key(), upload, [part, forged])).rejects.toBeInstanceOf(Fault);
      expect(await store.head(key())).toBeNull();
    },
  },
  {
    test: 'an aborted upload leaves nothing, and aborting it again is no error',
    async run({ store, can, key }) {
      const upload = await store.createUpload(key());
      const part = await store.putPart(key(), upload, 1, encode('one'));
      await store.abortUpload(key(), upload);
      await store.abortUpload(key(), upload);
      expect(await store.head(key())).toBeNull();
      // Azure has nothing to abort: the blocks stay until a whole write or a week later.
      if (can.cloud !== 'azure') await refused(store.completeUpload(key(), upload, [part]), 'not-found');
    },
  },
];

/** In pieces of these sizes over and over. */
function streamed(bytes: Uint8Array, sizes: readonly number[] = [3]): StreamedPart {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0, piece = 0; at < bytes.length; piece++) {
      const size = sizes[piece % sizes.length] as number;
      yield bytes.slice(at, at + size);
      at += size;
    }
  }
  return { sizeBytes: bytes.length, bytes: pieces(), sums: () => sumsOf(bytes) };
}

function filled(size: number, letter: string): Uint8Array {
  return new Uint8Array(size).fill(letter.charCodeAt(0));
}

async function digest(body: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of body) hash.update(piece);
  return hash.digest('hex');
}
