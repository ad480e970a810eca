/** A store seen through canonical names: keys and metadata mean the same above it, whatever its cloud makes of them. */

import { Fault, fault } from '../../model/fault.ts';
import { fromNativeKey, toNativeKey } from '../../model/key-map.ts';
import { fromNativeMetadata, toNativeMetadata } from '../../model/metadata.ts';
import type { ObjectMetadata, ObjectVersion } from '../../model/object.ts';
import type { Cloud } from '../../model/site.ts';
import type { ObjectStore, PutOptions } from '../store.ts';

/** Where an object under a hashed name says its key, in base64url of UTF-8. */
export const KEY_NAME = 'triplicatekey';

/** How hashed names begin, and no others. */
const HASHED_PREFIX = '~h/';

/** A key, and what the cloud calls it. */
interface Name {
  readonly key: string;
  readonly name: string;
  readonly hashed: boolean;
}

/**
 * A key this cloud cannot hold is Fault 'unsupported' in every method; metadata it cannot hold is 'too-large'.
 *
 * `list` goes in the order of native names, which on Azure is not that of keys: `a/` is `a~2F` there and comes after
 * `a/b`, and hashed names may come last. `after` is a place in that order, standing or not; along `next`, a key that
 * stands all the while comes exactly once. Left out are objects under hashed names that do not tell their key, because
 * somebody took that entry away.
 */
export function withCanonicalNames(store: ObjectStore, cloud: Cloud = store.capabilities.cloud): ObjectStore {
  async function named<Answer>(op: string, key: string, run: (target: Name) => Promise<Answer>): Promise<Answer> {
    try {
      return await run(nameOf(cloud, key));
    } catch (error) {
      if (!(error instanceof Fault) || error.details.key === key) throw error;
      throw fault(error.kind, error.message, { ...error.details, site: store.site, op, key });
    }
  }

  function native(options: PutOptions, target: Name): PutOptions {
    return { ...options, metadata: toNative(cloud, options.metadata, target) };
  }

  function canonical(version: ObjectVersion, { key, hashed }: Name): ObjectVersion {
    const all = fromNativeMetadata(cloud, version.metadata.user);
    const { [KEY_NAME]: told, ...others } = all;
    const user = hashed && told === toKeyText(key) ? others : all;
    return { ...version, key, metadata: { headers: version.metadata.headers, user } };
  }

  return {
    site: store.site,
    capabilities: store.capabilities,

    head: (key) =>
      named('head', key, async (target) => {
        const version = await store.head(target.name);
        return version && canonical(version, target);
      }),

    versions: (key) =>
      named('versions', key, async (target) => {
        const versions = await store.versions(target.name);
        return versions.map((version) => canonical(version, target));
      }),

    get: (key, phys, range) =>
      named('get', key, async (target) => {
        const { version, body } = await store.get(target.name, phys, range);
        return { version: canonical(version, target), body };
      }),

    put: (key, body, options) =>
      named('put', key, async (target) =>
        canonical(await store.put(target.name, body, native(options, target)), target),
      ),

    delete: (key, condition) =>
      named('delete', key, async (target) => {
        const marker = await store.delete(target.name, condition);
        return marker && canonical(marker, target);
      }),

    async list({ prefix, after, limit }) {
      const objects: ObjectVersion[] = [];
      for (const range of rangesBelow(cloud, prefix, after)) {
        let next = range.after;
        // Every round goes on where the last one ended: no more rounds than names below the prefix.
        do {
          const place = next === undefined ? {} : { after: next };
          const page = await store.list({ prefix: range.prefix, limit: limit - objects.length, ...place });
          for (const version of page.objects) {
            const found = readName(cloud, version);
            if (found?.key.startsWith(prefix)) objects.push(canonical(version, found));
          }
          const last = objects.at(-1);
          if (last && objects.length === limit) return { objects, next: last.key };
          next = page.next;
        } while (next !== undefined);
      }
      return { objects };
    },

    copy: (source, key, options, progress) =>
      named('copy', key, async (target) => {
        const pinned = { key: nameOf(cloud, source.key).name, phys: source.phys };
        return canonical(await store.copy(pinned, target.name, native(options, target), progress), target);
      }),

    createUpload: (key) => named('createUpload', key, ({ name }) => store.createUpload(name)),

    putPart: (key, upload, part, body, sums) =>
      named('putPart', key, ({ name }) => store.putPart(name, upload, part, body, sums)),

    completeUpload: (key, upload, parts) =>
      named('completeUpload', key, async (target) =>
        canonical(await store.completeUpload(target.name, upload, parts), target),
      ),

    abortUpload: (key, upload) => named('abortUpload', key, ({ name }) => store.abortUpload(name, upload)),
  };
}

function nameOf(cloud: Cloud, key: string): Name {
  const native = toNativeKey(cloud, key);
  if (native.kind === 'unrepresentable') throw fault('unsupported', native.reason, { field: 'key', value: key });
  return { key, name: native.name, hashed: native.kind === 'hashed' };
}

/** null when neither the name nor the object tells the key. */
function readName(cloud: Cloud, { key: name, metadata }: ObjectVersion): Name | null {
  const key = fromNativeKey(cloud, name);
  if (key !== null) return { key, name, hashed: false };
  const told = Buffer.from(metadata.user[KEY_NAME] ?? '', 'base64url').toString();
  const native = toNativeKey(cloud, told);
  return native.kind === 'hashed' && native.name === name ? { key: told, name, hashed: true } : null;
}

function toKeyText(key: string): string {
  return Buffer.from(key).toString('base64url');
}

function toNative(cloud: Cloud, { headers, user }: ObjectMetadata, { key, hashed }: Name): ObjectMetadata {
  if (hashed && user[KEY_NAME] !== undefined)
    throw fault('unsupported', `the name ${KEY_NAME} is ours at this key`, { field: `metadata ${KEY_NAME}` });
  const native = toNativeMetadata(cloud, hashed ? { ...user, [KEY_NAME]: toKeyText(key) } : user);
  if (native.kind === 'fits') return { headers, user: native.entries };
  const { sizeBytes, limitBytes } = native;
  throw fault('too-large', `metadata: ${sizeBytes} bytes, ${limitBytes} are allowed`, {
    field: 'metadata',
    value: sizeBytes,
  });
}

interface Range {
  readonly prefix: string;
  readonly after: string | undefined;
}

/** Where the names of all keys with this prefix lie, among others. */
function rangesBelow(cloud: Cloud, prefix: string, after: string | undefined): readonly Range[] {
  // Names are keys there, and a place in the list need not be one.
  if (cloud !== 'azure') return [{ prefix, after }];
  const place = after ? nameOf(cloud, after).name : undefined;
  const common = commonPrefix(prefix);
  if (common === '') return [{ prefix: common, after: place }];
  const hashed = { prefix: HASHED_PREFIX, after: place?.startsWith(HASHED_PREFIX) ? place : undefined };
  return hashed.after === undefined ? [{ prefix: common, after: place }, hashed] : [hashed];
}

/** What the names of all keys with this prefix begin with on Azure: how its end is written hangs on what follows. */
function commonPrefix(prefix: string): string {
  const certain = prefix.replace(/~.*$/s, '').replace(/[./]+$/, '');
  const native = toNativeKey('azure', certain);
  return native.kind === 'name' ? native.name : '';
}
