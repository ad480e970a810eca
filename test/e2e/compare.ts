/** Looks at three buckets and a ledger as a stranger would, and tells where they disagree. */

import { createHash } from 'node:crypto';
import type { Ledger } from '#shared/ledger/ledger.ts';
import type { KeyItem } from '#shared/model/key-item.ts';
import { isReserved, toNativeKey } from '#shared/model/key-map.ts';
import { fromNativeMetadata } from '#shared/model/metadata.ts';
import { type App, type Found, SITES, type SiteName } from './apps/app.ts';
import { each } from './wait.ts';

type Apps = Readonly<Record<SiteName, App>>;

interface Knowing {
  readonly ledger: Ledger;
}

const PAGE = 1_000;
const AT_ONCE = 12;
/** Where the name is a hash, the key stands here. */
const KEY_NAME = 'triplicatekey';
/** What clouds and drivers say where nobody said anything. */
const UNTYPED: ReadonlySet<string> = new Set(['binary/octet-stream', 'application/octet-stream; triplicate=untyped']);

/** Where what stands is not what the ledger says, or where the ledger has something left to do. */
export async function complaints(apps: Apps, { ledger }: Knowing): Promise<readonly string[]> {
  const standing = new Map<SiteName, Map<string, string>>();
  for (const site of SITES) standing.set(site, new Map(await apps[site].list()));
  const found: string[] = [];
  for (const item of await itemsOf(ledger)) {
    found.push(...open(item));
    const [vid = ''] = item.frontier;
    const stands = item.versions[vid]?.kind === 'object';
    for (const site of SITES) {
      const native = toNativeKey(site, item.key);
      if (native.kind === 'unrepresentable') continue;
      const phys = standing.get(site)?.get(native.name);
      standing.get(site)?.delete(native.name);
      const state = item.sites[site];
      const told = `${site} ${item.key}:`;
      if (state?.vid !== vid) found.push(`${told} ${state?.vid} stands, and ${vid} has won`);
      if (stands && phys !== state?.phys) found.push(`${told} shows ${phys}, the ledger says ${state?.phys}`);
      if (!stands && phys !== undefined) found.push(`${told} shows ${phys}, and it is deleted`);
    }
  }
  for (const [site, names] of standing) for (const name of names.keys()) found.push(`${site} ${name}: nobody knows it`);
  return found;
}

function open({ key, due, outbox, frontier, unresolved }: KeyItem): readonly string[] {
  if (unresolved !== null) return [`${key}: unresolved, ${unresolved.reason}`];
  const found: string[] = [];
  if (due !== null) found.push(`${key}: is due in ${due - Date.now()} ms`);
  if (outbox.length > 0) found.push(`${key}: ${outbox.length} entries are not in the log`);
  if (frontier.length !== 1) found.push(`${key}: ${frontier.length} versions lead`);
  return found;
}

/**
 * Where two buckets hold different bytes, headers or metadata under one key. Reads everything, but for the physical
 * versions that are described in `known` already.
 */
export async function differences(
  apps: Apps,
  { ledger }: Knowing,
  known: Map<string, string> = new Map(),
): Promise<readonly string[]> {
  const found: string[] = [];
  const standing = new Map<SiteName, ReadonlyMap<string, string>>();
  for (const site of SITES) standing.set(site, await apps[site].list());

  async function shown(site: SiteName, name: string): Promise<string> {
    const id = `${site} ${standing.get(site)?.get(name) ?? 'nothing'} ${name}`;
    const text = known.get(id) ?? (await describe(apps[site], name));
    known.set(id, text);
    return text;
  }

  await each(await itemsOf(ledger), AT_ONCE, async ({ key }) => {
    const seen = new Map<string, string[]>();
    for (const site of SITES) {
      const native = toNativeKey(site, key);
      if (native.kind === 'unrepresentable') continue;
      const text = await shown(site, native.name);
      seen.set(text, [...(seen.get(text) ?? []), site]);
    }
    if (seen.size > 1)
      found.push(`${key}: ${[...seen].map(([text, sites]) => `${sites.join(' and ')} ${text}`).join('; ')}`);
  });
  return found;
}

/** All that a reader can see of an object, in words that mean the same for every cloud. */
export async function describe(app: App, name: string): Promise<string> {
  const head = await app.head(name);
  if (head === null) return 'nothing';
  const { headers, user } = meaningOf(app.site, head);
  return JSON.stringify([await digestOf(app, name), head.sizeBytes, headers, Object.entries(user).sort()]);
}

export function meaningOf(site: SiteName, { headers, user }: Found): Pick<Found, 'headers' | 'user'> {
  const { contentType, ...others } = headers;
  const typed = contentType === undefined || UNTYPED.has(contentType) ? {} : { contentType };
  const { [KEY_NAME]: _key, ...own } = fromNativeMetadata(site, user);
  return { headers: { ...typed, ...others }, user: own };
}

export async function digestOf(app: App, name: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of await app.open(name)) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}

export async function textOf(app: App, name: string): Promise<string | null> {
  if ((await app.head(name)) === null) return null;
  const chunks: Uint8Array[] = [];
  for await (const chunk of await app.open(name)) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks).toString();
}

/** Everything that was ever written to the buckets: it stays the same when nobody writes any more. */
export async function writesOf(apps: Apps): Promise<readonly string[]> {
  const all: string[] = [];
  for (const site of SITES)
    for (const { name, phys } of await apps[site].history()) all.push(`${site} ${name} ${phys}`);
  return all.sort();
}

export async function itemsOf(ledger: Ledger): Promise<readonly KeyItem[]> {
  const items: KeyItem[] = [];
  let after: string | undefined;
  do {
    const keys = await ledger.listKeys({ limit: PAGE, ...(after === undefined ? {} : { after }) });
    const reads = await Promise.all(keys.map((key) => ledger.get(key)));
    for (const { item } of reads) if (item !== null && !isReserved(item.key)) items.push(item);
    after = keys.length < PAGE ? undefined : keys.at(-1);
  } while (after !== undefined);
  return items;
}
