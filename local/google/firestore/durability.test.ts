import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Firestore } from '@google-cloud/firestore';
import { credentials } from '@grpc/grpc-js';
import { afterAll, afterEach, expect, test } from 'vitest';
import { openCloud } from '../../cloud.ts';
import { startFirestore } from './firestore.ts';

const folder = mkdtempSync(join(tmpdir(), 'triplicate-firestore-'));
const here = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
const CHILD = `
  const { openCloud } = await import(${here('../../cloud.ts')});
  const { startFirestore } = await import(${here('./firestore.ts')});
  const cloud = openCloud({ name: 'gcp', folder: ${JSON.stringify(folder)} });
  console.log((await startFirestore(cloud, { port: 0 })).port);
`;
const ROUNDS = 3;
const WORKERS = 6;

let child: ChildProcess | null = null;

afterEach(() => child?.kill('SIGKILL'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function connect(port: number): Firestore {
  const host = `127.0.0.1:${port}`;
  const sslCreds = credentials.createInsecure();
  return new Firestore({
    projectId: 'p',
    host,
    ssl: false,
    sslCreds,
    clientOptions: { universeDomain: 'googleapis.com' },
  });
}

test('what was committed before kill -9 stands after it, both halves of it or none', async () => {
  /** What each worker knows to be the last number of its pair. */
  const known = new Map<string, number>();
  for (let round = 0; round < ROUNDS; round++) {
    const started = spawn(process.execPath, ['--input-type=module', '-e', CHILD], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child = started;
    const [line] = await once(started.stdout, 'data');
    const firestore = connect(Number(String(line)));
    let going = true;
    const killed = once(started, 'exit').then(() => Promise.reject(new Error('killed')));
    killed.catch(() => {});
    const work = async (worker: string) => {
      while (going) {
        const n = (known.get(worker) ?? 0) + 1;
        const batch = firestore.batch();
        for (const half of ['first', 'second']) batch.set(firestore.doc(`pairs/${worker}-${half}`), { n, by: worker });
        // Who was not answered does not know, and does not go on.
        await Promise.race([batch.commit(), killed]);
        known.set(worker, n);
      }
    };
    const workers = Array.from({ length: WORKERS }, (_, worker) => work(`w${worker}`).catch(() => {}));
    const sum = () => [...known.values()].reduce((total, n) => total + n, 0);
    const enough = sum() + 100;
    await firestore.collection('pairs').where('n', '>', 0).get();
    await expect.poll(sum, { timeout: 20_000 }).toBeGreaterThan(enough);
    started.kill('SIGKILL');
    going = false;
    await Promise.all(workers);
    void firestore.terminate().catch(() => {});
  }

  const cloud = openCloud({ name: 'gcp', folder });
  const service = await startFirestore(cloud, { port: 0 });
  const firestore = connect(service.port);
  for (const [worker, n] of known) {
    const [first, second] = await firestore.getAll(
      ...['first', 'second'].map((half) => firestore.doc(`pairs/${worker}-${half}`)),
    );
    expect(first!.get('n')).toBe(second!.get('n'));
    expect(first!.get('n') - n).toBeGreaterThanOrEqual(0);
    expect(first!.get('n') - n).toBeLessThanOrEqual(1);
    const found = await firestore.collection('pairs').where('n', '==', first!.get('n')).get();
    expect(found.docs.map(({ id }) => id)).toEqual(expect.arrayContaining([`${worker}-first`, `${worker}-second`]));
    expect(found.docs.every((it) => it.get('n') === first!.get('n'))).toBe(true);
  }
  await firestore.terminate();
  await service.stop();
  await cloud.close();
});
