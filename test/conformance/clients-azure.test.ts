import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ACCOUNT } from '../../local/azure/blob/azurite.ts';
import { startBlob } from '../../local/azure/blob/blob.ts';
import { openCloud } from '../../local/cloud.ts';

const FILES = 2_000;
const RUN_MS_MAX = 120_000;
const run = promisify(execFile);
const found = await run('rclone', ['version']).then(
  () => true,
  () => false,
);

const folder = mkdtempSync(join(tmpdir(), 'triplicate-rclone-'));
const cloud = openCloud({ name: 'azure', folder: join(folder, 'state'), report: (line) => console.warn(line) });
const blob = await startBlob(cloud, { port: 0 });
const [source, back] = [join(folder, 'source'), join(folder, 'back')];

afterAll(async () => {
  await blob.stop();
  await cloud.close();
  rmSync(folder, { recursive: true, force: true });
}, RUN_MS_MAX);

function rclone(...words: readonly string[]) {
  const endpoint = `http://127.0.0.1:${blob.port}/${ACCOUNT}`;
  const account = ['--azureblob-use-emulator', '--azureblob-endpoint', endpoint, '--config', join(folder, 'none')];
  return run('rclone', [...words, ...account, '--retries', '1', '--transfers', '8'], { timeout: RUN_MS_MAX });
}

describe('rclone with the local Azure', () => {
  beforeAll(() => {
    const names = ['plain.txt', 'with space.txt', 'ünïcode ✓.bin', 'percent%20.txt', "quote'.json", 'plus+and&.dat'];
    for (let index = 0; index < FILES; index++) {
      const inside = join(source, `folder ${index % 20}`, `${index}`.slice(0, 2));
      mkdirSync(inside, { recursive: true });
      // Most are small as files are, some empty, a few as large as several blocks.
      const size = index % 100 === 0 ? 0 : index === 1 ? 20_000_000 : (index * 613) % 6_000;
      writeFileSync(join(inside, `${index} ${names[index % names.length]}`), Buffer.alloc(size, `${index},`));
    }
    mkdirSync(back, { recursive: true });
  });

  test(`syncs ${FILES} files in and out without a difference, copies and deletes`, {
    timeout: 2 * RUN_MS_MAX,
  }, async (context) => {
    if (!found) {
      console.warn('not run: rclone with the local Azure, needs rclone');
      return context.skip('needs rclone');
    }
    await rclone('mkdir', ':azureblob:box');
    await rclone('sync', source, ':azureblob:box/in', '--azureblob-chunk-size', '4M');
    expect((await rclone('check', source, ':azureblob:box/in')).stderr).toContain('0 differences found');
    await rclone('sync', ':azureblob:box/in', back);
    expect((await run('rclone', ['check', source, back, '--download'])).stderr).toContain('0 differences found');
    writeFileSync(join(source, 'late.txt'), 'late');
    await rclone('sync', source, ':azureblob:box/in');
    await rclone('copy', ':azureblob:box/in/late.txt', ':azureblob:box/copied');
    expect((await rclone('cat', ':azureblob:box/copied/late.txt')).stdout).toBe('late');
    const sum = JSON.parse((await rclone('size', ':azureblob:box', '--json')).stdout);
    expect(sum.count).toBe(FILES + 2);
    await rclone('delete', ':azureblob:box/in');
    expect((await rclone('lsf', '-R', '--files-only', ':azureblob:box')).stdout.trim()).toBe('copied/late.txt');
    await rclone('purge', ':azureblob:box');
  });
});
