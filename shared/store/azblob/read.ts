/** Reading Azure Blob: what stands, every version kept, lists, and the bytes of exactly one version. */

import type { BlobItem, ContainerListBlobsOptions } from '@azure/storage-blob';
import { Fault, fault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import { checkLimit, checkRange, checkRangeWithin, verified } from '../body.ts';
import type { ByteRange, ObjectPage, ObjectRead } from '../store.ts';
import { type Container, openWatch, type Watch } from './container.ts';
import { deletionOf, nameOf, readPhys, readVersion } from './describe.ts';
import { toFault } from './faults.ts';

const PAGE_MAX = 5000;
/** No name of a version: whatever stands. */
const STANDING: { readonly token?: string; readonly versionId?: string } = {};

export async function head(container: Container, key: string): Promise<ObjectVersion | null> {
  const blob = container.blob(key);
  try {
    const told = await container.call('read', (abortSignal) => blob.getProperties({ abortSignal }));
    return readVersion(container, key, told, told.contentLength ?? 0);
  } catch (error) {
    if (error instanceof Fault && error.kind === 'not-found') return null;
    throw error;
  }
}

/** The properties of exactly this version, or Fault 'not-found'. */
export async function headPinned(
  container: Container,
  key: string,
  phys: string,
): Promise<{ readonly version: ObjectVersion; readonly md5: Uint8Array | undefined }> {
  const { token, versionId } = readPhys(phys);
  const blob = versionId === undefined ? container.blob(key) : container.blob(key).withVersion(versionId);
  const told = await pinned(phys, () =>
    container.call('read', (abortSignal) => blob.getProperties({ abortSignal, conditions: { ifMatch: token } })),
  );
  return {
    version: readVersion(container, key, told, told.contentLength ?? 0),
    md5: told.contentMD5,
  };
}

export async function get(
  container: Container,
  key: string,
  phys: string | null,
  range?: ByteRange,
): Promise<ObjectRead> {
  const { token, versionId } = phys === null ? STANDING : readPhys(phys);
  if (range) checkRange(range);
  const blob = versionId === undefined ? container.blob(key) : container.blob(key).withVersion(versionId);
  const watch = openWatch(container.idleTimeoutMs);
  try {
    const told = await pinned(phys, async () => {
      try {
        return await blob.download(range?.start ?? 0, range && range.end - range.start, {
          abortSignal: watch.signal,
          conditions: token === undefined ? {} : { ifMatch: token },
          // A read that breaks off is told to the caller, who knows whether to begin again.
          maxRetryRequests: 0,
        });
      } catch (error) {
        throw toFault(error, {}, false);
      }
    });
    const sizeBytes = Number(/\/(\d+)$/.exec(told.contentRange ?? '')?.[1] ?? told.contentLength ?? 0);
    const stream = told.readableStreamBody as (AsyncIterable<Buffer> & { destroy?(): void }) | undefined;
    if (!stream) throw fault('internal', 'Azure Blob answered without a body');
    if (range && range.end > sizeBytes) stream.destroy?.();
    if (range) checkRangeWithin(range, sizeBytes);
    const version = readVersion(container, key, told, sizeBytes);
    const place = { site: container.site, op: 'get', key };
    const body = watched(stream, watch, place);
    if (range) return { version, body };
    const md5 = told.contentMD5 && Buffer.from(told.contentMD5).toString('base64');
    return { version, body: verified(body, { sizeBytes, ...(md5 && { md5 }) }, place) };
  } catch (error) {
    watch.stop();
    throw error;
  }
}

/** Time runs only while we wait for the service, not while the reader works. */
async function* watched(
  stream: AsyncIterable<Buffer>,
  watch: Watch,
  place: { readonly site: string; readonly op: string; readonly key: string },
): AsyncGenerator<Uint8Array> {
  try {
    watch.restart();
    const pieces = stream[Symbol.asyncIterator]();
    try {
      for (let step = await next(pieces); !step.done; step = await next(pieces)) {
        watch.stop();
        yield step.value;
        watch.restart();
      }
    } finally {
      await pieces.return?.();
    }
  } finally {
    watch.stop();
  }

  async function next(pieces: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
    try {
      return await pieces.next();
    } catch (error) {
      const timely = !watch.signal.aborted;
      const told = timely ? 'the connection broke in the middle of a body' : 'the rest of a body did not come in time';
      throw fault(timely ? 'unreachable' : 'timeout', told, { ...place, cause: error });
    }
  }
}

/** What stands there by now is another version, and the one asked for is gone. */
async function pinned<Answer>(phys: string | null, run: () => Promise<Answer>): Promise<Answer> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof Fault) || error.kind !== 'precondition') throw error;
    throw fault('not-found', `no version ${phys} any more`, { field: 'phys', value: phys, cause: error });
  }
}

export async function versions(container: Container, key: string): Promise<readonly ObjectVersion[]> {
  const name = nameOf(key);
  if (!container.versioned) {
    const stands = await head(container, key);
    return stands ? [stands] : [];
  }
  const items: BlobItem[] = [];
  // No name sorts before its own beginning, so the versions of this one come first.
  for await (const page of pages(container, { prefix: name, includeVersions: true }, PAGE_MAX)) {
    const own = page.items.filter((item) => item.name === name);
    items.push(...own);
    if (own.length < page.items.length) break;
  }
  items.sort((a, b) => Number(stands(a)) - Number(stands(b)) || (idOf(a) < idOf(b) ? -1 : 1));
  const all = items.map((item) => readItem(container, item));
  const newest = items.at(-1);
  if (newest && !stands(newest)) all.push(deletionOf(all.at(-1)!));
  return all;
}

/**
 * In the order of the service, from `after` on by its `startFrom`. A chain store lists the older versions too and
 * leaves them out here, because only such a list tells the version id of what stands.
 */
export async function list(
  container: Container,
  { prefix, after, limit }: { readonly prefix: string; readonly after?: string; readonly limit: number },
): Promise<ObjectPage> {
  checkLimit(limit);
  const within = after?.startsWith(prefix);
  // Beyond all names with the prefix, or before them.
  if (after !== undefined && !within && after > prefix) return { objects: [] };
  const includeVersions = container.versioned;
  const wanted = includeVersions ? PAGE_MAX : Math.min(limit + 1, PAGE_MAX);
  const options = { prefix, includeVersions, ...(within && { startFrom: after! }) };
  const objects: ObjectVersion[] = [];
  for await (const { items } of pages(container, options, wanted)) {
    for (const item of items) {
      if (!stands(item) || (within && !isBeyond(item.name, after!))) continue;
      const last = objects.at(-1);
      if (last && objects.length === limit) return { objects, next: last.key };
      objects.push(readItem(container, item));
    }
  }
  return { objects };
}

/** Every page the service gives: it may cut them anywhere, even empty ones, and there are no more than names. */
async function* pages(
  container: Container,
  options: ContainerListBlobsOptions,
  maxPageSize: number,
): AsyncGenerator<{ readonly items: readonly BlobItem[] }> {
  let continuationToken: string | undefined;
  do {
    const { segment, continuationToken: next } = await container.call('read', async (abortSignal) => {
      const settings = { maxPageSize, ...(continuationToken && { continuationToken }) };
      const listing = container.client.listBlobsFlat({
        ...options,
        includeMetadata: true,
        abortSignal,
      });
      return (await listing.byPage(settings).next()).value;
    });
    yield { items: segment.blobItems };
    continuationToken = next || undefined;
  } while (continuationToken !== undefined);
}

function stands({ versionId, isCurrentVersion, deleted }: BlobItem): boolean {
  return deleted !== true && (!versionId || isCurrentVersion === true);
}

function idOf({ versionId }: BlobItem): string {
  return versionId ?? '';
}

function readItem(container: Container, { name, versionId, properties, metadata }: BlobItem): ObjectVersion {
  return readVersion(container, name, { ...properties, versionId, metadata }, properties.contentLength ?? 0);
}

/** `startFrom` includes its name; a service that does not know it begins with names that are less by any order. */
function isBeyond(name: string, after: string): boolean {
  return name !== after && !(name < after && Buffer.compare(Buffer.from(name), Buffer.from(after)) < 0);
}
