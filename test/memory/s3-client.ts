/** Sends a stream of so many MiB to the local S3, reads it back, and says what it took; in a process of its own. */

import { crc64nvme, toCrc64nvmeText } from '#shared/model/crc.ts';
import { openS3Store } from '#shared/store/s3.ts';
import { peakBytes } from './peak.ts';

const [, , port = '', mib = ''] = process.argv;
const MI = 1024 * 1024;
const sizeBytes = Number(mib) * MI;
const store = await openS3Store({
  site: 's',
  bucket: 'memory',
  region: 'us-east-1',
  endpoint: `http://127.0.0.1:${port}`,
  forcePathStyle: true,
  credentials: { accessKeyId: 'local', secretAccessKey: 'local-secret' },
});

let sum = 0n;
const written = await store.put('large', source(), {
  condition: { kind: 'always' },
  metadata: { headers: {}, user: {} },
});
let readBytes = 0;
for await (const piece of (await store.get('large', written.phys)).body) readBytes += piece.length;
store.close();

// Every other reading of the resident size would miss the peak between two readings.
const peakMib = Math.round(peakBytes() / 1024 ** 2);
const whole = readBytes === sizeBytes && written.checksums.crc64nvme === toCrc64nvmeText(sum);
process.stdout.write(`${JSON.stringify({ peakMib, whole })}\n`);

/** In one buffer that is used again, as a file reader does. */
async function* source(): AsyncGenerator<Uint8Array> {
  const piece = Buffer.alloc(MI);
  for (let at = 0; at < sizeBytes; at += MI) {
    piece.fill(`${at};`);
    sum = crc64nvme(piece, sum);
    yield piece;
  }
}
