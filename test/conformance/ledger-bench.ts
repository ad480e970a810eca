/** The bench that the conformance tests of a ledger work at: what is given to each, and shorthand for it. */

import { expect } from 'vitest';
import type { Ledger, LedgerRead } from '#shared/ledger/ledger.ts';
import type { KeyItem } from '#shared/model/key-item.ts';
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

/** More than any test fills, so that a listing which never ends is a failure and not a hang. */
const PAGES_MAX = 1_000;

export type LedgerCase = Case<Bench>;

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
export async function allKeys(ledger: Ledger, limit: number): Promise<readonly string[]> {
  const keys: string[] = [];
  for (let page = 0; page < PAGES_MAX; page++) {
    const after = keys.at(-1);
    const more = await ledger.listKeys(after === undefined ? { limit } : { after, limit });
    if (more.length === 0) return keys;
    expect(more.length).toBeLessThanOrEqual(limit);
    keys.push(...more);
  }
  throw new Error(`there were still keys after ${PAGES_MAX} pages`);
}
