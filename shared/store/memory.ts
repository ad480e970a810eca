/** An object store in memory that behaves as S3, GCS or Azure Blob does, down to where their promises differ. */

import { Fault, type FaultDetails, fault, invalid } from '../model/fault.ts';
import { ABSENT, type ObjectVersion } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import { bytesOf } from './body.ts';
import type { BucketClient, StoreEvent } from './bucket-client.ts';
import {
  compareNames,
  type Described,
  describe,
  digestOf,
  FLAVOURS,
  firstIndex,
  identifyGeneration,
  type MemoryFlavour,
  NO_METADATA,
} from './flavours.ts';
import {
  type Content,
  checkContent,
  crc32cOf,
  crc64nvmeOf,
  drain,
  etagOf,
  joinContents,
  partsEtagOf,
  readContent,
  toContent,
} from './memory-content.ts';
import { openUploads } from './memory-uploads.ts';
import type { ObjectPage, ObjectStore, StoreCapabilities, WriteCondition } from './store.ts';

export type { BucketClient, ClientPutOptions, PatchOptions, StoreEvent } from './bucket-client.ts';
export type { MemoryFlavour } from './flavours.ts';

export interface MemoryStoreOptions {
  readonly site: SiteId;
  readonly flavour: MemoryFlavour;
  readonly versioned: boolean;
  /** The bucket's clock. */
  readonly now: () => number;
  /** Never the same answer twice; a counter when absent. Version ids and entity tags are made from it. */
  readonly nextId?: () => string;
  readonly putBytesMax?: number;
  readonly partBytesMin?: number;
  readonly partsMax?: number;
}

export interface MemoryStore extends ObjectStore, BucketClient<BucketSnapshot> {}

/** A deep copy of a bucket; opaque. */
export interface BucketSnapshot {
  readonly slots: readonly Slot[];
}

/** One physical version; content is null for a delete marker. Neither part ever changes. */
interface Kept {
  readonly version: ObjectVersion;
  readonly content: Content | null;
}

/** All that is kept of one name, newest last. */
interface Slot {
  readonly name: string;
  kept: Kept[];
  /** Whether the newest is what stands; a bucket without delete markers may keep versions of what was deleted. */
  live: boolean;
}

const ALWAYS: WriteCondition = { kind: 'always' };

export function openMemoryStore(options: MemoryStoreOptions): MemoryStore {
  const { site, versioned } = options;
  const rules = FLAVOURS[options.flavour];
  const deleteMarkers = versioned && rules.deleteMarkers;
  const nextId = options.nextId ?? openCounter();
  const slots = new Map<string, Slot>();
  const listeners = new Set<(event: StoreEvent) => void>();
  let generation = 0;
  let listed: string[] | null = null;

  const capabilities: StoreCapabilities = {
    cloud: rules.cloud,
    history: versioned ? rules.history : 'current',
    exactToken: rules.exactToken,
    checksums: rules.checksums,
    putBytesMax: options.putBytesMax ?? rules.putBytesMax,
    partBytesMin: options.partBytesMin ?? rules.partBytesMin,
    partsMax: options.partsMax ?? rules.partsMax,
    objectBytesMax: rules.objectBytesMax,
  };
  const uploads = openUploads(capabilities, rules.sharedParts);

  function nameOf(key: string): string {
    return slots.has(key) ? key : rules.nameOf(key);
  }

  function standing(name: string): Kept | null {
    const slot = slots.get(name);
    const newest = slot?.live ? slot.kept.at(-1) : undefined;
    return newest?.content ? newest : null;
  }

  function find(key: string, phys: string | null): Kept {
    const slot = slots.get(nameOf(key));
    const kept = phys === null ? standing(nameOf(key)) : slot?.kept.findLast(({ version }) => version.phys === phys);
    if (kept?.content) return kept;
    throw fault('not-found', `no version ${phys}`, { field: 'phys', value: phys });
  }

  function check(condition: WriteCondition, stands: Kept | null, missingStatus: 404 | 412): void {
    if (condition.kind === 'always') return;
    if (condition.kind === 'if-absent') {
      if (stands) throw fault('precondition', `${stands.version.phys} stands here`, { value: 412 });
    } else if (!stands) {
      throw fault('precondition', `nothing stands here, ${condition.token} was expected`, { value: missingStatus });
    } else if (stands.version.token !== condition.token) {
      throw fault('precondition', `${stands.version.token} stands here, not ${condition.token}`, { value: 412 });
    }
  }

  function time(): number {
    return Math.floor(options.now() / rules.clockStepMs) * rules.clockStepMs;
  }

  /** Adds a version, or replaces the only one, and tells nobody. */
  function commit(name: string, content: Content, described: Described, etag = etagOf): ObjectVersion {
    const modifiedAt = time();
    const sizeBytes = content.bytes.length;
    generation = Math.max(generation + 1, Math.floor(options.now() * 1000));
    const identity = rules.identify({
      versioned,
      id: nextId(),
      generation,
      etag: () => etag(content),
      described: () => digestOf(described),
      modifiedAt,
      sizeBytes,
    });
    const version = freeze({
      key: name,
      kind: 'object',
      ...identity,
      revision: 1,
      sizeBytes,
      modifiedAt,
      metadata: described.metadata,
      ...(described.marker === undefined ? {} : { marker: described.marker }),
      checksums: checksumsOf(content),
    });
    add(name, { version, content });
    return version;
  }

  function add(name: string, kept: Kept): void {
    const slot = slots.get(name);
    if (!slot) {
      slots.set(name, { name, kept: [kept], live: true });
      listed = null;
    } else {
      if (versioned) slot.kept.push(kept);
      else slot.kept[0] = kept;
      slot.live = true;
    }
  }

  /** A whole write: what stood is replaced, parts waiting under a shared name are gone, and events tell of it. */
  function write(
    name: string,
    content: Content,
    described: Described,
    cause: StoreEvent['cause'],
    etag?: (content: Content) => string,
  ): ObjectVersion {
    const replaced = standing(name);
    const version = commit(name, content, described, etag);
    uploads.discard(name);
    emit({ key: name, kind: 'put', phys: version.phys, cause });
    if (replaced && rules.replaceEvent) emitDelete(name, replaced.version.phys, cause);
    return version;
  }

  function remove(name: string, condition: WriteCondition, cause: StoreEvent['cause']): ObjectVersion | null {
    const slot = slots.get(name);
    const stands = standing(name);
    check(condition, stands, 404);
    // "If absent" held, so there is nothing to do, and no marker to put over nothing.
    if (condition.kind === 'if-absent') return (deleteMarkers && slot?.kept.at(-1)?.version) || null;
    if (deleteMarkers) {
      const version = deletion(name, `v:${nextId()}`, time());
      add(name, { version, content: null });
      emitDelete(name, version.phys, cause);
      return version;
    }
    if (!slot || !stands) return null;
    if (versioned) slot.live = false;
    else slots.delete(name);
    emitDelete(name, stands.version.phys, cause);
    return null;
  }

  /** Same bytes, other metadata. */
  function patch(name: string, { version, content }: Kept, described: Described): ObjectVersion {
    if (!content) throw fault('internal', `a patch of the delete marker ${version.phys}`);
    if (!rules.patchInPlace) {
      const patched = commit(name, content, described);
      if (rules.patchEvent) emit({ key: name, kind: rules.patchEvent, phys: patched.phys, cause: 'copy' });
      return patched;
    }
    const revision = version.revision + 1;
    const { marker: _marker, ...rest } = version;
    const patched = freeze({
      ...rest,
      ...identifyGeneration(Number(version.body), revision),
      revision,
      modifiedAt: time(),
      metadata: described.metadata,
      ...(described.marker === undefined ? {} : { marker: described.marker }),
    });
    slots.get(name)?.kept.splice(-1, 1, { version: patched, content });
    if (rules.patchEvent) emit({ key: name, kind: rules.patchEvent, phys: patched.phys, cause: 'patch' });
    return patched;
  }

  function clear(): void {
    slots.clear();
    uploads.clear();
    listed = null;
  }

  function emit(event: StoreEvent): void {
    for (const listener of listeners) listener(event);
  }

  function emitDelete(key: string, phys: string, cause: StoreEvent['cause']): void {
    emit(rules.deleteEventNamesPhys ? { key, kind: 'delete', phys, cause } : { key, kind: 'delete', cause });
  }

  function checksumsOf(content: Content): ObjectVersion['checksums'] {
    return {
      ...(rules.checksums.includes('crc32c') && { crc32c: crc32cOf(content) }),
      ...(rules.checksums.includes('crc64nvme') && { crc64nvme: crc64nvmeOf(content) }),
    };
  }

  /** Sorted anew only when a name came since; names may stay after their objects. */
  function names(): readonly string[] {
    listed ??= [...slots.keys()].sort(compareNames);
    return listed;
  }

  function page(prefix: string, after: string | undefined, limit: number): ObjectPage {
    if (!Number.isInteger(limit) || limit < 1) throw invalid('limit', limit, 'a whole number from 1');
    const all = names();
    const objects: ObjectVersion[] = [];
    const past = after !== undefined && compareNames(after, prefix) >= 0;
    for (let at = firstIndex(all, past ? after : prefix, past); at < all.length; at++) {
      const name = all[at]!;
      if (!name.startsWith(prefix)) break;
      const stands = standing(name);
      if (!stands) continue;
      const last = objects.at(-1);
      if (last && objects.length === limit) return { objects, next: last.key };
      objects.push(stands.version);
    }
    return { objects };
  }

  /** Every fault leaves with the site, the operation and the key in it. */
  function at<Answer>(op: string, key: string, run: () => Answer): Answer {
    try {
      return run();
    } catch (error) {
      throw placed(error, { site, op, key });
    }
  }

  return {
    site,
    capabilities,

    head: async (key) => at('head', key, () => standing(nameOf(key))?.version ?? null),

    async versions(key) {
      return at('versions', key, () => {
        const name = nameOf(key);
        const slot = slots.get(name);
        const newest = slot?.kept.at(-1);
        if (!slot || !newest) return [];
        if (capabilities.history === 'current') return slot.live ? [newest.version] : [];
        const all = slot.kept.map(({ version }) => version);
        // The service shows only that no version is current; the time of the deletion is lost.
        if (!slot.live) all.push(deletion(name, ABSENT + newest.version.phys, newest.version.modifiedAt));
        return all;
      });
    },

    async get(key, phys, range) {
      return at('get', key, () => {
        const { version, content } = find(key, phys);
        const { start, end } = range ?? { start: 0, end: version.sizeBytes };
        const inside = Number.isInteger(start) && Number.isInteger(end) && start >= 0 && end <= version.sizeBytes;
        if (range && !(inside && start < end)) throw invalid('range', range, `a part of ${version.sizeBytes} bytes`);
        return { version, body: readContent(content!, start, end) };
      });
    },

    async put(key, body, { condition, metadata, marker, checksums }) {
      const { name, described } = at('put', key, () => ({
        name: nameOf(key),
        described: describe(rules, metadata, marker),
      }));
      const content = await drain(body, capabilities.putBytesMax).catch((error) => {
        throw placed(error, { site, op: 'put', key });
      });
      return at('put', key, () => {
        if (checksums) checkContent(content, checksums);
        check(condition, standing(name), rules.cloud === 'aws' ? 404 : 412);
        return write(name, content, described, 'put');
      });
    },

    async delete(key, condition) {
      return at('delete', key, () => remove(nameOf(key), condition, 'delete'));
    },

    async list({ prefix, after, limit }) {
      return at('list', prefix, () => page(prefix, after, limit));
    },

    async copy(source, key, { condition, metadata, marker, checksums }) {
      return at('copy', key, () => {
        const name = nameOf(key);
        const content = find(source.key, source.phys).content!;
        const described = describe(rules, metadata, marker);
        if (checksums) checkContent(content, checksums);
        check(condition, standing(name), rules.cloud === 'aws' ? 404 : 412);
        return write(name, content, described, 'copy');
      });
    },

    async createUpload(key) {
      return at('createUpload', key, () => {
        const upload = nextId();
        uploads.begin(nameOf(key), upload);
        return upload;
      });
    },

    async putPart(key, upload, part, body, sums) {
      const name = at('putPart', key, () => nameOf(key));
      const streamed = !(body instanceof Uint8Array);
      const content = await drain(streamed ? bytesOf(body) : body, capabilities.putBytesMax).catch((error) => {
        throw placed(error, { site, op: 'putPart', key });
      });
      return at('putPart', key, () => {
        checkContent(content, sums ?? (streamed ? body.sums() : {}));
        return uploads.keep(name, upload, part, content);
      });
    },

    async completeUpload(key, upload, receipts) {
      return at('completeUpload', key, () => {
        const name = nameOf(key);
        const described = { metadata: NO_METADATA, marker: undefined };
        const parts = uploads.find(name, upload, receipts);
        uploads.end(name, upload);
        return write(name, joinContents(parts), described, 'complete', () => partsEtagOf(parts));
      });
    },

    async abortUpload(key, upload) {
      at('abortUpload', key, () => uploads.end(nameOf(key), upload));
    },

    clientPut(key, bytes, { metadata = NO_METADATA, marker, condition = ALWAYS } = {}) {
      return at('clientPut', key, () => {
        const name = nameOf(key);
        const described = describe(rules, metadata, marker);
        check(condition, standing(name), rules.cloud === 'aws' ? 404 : 412);
        return write(name, toContent(bytes), described, 'put');
      });
    },

    clientDelete(key) {
      return at('clientDelete', key, () => {
        const name = nameOf(key);
        if (rules.cloud !== 'aws' && !standing(name)) throw fault('not-found', 'nothing stands here', { value: 404 });
        return remove(name, ALWAYS, 'delete');
      });
    },

    clientPatchMetadata(key, metadata, { marker } = {}) {
      return at('clientPatchMetadata', key, () => {
        const name = nameOf(key);
        const stands = standing(name);
        if (!stands) throw fault('not-found', 'nothing stands here', { value: 404 });
        const kept = marker === undefined ? stands.version.marker : (marker ?? undefined);
        return patch(name, stands, describe(rules, metadata, kept));
      });
    },

    clientCopy(fromKey, phys, toKey) {
      return at('clientCopy', toKey, () => {
        const { version, content } = find(fromKey, phys);
        return write(nameOf(toKey), content!, { metadata: version.metadata, marker: version.marker }, 'copy');
      });
    },

    purge(key, phys) {
      at('purge', key, () => {
        const name = nameOf(key);
        const slot = slots.get(name);
        const index = slot?.kept.findIndex(({ version }) => version.phys === phys) ?? -1;
        if (!slot || index < 0) throw fault('not-found', `no version ${phys}`, { field: 'phys', value: phys });
        const newest = index === slot.kept.length - 1;
        if (newest && slot.live && versioned && rules.cloud === 'azure')
          throw fault('forbidden', 'what stands cannot be removed as a version', { field: 'phys', value: phys });
        slot.kept.splice(index, 1);
        if (newest && !rules.purgeUncovers) slot.live = false;
        if (slot.kept.length === 0) slots.delete(name);
        emitDelete(name, phys, 'purge');
      });
    },

    expire(key) {
      at('expire', key, () => {
        const name = nameOf(key);
        if (standing(name)) remove(name, ALWAYS, 'lifecycle');
      });
    },

    touch(key) {
      at('touch', key, () => {
        const name = nameOf(key);
        const stands = standing(name);
        if (!stands || !rules.patchInPlace) return;
        patch(name, stands, { metadata: stands.version.metadata, marker: stands.version.marker });
      });
    },

    onEvent(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },

    snapshot: () => ({ slots: [...slots.values()].map(copyOf) }),

    restore(snapshot) {
      clear();
      for (const slot of snapshot.slots) slots.set(slot.name, copyOf(slot));
    },
    rot(key, bytes) {
      const last = slots.get(nameOf(key))?.kept.at(-1);
      if (last?.content == null) throw fault('not-found', `nothing stands at ${key}`, { site, key });
      slots.get(nameOf(key))?.kept.splice(-1, 1, { ...last, content: toContent(bytes) });
    },
    empty: clear,
  };
}

/** Nothing stands since then. */
function deletion(name: string, phys: string, modifiedAt: number): ObjectVersion {
  return freeze({
    key: name,
    kind: 'delete-marker',
    phys,
    token: null,
    body: phys,
    revision: 1,
    sizeBytes: 0,
    modifiedAt,
    metadata: NO_METADATA,
    checksums: {},
  });
}

/** Versions are handed out as they are kept, so nobody may change them. */
function freeze(version: ObjectVersion): ObjectVersion {
  Object.freeze(version.checksums);
  return Object.freeze(version);
}

function copyOf(slot: Slot): Slot {
  return { ...slot, kept: [...slot.kept] };
}

function placed(error: unknown, place: FaultDetails): unknown {
  return error instanceof Fault ? fault(error.kind, error.message, { ...error.details, ...place }) : error;
}

function openCounter(): () => string {
  let count = 0;
  return () => `${++count}`;
}
