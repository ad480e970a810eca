/** Items, keys and entries to try a ledger with. */

import type { KeyItem } from '#shared/model/key-item.ts';
import type { LogEntry } from '#shared/model/log-entry.ts';

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

/** Something in every field that every item has. */
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
        past: {},
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
