/** The bench that the conformance tests of a ledger work at: what is given to each, and shorthand for it. */

import { expect } from 'vitest';
import type { Ledger, LedgerRead } from '#shared/ledger/ledger.ts';
import type { KeyItem } from '#shared/model/key-item.ts';
import type { LogEntry } from '#shared/model/log-entry.ts';
import type { Case } from './cases.ts';

export interface Bench {
  readonly ledger: Ledger;
  /** The epoch at the start. */
  readonly epoch: number;
  /** The same ledger, closed and opened again. */
  reopen(): Promise<Ledger>;
  plantRow(key: string, text: string): Promise<void>;
  /** For what may lag behind: asked again until it holds, if the harness says that it lags. */
  eventually(check: () => Promise<void>): Promise<void>;
}

export type LedgerCase = Case<Bench>;

/** Each one is a key of its own; in the order of their UTF-8 bytes. */
export const AWKWARD: readonly string[] = [
  '\u0000',
  '\u0001\u001f\r\n\t',
  ' ',
  '"quoted" \'twice\' `thrice`',
  '#K#pk',
  '%',
  '%2F',
  '.',
  '..',
  '/',
  '//',
  'A',
  '\\',
  '_',
  '__proto__',
  'a',
  'a\u0000b',
  'a/b',
  'a/b/',
  'constructor',
  'e\u0301', // NFD
  'x'.repeat(1024),
  '\u007f',
  '\u00e9', // NFC
  'é'.repeat(512),
  '\ud7ff',
  '\ue000',
  '\uffff',
  '😀',
  '😀'.repeat(256),
  '\u{10ffff}',
];

export function item(key: string, changes: Partial<KeyItem> = {}): KeyItem {
  return {
    schema: 1,
    key,
    rev: 0,
    epoch: 0,
    dots: {},
    frontier: [],
    versions: {},
    sites: {},
    outbox: [],
    due: null,
    unresolved: null,
    copyOf: null,
    tombstoneAt: null,
    ...changes,
  };
}

/** Told apart from others by its reason. */
export function noted(key: string, reason: string, changes: Partial<KeyItem> = {}): KeyItem {
  return item(key, { unresolved: { reason, since: 1, siblings: [] }, ...changes });
}

/** Something in every field. */
export function rich(key: string): KeyItem {
  return item(key, {
    dots: { a: 3, b: 1_700_000_000_000 },
    frontier: ['a:3'],
    versions: {
      'a:3': {
        vid: 'a:3',
        dot: { s: 'a', n: 3 },
        vv: { a: 3, b: 1_700_000_000_000, '~': 1 },
        kind: 'object',
        hlc: { ms: 1_700_000_000_001, c: 2 },
        sizeBytes: 5 * 2 ** 40,
        crc32c: 'AAAAAA==',
        crc64nvme: '',
        metaDigest: 'sha-256 of "nothing"',
        origin: { site: 'a', phys: 'v:\u0000 \ud83d\ude00', cause: 'put' },
        holders: { a: { phys: 'v:1' }, b: { phys: '17.1', key: 'another/key 😀' } },
      },
    },
    sites: {
      a: {
        phys: 'v:1',
        token: null,
        body: '',
        modifiedAt: 1_700_000_000_000,
        vid: 'a:3',
        wid: null,
        lookedAt: 0,
        evicted: false,
        quarantined: true,
        intents: [
          {
            wid: 'w1',
            vid: 'a:3',
            kind: 'copy',
            basePhys: 'absent',
            baseToken: null,
            worker: 'w',
            leaseUntil: 1_700_000_060_000,
          },
        ],
        seen: ['v:0', 'v:1'],
      },
    },
    outbox: [entry(key, 'in the outbox', 1)],
    due: 1_700_000_000_500,
    unresolved: { reason: 'a line\nand "another"', since: 7, siblings: ['a:3'] },
    copyOf: { key: `${key.slice(0, 100)}?`, vid: 'b:1' },
    tombstoneAt: 9,
  });
}

export function entry(key: string, id: string, at: number, changes: Partial<LogEntry> = {}): LogEntry {
  return { key, id, kind: 'version', at, note: `entry ${id}`, ...changes };
}

/** Stores the first revision. */
export async function create({ ledger, epoch }: Bench, ...items: readonly KeyItem[]): Promise<void> {
  for (const next of items) expect(await ledger.compareAndSet(next, { rev: 0, epoch })).toBe('done');
}

/** Stores whatever is there anew. */
export async function change(ledger: Ledger, next: KeyItem): Promise<void> {
  const { item: old, epoch } = await ledger.get(next.key);
  expect(await ledger.compareAndSet(next, { rev: old?.rev ?? 0, epoch })).toBe('done');
}

export async function forget(ledger: Ledger, key: string): Promise<void> {
  const { item: old, epoch } = await ledger.get(key);
  expect(await ledger.remove(key, { rev: old?.rev ?? 0, epoch })).toBe('done');
}

/** What one reads after `next` was stored as this revision. */
export function stored(next: KeyItem, rev: number, epoch: number): LedgerRead {
  return { item: { ...next, rev, epoch }, epoch };
}

export function shuffled<T>(values: readonly T[]): T[] {
  // 7919 is a prime larger than any list here, so every place is visited once.
  return values.map((_, index) => values[(index * 7919 + 3) % values.length] as T);
}

/** All keys, read page by page. */
export async function allKeys(ledger: Ledger, limit: number, after?: string): Promise<readonly string[]> {
  const keys: string[] = [];
  let page = await ledger.listKeys(after === undefined ? { limit } : { after, limit });
  while (page.length > 0) {
    expect(page.length).toBeLessThanOrEqual(limit);
    keys.push(...page);
    page = await ledger.listKeys({ after: keys.at(-1) as string, limit });
  }
  return keys;
}
