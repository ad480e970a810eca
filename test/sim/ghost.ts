/** Watches a run from above, where buckets and ledger can be seen at once, and writes its history. */

import type { KeyItem } from '#shared/model/key-item.ts';
import { isReserved, toNativeKey } from '#shared/model/key-map.ts';
import { readMarker } from '#shared/model/marker.ts';
import { metaDigest } from '#shared/model/metadata.ts';
import type { ObjectVersion } from '#shared/model/object.ts';
import type { SiteId } from '#shared/model/site.ts';
import { siteOf } from '#shared/model/topology.ts';
import { contains } from '#shared/model/version-vector.ts';
import type { MemoryStore } from '#shared/store/memory.ts';
import type { ObjectStore } from '#shared/store/store.ts';
import { type Actor, at, type Born, type History, physAt } from './history.ts';
import { MAC_KEYS, NAMESPACE } from './keys.ts';

export interface Bucket {
  readonly id: SiteId;
  readonly store: ObjectStore;
  readonly raw: MemoryStore;
}

export interface Ghost {
  /** Somebody changed this key: whatever stands now is noted. */
  changed(step: number, bucket: Bucket, key: string, actor: Actor, op: string): Promise<void>;
  /** The ledger stored this item. */
  stored(step: number, by: number, item: KeyItem): void;
  contentAt(site: SiteId, key: string): string | null;
  contentOf(site: SiteId, key: string, phys: string): string | undefined;
  born(key: string, vid: string): Born | undefined;
}

export function openGhost(history: History): Ghost {
  const contents = new Map<string, string>();
  const births = new Map<string, Born>();
  const told = new Set<string>();
  const stored = new Map<string, KeyItem>();

  async function contentOf(store: ObjectStore, version: ObjectVersion): Promise<string> {
    const known = contents.get(physAt(store.site, version.key, version.phys));
    if (known !== undefined) return known;
    const { body } = await store.get(version.key, version.phys);
    let text = '';
    for await (const chunk of body) text += Buffer.from(chunk).toString('latin1');
    return `${metaDigest(version.metadata)}|${text}`;
  }

  function bear(step: number, by: number, key: string, item: KeyItem, vid: string): void {
    const version = item.versions[vid];
    if (version === undefined) return;
    const { origin, kind } = version;
    const held = () => {
      for (const [site, holder] of Object.entries(version.holders)) {
        const content = contents.get(physAt(site, holder.key ?? key, holder.phys));
        if (content !== undefined) return content;
      }
      return undefined;
    };
    const content = kind === 'tombstone' ? null : (contents.get(physAt(origin.site, key, origin.phys)) ?? held());
    const born: Born = { step, key, by, version: structuredCloneOf(version), content };
    births.set(`${key}\n${vid}`, born);
    history.born.push(born);
  }

  return {
    async changed(step, { id, store }, key, actor, op) {
      const head = await store.head(key);
      const content = head === null ? null : await contentOf(store, head);
      if (head !== null && content !== null) contents.set(physAt(id, key, head.phys), content);
      if (isReserved(key)) return;
      const read =
        head?.marker === undefined ? null : readMarker(head.marker, { namespace: NAMESPACE, key, site: id }, MAC_KEYS);
      const marker = read?.kind === 'authentic' ? read.marker : null;
      const newest =
        head === null && store.capabilities.history === 'chain' ? (await store.versions(key)).at(-1) : undefined;
      const over = history.now.get(at(id, key)) ?? -1;
      history.stood.push({
        step,
        site: id,
        key,
        phys: head?.phys ?? null,
        deleteMarker: newest?.phys ?? null,
        actor,
        op,
        content,
        vid: marker === null ? null : `${marker.dot.s}:${marker.dot.n}`,
        wid: marker?.wid ?? null,
        marker: head?.marker ?? null,
        over,
      });
      history.now.set(at(id, key), history.stood.length - 1);
    },

    stored(step, by, item) {
      const before = stored.get(item.key);
      stored.set(item.key, item);
      for (const vid in item.versions) if (!births.has(`${item.key}\n${vid}`)) bear(step, by, item.key, item, vid);
      const heads = item.frontier.map((vid) => item.versions[vid]?.vv ?? {});
      for (const { vid, dot } of Object.values(item.versions)) {
        if (!item.frontier.includes(vid) && heads.some((vv) => contains(vv, dot)))
          history.dominated.add(`${item.key}\n${vid}`);
      }
      for (const [site, state] of Object.entries(item.sites)) {
        if (before?.sites[site]?.phys === state.phys && before.sites[site]?.vid === state.vid) continue;
        const { vid } = state;
        if (vid !== null && item.versions[vid]?.kind === 'tombstone')
          history.absences.push({ site, key: item.key, step });
        const name = physAt(site, item.key, state.phys);
        const since = history.bound.get(name)?.since ?? step;
        history.bound.set(name, { vid: state.vid, wid: state.wid, since, step });
      }
      for (const entry of item.outbox) {
        if (entry.kind !== 'superseded' || told.has(`${item.key}\n${entry.id}`)) continue;
        told.add(`${item.key}\n${entry.id}`);
        const loser = item.versions[entry.vid ?? ''] ?? births.get(`${item.key}\n${entry.vid}`)?.version;
        const winner = item.versions[entry.by ?? ''];
        if (loser && winner)
          history.superseded.push({
            step,
            key: item.key,
            loser: structuredCloneOf(loser),
            winner: structuredCloneOf(winner),
          });
      }
    },

    contentAt(site, key) {
      return history.stood[history.now.get(at(site, key)) ?? -1]?.content ?? null;
    },

    contentOf: (site, key, phys) => contents.get(physAt(site, key, phys)),
    born: (key, vid) => births.get(`${key}\n${vid}`),
  };
}

export function isRepresentable(history: History, site: SiteId, key: string): boolean {
  return toNativeKey(siteOf(history.scenario.topology, site).cloud, key).kind !== 'unrepresentable';
}

function structuredCloneOf<T>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T;
}
