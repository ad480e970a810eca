/** A process that puts objects into a file store as others do, each if nothing stands there, and says which it won. */

import { randomBytes } from 'node:crypto';
import { isFault } from '#shared/model/fault.ts';
import { openFileStore } from '#shared/store/file.ts';

const [, , directory = ''] = process.argv;
const keys = 40;
const nextId = () => randomBytes(16).toString('base64url');
const store = await openFileStore({ site: 'f', directory, now: Date.now, nextId });

for (let index = 0; index < keys; index++) {
  const key = `key ${index}`;
  try {
    await store.put(key, randomBytes(100_000), {
      condition: { kind: 'if-absent' },
      metadata: { headers: {}, user: {} },
    });
    process.stdout.write(`won ${index}\n`);
  } catch (error) {
    if (!isFault(error, 'precondition')) throw error;
    process.stdout.write(`lost ${index}\n`);
  }
}
