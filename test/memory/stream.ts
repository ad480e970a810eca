/** Streams one large object up and down again through a driver, in a process of its own, and prints what memory it took. */

import { createHash, randomUUID } from 'node:crypto';
import type { ObjectStore } from '#shared/store/store.ts';
import { peakBytes } from './peak.ts';

const PIECE_BYTES = 64 * 1024;
/** Loaded one at a time: what the others need is not measured. */
const DRIVERS: Readonly<Record<string, (options: never) => Promise<ObjectStore>>> = {
  azblob: async (options) => (await import('#shared/store/azblob.ts')).openAzureBlobStore(options),
  file: async (options: object) => {
    const { openFileStore } = await import('#shared/store/file.ts');
    return openFileStore({ ...options, now: Date.now, nextId: randomUUID } as never);
  },
  gcs: async (options) => (await import('#shared/store/gcs.ts')).openGcsStore(options),
  s3: async (options) => (await import('#shared/store/s3.ts')).openS3Store(options),
};

const [, , driver = '', options = '{}', size = '0'] = process.argv;
const open = DRIVERS[driver];
if (!open) throw new Error(`no driver ${driver}, only ${Object.keys(DRIVERS).join(', ')}`);
const store = await open(JSON.parse(options) as never);
const sizeBytes = Number(size);

const sent = createHash('sha256');
async function* pieces(): AsyncGenerator<Uint8Array> {
  const piece = Buffer.alloc(PIECE_BYTES);
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
    piece.writeDoubleBE(at);
    const part = piece.subarray(0, Math.min(PIECE_BYTES, sizeBytes - at));
    sent.update(part);
    yield part;
  }
}

const metadata = { headers: {}, user: {} };
const { phys } = await store.put('large', pieces(), { condition: { kind: 'always' }, metadata });
const peakUpBytes = peakBytes();
const received = createHash('sha256');
for await (const piece of (await store.get('large', phys)).body) received.update(piece);
const same = sent.digest('hex') === received.digest('hex');
process.stdout.write(JSON.stringify({ same, peakUpBytes, peakBytes: peakBytes() }));
process.exit(0);
