/** Azure Blob as an object store: one container of an account without a hierarchical namespace. */

import { fault, isFault } from '../model/fault.ts';
import { type AzureBlobStoreOptions, type Container, openContainer } from './azblob/container.ts';
import { get, head, list, versions } from './azblob/read.ts';
import { abortUpload, completeUpload, createUpload, putPart } from './azblob/uploads.ts';
import { copy, newUpload, put, remove } from './azblob/write.ts';
import type { ObjectStore, StoreCapabilities } from './store.ts';

export type { AzureBlobStoreOptions, AzureCredential, TokenSource } from './azblob/container.ts';

const MI = 1024 * 1024;
const PARTS_MAX = 50_000;

const LIMITS = {
  cloud: 'azure',
  exactToken: true,
  // The service checks CRC-64 on the way and keeps none; the MD5 it keeps says nothing to other clouds.
  checksums: [],
  putBytesMax: 5000 * MI,
  partBytesMin: 1,
  partsMax: PARTS_MAX,
  objectBytesMax: PARTS_MAX * 4000 * MI,
} as const;

const PROBES = '.triplicate/probe/';

/**
 * Looks at the account first: one with a hierarchical namespace keeps no versions and renames in place, so it is Fault
 * 'unsupported'. `list` goes in the order of the service, which for names beyond plain ASCII need not be that of their
 * UTF-8 bytes.
 */
export async function openAzureBlobStore(options: AzureBlobStoreOptions): Promise<ObjectStore> {
  const opened = await openContainer(options);
  const history = await opened.at('open', '', async () => {
    await refuseHierarchy(opened);
    return options.history ?? (await probeHistory(opened));
  });
  const container: Container = { ...opened, versioned: history === 'chain' };
  const capabilities: StoreCapabilities = { ...LIMITS, history };
  const { at } = container;

  return {
    site: options.site,
    capabilities,
    head: (key) => at('head', key, () => head(container, key)),
    versions: (key) => at('versions', key, () => versions(container, key)),
    get: (key, phys, range) => at('get', key, () => get(container, key, phys, range)),
    put: (key, body, how) => at('put', key, () => put(container, capabilities, key, body, how)),
    delete: (key, condition) => at('delete', key, () => remove(container, key, condition)),
    list: (query) => at('list', query.prefix, () => list(container, query)),
    copy: (source, key, how, progress) => at('copy', key, () => copy(container, source, key, how, progress)),
    createUpload: (key) => at('createUpload', key, async () => createUpload(key)),
    putPart: (key, upload, part, body, sums) =>
      at('putPart', key, () => putPart(container, capabilities, key, upload, part, body, sums)),
    completeUpload: (key, upload, parts) =>
      at('completeUpload', key, () => completeUpload(container, capabilities, key, upload, parts)),
    abortUpload: (key) => at('abortUpload', key, async () => abortUpload(key)),
  };
}

async function refuseHierarchy({ client, call }: Container): Promise<void> {
  const { isHierarchicalNamespaceEnabled } = await call('read', (abortSignal) =>
    client.getAccountInfo({ abortSignal }),
  );
  if (isHierarchicalNamespaceEnabled !== true) return;
  throw fault('unsupported', 'the account has a hierarchical namespace: take one without, which can keep versions', {
    field: 'url',
    value: client.url,
  });
}

/** Only the answer to a write says whether versions are kept. What was written for it is removed again, all of it. */
async function probeHistory({ blob, call }: Container): Promise<'chain' | 'current'> {
  const probe = blob(`${PROBES}${newUpload()}`);
  const { versionId } = await call('write', (abortSignal) => probe.upload('', 0, { abortSignal }));
  await call('write', (abortSignal) => probe.delete({ abortSignal }));
  if (!versionId) return 'current';
  try {
    await call('write', (abortSignal) => probe.withVersion(versionId).delete({ abortSignal }));
  } catch (error) {
    // Removing versions is a right of its own, which we need for nothing else: an empty one stays behind.
    if (!isFault(error, 'forbidden', 'not-found')) throw error;
  }
  return 'chain';
}
