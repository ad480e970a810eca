/** What S3 shows of a key and of a bucket: what stands, the chain of versions, and pages of keys. */

import type { DeleteMarkerEntry, ListObjectVersionsCommandOutput, ObjectVersion as S3Entry } from '@aws-sdk/client-s3';
import { fault, invalid, isFault } from '../../model/fault.ts';
import type { ObjectVersion } from '../../model/object.ts';
import { mapBounded } from '../parallel.ts';
import type { ObjectPage } from '../store.ts';
import type { Connection } from './client.ts';
import { headerOf, statusOf } from './faults.ts';
import { isLasting, nameOf, type Pin, toDeleteMarker, toListed, toVersion } from './identity.ts';

export interface Looks {
  readonly versioned: boolean;
  /** What stands, or one version; null when it does not. */
  look(key: string, op: string, versionId?: string): Promise<ObjectVersion | null>;
  /** What the pin means now; null when it is gone, or something else has its name by now. */
  pinned(key: string, phys: string, pin: Pin, op: string, anew?: boolean): Promise<ObjectVersion | null>;
  versions(key: string): Promise<readonly ObjectVersion[]>;
  list(query: { readonly prefix: string; readonly after?: string; readonly limit: number }): Promise<ObjectPage>;
  /** The delete marker of that id, which no HEAD describes; or the newest one, where a delete of nothing adds none. */
  deleted(key: string, versionId: string | undefined): Promise<ObjectVersion | null>;
  /** Keeps what never changes, so that the next look at it costs nothing. */
  remember(version: ObjectVersion): ObjectVersion;
}

interface Entry {
  readonly key: string;
  readonly isLatest: boolean;
  readonly version: ObjectVersion;
  readonly versionId: string | undefined;
}

interface EntryPage {
  readonly entries: readonly Entry[];
  readonly next?: { readonly key: string; readonly versionId: string | undefined };
}

const PAGE_MAX = 1000;
/** Behind the few versions that a key has come those of its neighbours, which nobody asked for. */
const FIRST_CHAIN_PAGE = 50;
const LIST_PAGE_MIN = 100;
const HEADS_AT_ONCE = 16;
const REMEMBERED_MAX = 4096;
/** A million versions of one key; more than that nobody reads in one look. */
const CHAIN_PAGES_MAX = 1000;
/** Pages read for one page of ours, which then ends early: most of what they hold may be old versions. */
const LIST_PAGES_MAX = 100;

export function openLooks(connection: Connection, versioned: boolean): Looks {
  const { sdk, bucket, site } = connection;
  const remembered = new Map<string, ObjectVersion>();

  /** null when there is no such version; anything else that fails is a Fault. */
  async function headOf(key: string, op: string, versionId?: string): Promise<ObjectVersion | null> {
    const input = { Bucket: bucket, Key: nameOf(key), ChecksumMode: 'ENABLED' as const };
    try {
      const answer = await connection.send({ op, key, writes: false }, ({ client, abortSignal }) =>
        client.send(new sdk.HeadObjectCommand({ ...input, ...(versionId && { VersionId: versionId }) }), {
          abortSignal,
        }),
      );
      return remember(toVersion(key, versioned, answer, answer.ContentLength ?? 0));
    } catch (error) {
      if (!isFault(error)) throw error;
      // A delete marker.
      if (versionId !== undefined && statusOf(error.cause) === 405) return null;
      if (!isFault(error, 'not-found')) throw error;
      if (headerOf(error.cause, 'x-amz-delete-marker') === undefined) await proveBucket(key, op);
      return null;
    }
  }

  /** HEAD has no body, so a missing bucket looks as a missing key does; absence is believed of a bucket only that answers. */
  async function proveBucket(key: string, op: string): Promise<void> {
    try {
      await connection.send({ op, key, writes: false }, ({ client, abortSignal }) =>
        client.send(new sdk.HeadBucketCommand({ Bucket: bucket }), { abortSignal }),
      );
    } catch (error) {
      if (!isFault(error, 'not-found')) throw error;
      throw fault('invalid', `there is no bucket ${bucket}`, {
        ...error.details,
        site,
        field: 'bucket',
        value: bucket,
      });
    }
  }

  function remember(version: ObjectVersion): ObjectVersion {
    if (!isLasting(version.phys) || version.kind !== 'object') return version;
    const name = rememberedName(version.key, version.phys);
    remembered.delete(name);
    remembered.set(name, version);
    if (remembered.size > REMEMBERED_MAX) remembered.delete(remembered.keys().next().value as string);
    return version;
  }

  async function entriesOf(
    op: string,
    prefix: string,
    limit: number,
    after?: { readonly key: string; readonly versionId: string | undefined },
  ): Promise<EntryPage> {
    return connection.send({ op, key: prefix, writes: false }, async ({ client, abortSignal }) => {
      const command = new sdk.ListObjectVersionsCommand({
        Bucket: bucket,
        Prefix: prefix,
        MaxKeys: Math.min(limit, PAGE_MAX),
        EncodingType: 'url',
        ...(after && { KeyMarker: after.key }),
        ...(after?.versionId && { VersionIdMarker: after.versionId }),
      });
      let text = '';
      // The SDK sorts versions and delete markers into two lists; only the text tells how they follow each other.
      command.middlewareStack.add(
        (next) => async (args) => {
          const result = await next(args);
          const response = result.response as { statusCode: number; body: unknown };
          if (response.statusCode !== 200) return result;
          const pieces: Uint8Array[] = [];
          for await (const piece of response.body as AsyncIterable<Uint8Array>) pieces.push(piece);
          const bytes = Buffer.concat(pieces);
          text = bytes.toString();
          response.body = bytes;
          return result;
        },
        { step: 'deserialize', priority: 'low', name: 'keepText' },
      );
      return toEntryPage(await client.send(command, { abortSignal }), text);
    });
  }

  async function chainOf(key: string, op: string): Promise<readonly Entry[]> {
    const name = nameOf(key);
    const chain: Entry[] = [];
    let after: EntryPage['next'];
    for (let page = 0; page < CHAIN_PAGES_MAX; page++) {
      const { entries, next } = await entriesOf(op, name, page === 0 ? FIRST_CHAIN_PAGE : PAGE_MAX, after);
      const own = entries.filter((entry) => entry.key === key);
      chain.push(...own);
      const newest = chain[0];
      if (newest && !newest.isLatest)
        throw fault('unavailable', `${newest.version.phys} is named first and not latest`);
      if (own.length < entries.length || next === undefined) return chain.reverse();
      after = next;
    }
    throw fault('too-large', `${key}: more than ${CHAIN_PAGES_MAX} pages of versions`, { site, op, key, field: 'key' });
  }

  async function listStanding(prefix: string, after: string | undefined, limit: number): Promise<ObjectPage> {
    const objects: ObjectVersion[] = [];
    let place = after === undefined ? undefined : { key: after, versionId: undefined };
    for (let page = 0; page < LIST_PAGES_MAX; page++) {
      const { entries, next } = await entriesOf('list', prefix, Math.max(limit + 1, LIST_PAGE_MIN), place);
      for (const { isLatest, version } of entries) {
        if (!isLatest || version.kind === 'delete-marker') continue;
        if (objects.length === limit) return { objects, next: objects[limit - 1]!.key };
        objects.push(version);
      }
      if (next === undefined) return { objects };
      // Whatever else is kept of the last key is older than what stands there.
      place = { key: next.key, versionId: undefined };
    }
    return { objects, ...(place && { next: place.key }) };
  }

  async function listCurrent(prefix: string, after: string | undefined, limit: number): Promise<ObjectPage> {
    const page = await connection.send({ op: 'list', key: prefix, writes: false }, ({ client, abortSignal }) =>
      client.send(
        new sdk.ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          MaxKeys: Math.min(limit, PAGE_MAX),
          EncodingType: 'url',
          ...(after !== undefined && { StartAfter: after }),
        }),
        { abortSignal },
      ),
    );
    const keys = (page.Contents ?? []).map(({ Key }) => decodeName(Key));
    // No listing tells metadata, and without it two writes of one second could look the same.
    const found = await mapBounded(keys, HEADS_AT_ONCE, (key) => headOf(key, 'list'));
    const objects = found.filter((version) => version !== null);
    const last = keys.at(-1);
    return page.IsTruncated && last !== undefined ? { objects, next: last } : { objects };
  }

  return {
    versioned,
    remember,
    look: headOf,

    async pinned(key, phys, pin, op, anew = false) {
      const known = remembered.get(rememberedName(key, phys));
      if (known && !anew) return known;
      try {
        const version = await headOf(key, op, pin.versionId);
        return version?.phys === phys ? version : null;
      } catch (error) {
        // It may be the id that the service refuses, but a HEAD does not say so, and there are other reasons.
        if (!versioned || !isFault(error) || statusOf(error.cause) !== 400) throw error;
        if ((await chainOf(key, op)).some(({ version }) => version.phys === phys)) throw error;
        return null;
      }
    },

    async versions(key) {
      if (!versioned) {
        const version = await headOf(key, 'versions');
        return version ? [version] : [];
      }
      const chain = await chainOf(key, 'versions');
      const described = await mapBounded(chain, HEADS_AT_ONCE, async ({ version, versionId }) => {
        if (version.kind === 'delete-marker') return version;
        return (
          remembered.get(rememberedName(key, version.phys)) ?? (await headOf(key, 'versions', versionId ?? 'null'))
        );
      });
      // A version that was purged between the listing and its description is no longer kept.
      return described.filter((version) => version !== null);
    },

    async list({ prefix, after, limit }) {
      if (!Number.isInteger(limit) || limit < 1) throw invalid('limit', limit, 'a whole number from 1');
      const place = after === '' ? undefined : after;
      return versioned ? listStanding(prefix, place, limit) : listCurrent(prefix, place, limit);
    },

    async deleted(key, versionId) {
      const chain = await chainOf(key, 'delete');
      const wanted = versionId === undefined ? chain.at(-1) : chain.findLast((entry) => entry.versionId === versionId);
      if (wanted?.version.kind === 'delete-marker') return wanted.version;
      if (versionId === undefined) return null;
      throw fault('unavailable', `the delete marker ${versionId} is gone already`, { site, op: 'delete', key });
    },
  };
}

function toEntryPage(answer: ListObjectVersionsCommandOutput, text: string): EntryPage {
  const versions = (answer.Versions ?? []).map((entry) => toEntry(entry, false));
  const markers = (answer.DeleteMarkers ?? []).map((entry) => toEntry(entry, true));
  const entries = merged(versions, markers, text);
  if (!answer.IsTruncated) return { entries };
  const last = entries.at(-1);
  const key = answer.NextKeyMarker === undefined ? last?.key : decodeName(answer.NextKeyMarker);
  if (key === undefined) return { entries };
  return { entries, next: { key, versionId: answer.NextVersionIdMarker } };
}

function toEntry(entry: S3Entry & DeleteMarkerEntry, deleted: boolean): Entry {
  const key = decodeName(entry.Key);
  const version = deleted ? toDeleteMarker(key, entry.VersionId, entry.LastModified) : toListed(key, entry);
  return { key, isLatest: entry.IsLatest === true, version, versionId: entry.VersionId };
}

/** Both lists as one, in the order in which the answer names them: by key, and newest first. */
function merged(versions: readonly Entry[], markers: readonly Entry[], text: string): readonly Entry[] {
  if (versions.length === 0 || markers.length === 0) return versions.length === 0 ? markers : versions;
  const entries: Entry[] = [];
  let version = 0;
  let marker = 0;
  for (const [, name] of text.matchAll(/<(?:\w+:)?(Version|DeleteMarker)>/g)) {
    const entry = name === 'Version' ? versions[version++] : markers[marker++];
    if (entry) entries.push(entry);
  }
  if (entries.length !== versions.length + markers.length)
    throw fault('unavailable', 'a listing of versions that does not say how they follow each other');
  return entries;
}

/** Names in listings are coded as in a form: XML has no letters for some of them. */
function decodeName(name = ''): string {
  return decodeURIComponent(name.replaceAll('+', ' '));
}

function rememberedName(key: string, phys: string): string {
  return `${phys}\n${key}`;
}
