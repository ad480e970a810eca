/** What stands after things went wrong: a killed process, and faults set on purpose. */

import { fork } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openGcs } from '../../../test/local/gcs.ts';

const KIB = 1024;

describe('after kill -9', () => {
  it('all that was acknowledged stands whole, and nothing else is left', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gcs-killed-'));
    const served = join(import.meta.dirname, '../../../test/local/serve-gcs.ts');
    const child = fork(served, [folder], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const endpoint = await new Promise<string>((resolve, reject) => {
      child.once('message', (message) => resolve(String(message)));
      child.once('exit', () => reject(new Error('the child ended before it listened')));
    });
    const acknowledged = new Map<string, string>();
    let stop = false;
    let answers = 0;
    const enough = Promise.withResolvers<void>();
    // Small ones in the database, large ones in files, replaced over and over, until the server is gone.
    const writers = Array.from({ length: 6 }, async (_, writer) => {
      for (let i = 0; !stop && i < 10_000; i++) {
        const bytes = randomBytes(i % 2 === 0 ? 500 : 100 * KIB);
        const name = `w${writer}-${i % 5}`;
        const path = `${endpoint}/upload/storage/v1/b/killed/o?uploadType=media&name=${name}`;
        const before = acknowledged.get(name);
        try {
          // Until the answer is here, either may stand.
          acknowledged.set(name, `${before ?? ''}|${md5(bytes)}`);
          const response = await fetch(path, { method: 'POST', body: bytes });
          const { md5Hash } = (await response.json()) as { md5Hash: string };
          acknowledged.set(name, `|${md5Hash}`);
          answers++;
          if (answers === 80) enough.resolve();
        } catch {
          return;
        }
      }
    });
    await enough.promise;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
    stop = true;
    await Promise.all(writers);

    const bench = await openGcs({ folder });
    const [files] = await bench.storage.bucket('killed').getFiles();
    const standing = new Map(files.map((it) => [it.name, it]));
    let large = 0;
    for (const [name, digests] of acknowledged) {
      const file = standing.get(name);
      if (file === undefined) {
        // Only a first write whose answer never came may be missing.
        expect(digests).toMatch(/^\|[^|]+$/);
        continue;
      }
      const { bytes } = await bench.ask('GET', `/killed/${name}`);
      if (bytes.length > 64 * KIB) large++;
      expect(digests.split('|')).toContain(md5(bytes));
      expect(file.metadata.md5Hash).toBe(md5(bytes));
    }
    expect(standing.size).toBeGreaterThanOrEqual(20);
    expect(await readdir(join(folder, 'bodies'))).toHaveLength(large);
    await bench.close();
    await rm(folder, { recursive: true });
  });
});

describe('a fault set on purpose', () => {
  it("is the cloud's own error, and nothing happens", async () => {
    const bench = await openGcs();
    bench.gcs.createBucket('faulty');
    const scope = { service: 'gcs', operation: 'storage.objects.insert' };
    bench.faults.add({ scope, effect: { kind: 'status', status: 503 }, times: 2 });
    const path = '/upload/storage/v1/b/faulty/o?uploadType=media&name=x';
    const { status, json } = await bench.ask('POST', path, { body: 'x' });
    expect([status, json.error.errors[0].reason]).toEqual([503, 'backendError']);
    expect((await bench.ask('PUT', '/faulty/x', { body: 'x' })).text).toContain('<Code>ServiceUnavailable</Code>');
    expect((await bench.ask('GET', '/storage/v1/b/faulty/o/x')).status).toBe(404);
    expect((await bench.ask('POST', path, { body: 'x' })).status).toBe(200);
    await bench.close();
  });

  it('may lose the answer of a write that happened, for keys with a prefix', async () => {
    const bench = await openGcs();
    bench.gcs.createBucket('faulty');
    bench.faults.add({ scope: { service: 'gcs', keyPrefix: 'lost/' }, effect: { kind: 'lost-answer' }, times: 1 });
    const path = '/upload/storage/v1/b/faulty/o?uploadType=media&ifGenerationMatch=0&name=';
    expect((await bench.ask('POST', `${path}other`, { body: 'x' })).status).toBe(200);
    await expect(bench.ask('POST', `${path}lost/x`, { body: 'x' })).rejects.toThrow();
    expect((await bench.ask('POST', `${path}lost/x`, { body: 'x' })).status).toBe(412);
    await bench.close();
  });
});

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('base64');
}
