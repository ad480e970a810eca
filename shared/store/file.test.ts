import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { storeConformance } from '../../test/conformance/store.ts';
import { ALWAYS, content, encode, IF_ABSENT, options, put, text } from '../../test/conformance/store-bench.ts';
import { openFileStore, tidyFileStore } from './file.ts';

const folders: string[] = [];
const nextId = () => randomBytes(16).toString('base64url');

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'triplicate-file-'));
  folders.push(folder);
  return folder;
}

function open(directory = newFolder()) {
  return openFileStore({ site: 'f', directory, now: Date.now, nextId });
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

storeConformance({ name: 'files', open: async () => ({ store: await open() }) });

describe('a key', () => {
  const keys = [
    ...[
      'a',
      'A',
      'a.',
      'a..',
      '.',
      '..',
      '../../up',
      '/',
      '//',
      'a/',
      'a//b',
      'con',
      'nul.txt',
      '-',
      '%61',
      'a=',
      'a+',
    ],
    ...['\u0000', '\n', '\\', 'x'.repeat(119), 'x'.repeat(120), 'x'.repeat(121), 'x'.repeat(1024), 'ä'.repeat(512)],
    ...['~/'.repeat(254), 'a/'.repeat(254), '🐘'.repeat(256)],
  ];

  it('of any signs and length stays what it is, inside the folder of the store', async () => {
    const directory = newFolder();
    const inner = join(directory, 'inner');
    const store = await open(inner);
    for (const key of keys) await put(store, key, key);
    for (const key of keys) expect(await content(store, key, (await store.head(key))!)).toBe(key);
    const { objects } = await store.list({ prefix: '', limit: 1000 });
    expect(objects.map(({ key }) => key).sort()).toEqual([...keys].sort());
    expect(readdirSync(directory)).toEqual(['inner']);
  });

  it('is found below any prefix of it', async () => {
    const store = await open();
    const key = `a/${'Ü'.repeat(300)}/end`;
    await put(store, key, 'x');
    for (let length = 0; length <= key.length; length += 40) {
      const { objects } = await store.list({ prefix: key.slice(0, length), limit: 10 });
      expect(objects).toHaveLength(1);
    }
    expect((await store.list({ prefix: `${key}x`, limit: 10 })).objects).toEqual([]);
  });

  it.each(['', 'x'.repeat(1025), '\ud800'])('that no S3 bucket takes is refused', async (key) => {
    await expect(put(await open(), key, 'x')).rejects.toMatchObject({ kind: 'invalid', details: { field: 'key' } });
  });
});

describe('a folder opened twice', () => {
  it('shows each what the other wrote, and lets one of them win', async () => {
    const directory = newFolder();
    const [one, two] = [await open(directory), await open(directory)];
    const first = await put(one, 'k', 'one');
    expect(await two.versions('k')).toEqual([first]);
    const writes = [one, two].map((store) =>
      put(store, 'k', 'next', { condition: { kind: 'if-token', token: first.token! } }),
    );
    const outcomes = await Promise.allSettled(writes);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('by processes that race for each of many keys lets one win each, and is whole after they were killed', async () => {
    const directory = newFolder();
    const racer = join(import.meta.dirname, '../../test/crash/file-racer.ts');
    const racers = Array.from({ length: 4 }, () => spawn(process.execPath, [racer, directory], { stdio: 'pipe' }));
    const said = racers.map(() => '');
    for (const [index, child] of racers.entries())
      child.stdout.on('data', (data) => {
        said[index] += data;
      });
    // One is killed in the middle of its work, the others finish.
    while (!said[0]?.includes('\n')) await once(racers[0]!.stdout, 'data');
    racers[0]!.kill('SIGKILL');
    await Promise.all(racers.map((child) => (child.exitCode ?? child.signalCode) === null && once(child, 'exit')));

    const store = await open(directory);
    const won = said.flatMap((lines) => lines.split('\n').filter((line) => line.startsWith('won ')));
    expect(new Set(won.map((line) => line.split(' ')[1])).size).toBe(won.length);
    const { objects } = await store.list({ prefix: '', limit: 1000 });
    expect(objects.length).toBeGreaterThanOrEqual(won.length);
    for (const { key, phys } of objects) {
      expect(await store.versions(key)).toHaveLength(1);
      for await (const _piece of (await store.get(key, phys)).body);
    }
  });
});

describe('what is kept', () => {
  it('is found again by the next who opens the folder', async () => {
    const directory = newFolder();
    const before = await open(directory);
    const upload = await before.createUpload('big');
    const part = await before.putPart('big', upload, 1, encode('part'));
    const chain = [await put(before, 'k', 'one', { marker: 'bQ' }), await before.delete('k', ALWAYS)];
    const after = await open(directory);
    expect(await after.versions('k')).toEqual(chain);
    expect(await content(after, 'big', await after.completeUpload('big', upload, [part]))).toBe('part');
  });

  it('is checked when it is read', async () => {
    const directory = newFolder();
    const store = await open(directory);
    const { phys } = await put(store, 'k', 'hello');
    const [body] = filesBelow(directory).filter((path) => path.endsWith('.body'));
    writeFileSync(body!, 'jello');
    const read = async () => text((await store.get('k', phys)).body);
    await expect(read()).rejects.toMatchObject({ kind: 'corrupt', details: { site: 'f', op: 'get', key: 'k' } });
    writeFileSync(body!, 'hell');
    await expect(read()).rejects.toMatchObject({ kind: 'corrupt', details: { field: 'sizeBytes' } });
  });

  it('leaves no bytes of writes that were refused', async () => {
    const directory = newFolder();
    const store = await open(directory);
    await put(store, 'k', 'one');
    await expect(put(store, 'k', 'two', { condition: IF_ABSENT })).rejects.toMatchObject({ kind: 'precondition' });
    const wrong = { checksums: { crc32c: 'AAAAAA==' } };
    await expect(store.put('k', encode('x'), options(wrong))).rejects.toMatchObject({ kind: 'corrupt' });
    expect(filesBelow(directory).filter((path) => !path.endsWith('.json'))).toHaveLength(1);
  });

  it('by a crash only is tidied away when it is old, and nothing else', async () => {
    const directory = newFolder();
    const store = await open(directory);
    await put(store, 'k', 'one');
    await put(store, 'k', 'two');
    const upload = await store.createUpload('big');
    const [body] = filesBelow(directory).filter((path) => path.endsWith('.body'));
    const orphan = join(body!, '../never-published.body');
    const draft = join(directory, 'temp/draft');
    for (const path of [orphan, draft]) writeFileSync(path, 'x');
    const options = { now: Date.now, olderThanMs: 60_000 };
    expect(await tidyFileStore(directory, options)).toBe(0);
    const old = new Date(Date.now() - 120_000);
    for (const path of [orphan, draft, body!, join(directory, 'uploads', upload)]) utimesSync(path, old, old);
    expect(await tidyFileStore(directory, options)).toBe(3);
    for (const version of await store.versions('k')) await content(store, 'k', version);
    expect(statSync(body!).isFile()).toBe(true);
  });
});
