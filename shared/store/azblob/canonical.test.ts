import { afterAll, expect, it } from 'vitest';
import { startBlob } from '../../../local/azure/blob/blob.ts';
import { openCloud } from '../../../local/cloud.ts';
import { storeConformance } from '../../../test/conformance/store.ts';
import { openAzureBlobStore } from '../azblob.ts';
import { withCanonicalNames } from '../layers/canonical.ts';

const cloud = openCloud({ name: 'azure', report: (line) => console.warn(line) });
const blob = await startBlob(cloud, { port: 0 });
await blob.createContainer('box');
const where = { site: 'z', container: 'box', connectionString: blob.connectionString };
const store = withCanonicalNames(await openAzureBlobStore(where));

afterAll(async () => {
  await blob.stop();
  await cloud.close();
});

storeConformance({ name: 'Azure Blob under canonical names', open: async () => ({ store }) });

it.each([
  'a/',
  'a.',
  './a',
  '..',
  'a\\b',
  'a\nb',
  '~h/',
  `${'k'.repeat(1025 - 1)}/`,
  'a/'.repeat(300),
  'é'.repeat(1024),
])('a key that Azure cannot hold as it is has a name there all the same: %j', async (key) => {
  const metadata = { headers: {}, user: { 'with-hyphen': 'Ä', owner: 'tests' } };
  const options = { condition: { kind: 'if-absent' }, metadata, marker: 'bQ' } as const;
  const written = await store.put(key, Buffer.from(key), options);
  expect(written).toMatchObject({ key, metadata, marker: 'bQ' });
  expect(await store.head(key)).toEqual(written);
  expect((await store.list({ prefix: key, limit: 10 })).objects).toContainEqual(written);
  await store.delete(key, { kind: 'if-token', token: written.token! });
  expect(await store.head(key)).toBeNull();
});
