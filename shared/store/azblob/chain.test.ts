import { afterAll, expect, it } from 'vitest';
import { startAzureVersions } from '../../../test/conformance/azure-versions.ts';
import { storeConformance } from '../../../test/conformance/store.ts';
import { openAzureBlobStore } from '../azblob.ts';

const account = await startAzureVersions();
const where = { site: 'z', container: 'box', url: account.url };
const store = await openAzureBlobStore(where);
const plain = { condition: { kind: 'always' }, metadata: { headers: {}, user: {} } } as const;

afterAll(() => account.stop());

storeConformance({
  name: 'Azure Blob with versions',
  open: async () => ({ store }),
  client: () => ({ patchMetadata: async (key, metadata) => account.inside.clientPatchMetadata(key, metadata) }),
});

it('versions are found out by one write that leaves nothing', async () => {
  expect(store.capabilities.history).toBe('chain');
  expect((await account.inside.list({ prefix: '.triplicate/', limit: 10 })).objects).toEqual([]);
});

it('versions and deletions have the identity that the stand-in for Azure gives them', async () => {
  for (const body of ['one', 'two']) await store.put('same', Buffer.from(body), plain);
  await store.delete('same', { kind: 'always' });
  const typed = (await account.inside.versions('same')).map((version) => ({
    ...version,
    metadata: { headers: {}, user: {} },
  }));
  expect(await store.versions('same')).toEqual(typed);
  expect(typed.at(-1)?.phys).toMatch(/^absent:2026-01-01T/);
});

it('a version that was removed for good is no longer found', async () => {
  const first = await store.put('purged', Buffer.from('one'), plain);
  const second = await store.put('purged', Buffer.from('two'), plain);
  account.inside.purge('purged', first.phys);
  await expect(store.get('purged', first.phys)).rejects.toMatchObject({ kind: 'not-found' });
  await expect(store.copy(first, 'copy', plain)).rejects.toMatchObject({ kind: 'not-found' });
  expect(await store.versions('purged')).toEqual([second]);
});

it('an account with a hierarchical namespace is refused', async () => {
  account.hierarchical = true;
  const refusal = { kind: 'unsupported', retry: 'never', details: { site: 'z', op: 'open', field: 'url' } };
  await expect(openAzureBlobStore(where)).rejects.toMatchObject(refusal);
  account.hierarchical = false;
});
