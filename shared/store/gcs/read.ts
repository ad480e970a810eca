/** Reading Google Cloud Storage: what stands, lists, and the bytes of exactly one generation. */

import { fault, isFault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import { checkLimit, checkRange, checkRangeWithin, verified } from '../body.ts';
import type { ByteRange, ObjectPage, ObjectRead } from '../store.ts';
import type { Bucket, Query } from './bucket.ts';
import { type Resource, readPhys, readVersion } from './describe.ts';

const PAGE_MAX = 1000;

export async function head(bucket: Bucket, key: string): Promise<ObjectVersion | null> {
  try {
    return await resourceAt(bucket, key, {});
  } catch (error) {
    if (isFault(error, 'not-found')) return null;
    throw error;
  }
}

/** Exactly this version, or Fault 'not-found'. */
export function headPinned(bucket: Bucket, key: string, phys: string): Promise<ObjectVersion> {
  const { generation, metageneration } = readPhys(phys);
  return pinned(phys, () => resourceAt(bucket, key, { generation, ifMetagenerationMatch: metageneration }));
}

async function resourceAt(bucket: Bucket, key: string, query: Query): Promise<ObjectVersion> {
  const { body } = await bucket.send({
    method: 'GET',
    url: bucket.object(key, query),
    expected: [200],
    writes: false,
  });
  return readResource(body);
}

export function readResource(body: Buffer): ObjectVersion {
  return readVersion(readJson<Resource>(body));
}

export function readJson<Answer>(body: Buffer): Answer {
  try {
    return JSON.parse(body.toString()) as Answer;
  } catch (cause) {
    throw fault('internal', 'Google Cloud Storage answered something that is no JSON', { cause });
  }
}

/**
 * Two requests at once, since an answer with bytes does not tell all there is to tell of an object. Both name the
 * generation and the metageneration, so they describe one version or fail. What stands now has to be named first.
 */
export async function get(bucket: Bucket, key: string, phys: string | null, range?: ByteRange): Promise<ObjectRead> {
  if (phys !== null) return getPinned(bucket, key, phys, range, () => headPinned(bucket, key, phys));
  const stands = await resourceAt(bucket, key, {});
  try {
    return await getPinned(bucket, key, stands.phys, range, async () => stands);
  } catch (error) {
    if (!isFault(error, 'not-found')) throw error;
    // Something stands there all the same, or did.
    throw fault('unavailable', `${stands.phys} was replaced while it was read`, { cause: error });
  }
}

async function getPinned(
  bucket: Bucket,
  key: string,
  phys: string,
  range: ByteRange | undefined,
  describe: () => Promise<ObjectVersion>,
): Promise<ObjectRead> {
  const { generation, metageneration } = readPhys(phys);
  if (range) checkRange(range);
  const [described, media] = await Promise.allSettled([
    describe(),
    pinned(phys, () =>
      bucket.open({
        method: 'GET',
        url: bucket.object(key, { alt: 'media', generation, ifMetagenerationMatch: metageneration }),
        headers: {
          // What was stored compressed comes as it was stored, and no cache in between answers.
          'accept-encoding': 'gzip',
          'cache-control': 'no-store',
          ...(range && { range: `bytes=${range.start}-${range.end - 1}` }),
        },
        expected: range ? [200, 206] : [200],
        writes: false,
      }),
    ),
  ]);
  try {
    if (described.status === 'rejected') throw described.reason;
    const version = described.value;
    if (range) checkRangeWithin(range, version.sizeBytes);
    if (media.status === 'rejected') throw media.reason;
    const place = { site: bucket.site, op: 'get', key };
    const { body } = media.value;
    if (range) return { version, body: verified(body, { sizeBytes: range.end - range.start }, place) };
    return { version, body: verified(body, { sizeBytes: version.sizeBytes, ...version.checksums }, place) };
  } catch (error) {
    if (media.status === 'fulfilled') media.value.discard();
    throw error;
  }
}

/** What stands there by now is another version, and the one asked for is gone. */
async function pinned<Answer>(phys: string, run: () => Promise<Answer>): Promise<Answer> {
  try {
    return await run();
  } catch (error) {
    if (!isFault(error, 'precondition')) throw error;
    throw fault('not-found', `no version ${phys} any more`, { field: 'phys', value: phys, cause: error });
  }
}

interface Page {
  readonly items?: readonly Resource[];
  readonly nextPageToken?: string;
}

export async function list(
  bucket: Bucket,
  { prefix, after, limit }: { readonly prefix: string; readonly after?: string; readonly limit: number },
): Promise<ObjectPage> {
  checkLimit(limit);
  const objects: ObjectVersion[] = [];
  let pageToken: string | undefined;
  // The service may cut pages anywhere, even empty ones; there are no more than names.
  do {
    // One more tells whether there is a next page, another one may be `after` itself, which is included.
    const maxResults = String(Math.min(limit - objects.length + 2, PAGE_MAX));
    const query = { prefix, maxResults, ...(after && { startOffset: after }), ...(pageToken && { pageToken }) };
    const { body } = await bucket.send({ method: 'GET', url: bucket.objects(query), expected: [200], writes: false });
    const page = readJson<Page>(body);
    for (const item of page.items ?? []) {
      if (item.name === after) continue;
      const last = objects.at(-1);
      if (last && objects.length === limit) return { objects, next: last.key };
      objects.push(readVersion(item));
    }
    pageToken = page.nextPageToken;
  } while (pageToken !== undefined);
  return { objects };
}
