/**
 * A ledger in one DynamoDB table, without transactions: every row says in which epoch it was last written or read, and
 * a write names both revision and epoch. Why that is exact, and what it costs: docs/decisions/0017.
 */

import { fault, invalid, isFault } from '../model/fault.ts';
import { type KeyItem, listedAt } from '../model/key-item.ts';
import { checkKey } from '../model/key-map.ts';
import type { LogEntry } from '../model/log-entry.ts';
import { openTogether } from '../model/together.ts';
import type { DynamoOptions } from './dynamodb/calls.ts';
import { type Listing, listMerged } from './dynamodb/listing.ts';
import {
  countOf,
  epochKey,
  fromPacked,
  logPartition,
  nameOf,
  type Row,
  type RowKey,
  type Spread,
  shardsOf,
  sortKeyRange,
  spreadKey,
  toKeyAttributes,
  toNumber,
  toPacked,
  toSortKey,
} from './dynamodb/rows.ts';
import { type Condition, openRowsAt, type Refusal } from './dynamodb/rows-at.ts';
import { LEDGER_TABLE } from './dynamodb/table.ts';
import type { Ledger, LedgerRead, LedgerRecord, Swap } from './ledger.ts';
import {
  checkCount,
  checkEpochs,
  checkExpected,
  checkLimit,
  checkText,
  checkUnicode,
  type Expected,
  readEntryText,
  readItemText,
  toEntryText,
  toItemText,
} from './stored.ts';

export type { DynamoOptions } from './dynamodb/calls.ts';
export { createLedgerTable, LEDGER_TABLE, toCreateTable } from './dynamodb/table.ts';

export interface DynamoLedgerOptions extends DynamoOptions {
  /** Several ledgers may share a table; each has a name of its own. */
  readonly ledger?: string;
  /** The clock by which marks expire. */
  readonly now?: () => number;
  /** Runs something when what else is to be done now has been done: what is read until then is read by one request. */
  readonly soon?: (run: () => void) => void;
}

/** No worker can know an older one. */
const FIRST_EPOCH = 1;
const SCHEMA = 1;
/** Rows read by one request: 16 MB, which is the most that one answer holds, are 40 of the largest rows. */
const ROWS_AT_ONCE = 39;
/** Each one more means that somebody else wrote between two calls of ours. */
const ATTEMPTS_MAX = 16;
/** A request of an epoch that has ended is long answered or refused by then: a signature is good for minutes. */
const MARK_SECONDS = 7 * 24 * 3600;
const LOG_PAGES_MAX = 10_000;

/** Fault 'not-found' where there is no table. The first row, which holds the epoch, is made here. */
export async function openDynamoLedger(options: DynamoLedgerOptions): Promise<Ledger> {
  const { table, ledger = 'ledger', now = Date.now, soon = setImmediate } = options;
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(ledger)) throw invalid('ledger', ledger, '1 to 64 letters, digits or _ . -');
  const rows = await openRowsAt(options);
  const epochAt = epochKey(ledger);

  /** One read for all who ask in one turn. It begins after they have asked, so it tells none of them what was before. */
  const readEpoch = openTogether<string, number>({
    max: Number.MAX_SAFE_INTEGER,
    soon,
    async run(ops) {
      const epoch = epochOf(await rows.find(ops[0] ?? 'epoch', 'epoch', epochAt));
      return ops.map(() => epoch);
    },
  });

  /** Rows asked for in one turn, and with them the epoch once for all. */
  const findWithEpoch = openTogether<RowKey, { readonly epochRow: Row | null; readonly row: Row | null }>({
    max: ROWS_AT_ONCE,
    soon,
    async run(keys) {
      const [epochRow, ...found] = await rows.findAll('get', [epochAt, ...keys]);
      if (isFault(epochRow)) throw epochRow;
      return found.map((row) => (isFault(row) ? row : { epochRow: epochRow ?? null, row }));
    },
  });

  function epochOf(row: Row | null): number {
    if (row !== null) return countOf(row, 'epoch', 'epoch');
    throw fault('corrupt', `DynamoDB: the ledger ${ledger} in ${table} has lost its epoch`, { retry: 'never' });
  }

  /** No item, but a trace that somebody of this epoch has seen that there is none. */
  function toMark(key: string, epoch: number): Row {
    const expires = toNumber(Math.ceil(now() / 1000) + MARK_SECONDS);
    return { ...keyOf('item', key), rev: toNumber(0), fence: toNumber(epoch), [LEDGER_TABLE.timeToLive]: expires };
  }

  function keyOf(kind: Spread, name: string): Row {
    return toKeyAttributes(spreadKey(ledger, kind, name), name);
  }

  /** Whether a write of an older epoch, still under way, could change what stands there. */
  function isOpen(row: Row | null, key: string, epoch: number): boolean {
    return row === null ? epoch > FIRST_EPOCH : countOf(row, 'fence', key) < epoch;
  }

  /** Makes what was seen final for all older epochs. False: it has changed since. */
  async function claim(op: string, key: string, epoch: number, seen: Row | null): Promise<boolean> {
    if (!isOpen(seen, key, epoch)) return true;
    if (seen === null) return (await rows.put(op, key, toMark(key, epoch), ABSENT)) === null;
    const unchanged = {
      text: 'rev = :rev AND fence = :fence',
      values: { ':rev': toNumber(countOf(seen, 'rev', key)), ':fence': toNumber(countOf(seen, 'fence', key)) },
    };
    return (await rows.set(op, key, spreadKey(ledger, 'item', key), { fence: toNumber(epoch) }, unchanged)) === null;
  }

  /** The row and the epoch as they were together at one moment. */
  async function observe(op: string, key: string): Promise<{ readonly row: Row | null; readonly epoch: number }> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { epochRow, row } = await findWithEpoch(spreadKey(ledger, 'item', key));
      const epoch = epochOf(epochRow);
      const newer = row !== null && countOf(row, 'fence', key) > epoch;
      if (!newer && (await claim(op, key, epoch, row))) return { row, epoch };
    }
    throw busy(op, key);
  }

  async function swap(op: string, key: string, { rev, epoch }: Expected, write: () => Promise<Refusal>): Promise<Swap> {
    // The write may land when this epoch has ended: then it counts as done at its last moment.
    if ((await readEpoch(op)) !== epoch) return 'fenced';
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const refusal = await write();
      if (refusal === null) return 'done';
      const { stands } = refusal;
      if (stands !== null && countOf(stands, 'fence', key) > epoch) return 'fenced';
      if (revOf(stands, key) !== rev && (await claim(op, key, epoch, stands))) return 'lost';
    }
    throw busy(op, key);
  }

  async function list(kind: Spread, attributes: readonly string[], listing: Listing) {
    const { prefix, after } = listing;
    const [low, high] = sortKeyRange(
      Buffer.compare(Buffer.from(after), Buffer.from(prefix)) > 0 ? after : prefix,
      prefix,
    );
    if (Buffer.compare(low, high) > 0) return [];
    const condition = { text: 'sk BETWEEN :low AND :high', values: { ':low': { B: low }, ':high': { B: high } } };
    return listMerged(shardsOf(ledger, kind), listing, (partition, limit, start) =>
      rows.page('list', { partition, condition, attributes, limit, after: start }),
    );
  }

  async function dueIn(partition: string, until: number, limit: number): Promise<readonly Row[]> {
    const found: Row[] = [];
    const condition = { text: 'due <= :until', values: { ':until': toNumber(until) } };
    for (let after: Row | undefined, pages = 0; pages < LOG_PAGES_MAX; pages++) {
      const query = { partition, condition, index: LEDGER_TABLE.dueIndex.name, limit: limit - found.length, after };
      const page = await rows.page('listDue', query);
      found.push(...page.rows);
      after = page.next;
      if (after === undefined || found.length >= limit) return found;
    }
    throw fault('internal', `DynamoDB, listDue: the listing of ${partition} does not end`);
  }

  const first = { ...toKeyAttributes(epochAt), epoch: toNumber(FIRST_EPOCH), layout: toNumber(SCHEMA) };
  const stands = (await rows.find('open', ledger, epochAt)) ?? (await rows.put('open', ledger, first, ABSENT))?.stands;
  const schema = stands ? countOf(stands, 'layout', 'epoch') : SCHEMA;
  if (schema !== SCHEMA) {
    rows.close();
    const details = { op: 'open', field: 'layout', value: schema };
    throw fault('unsupported', `${table}: its ledger has layout ${schema}, this program knows ${SCHEMA}`, details);
  }

  return {
    async get(key: string): Promise<LedgerRead> {
      const { row, epoch } = await observe('get', checkKey(key));
      if (row === null || revOf(row, key) === 0) return { item: null, epoch };
      return { item: readItemText(textOf(row, 'item', key), key, revOf(row, key)), epoch };
    },

    async compareAndSet(next: KeyItem, expected: Expected): Promise<Swap> {
      const { key } = next;
      const due = listedAt(next);
      const { rev, epoch } = expected;
      const item = toPacked(toItemText(next, expected), key);
      const row: Row = { ...keyOf('item', key), rev: toNumber(rev + 1), fence: toNumber(epoch), item };
      if (due !== null) row.due = toNumber(due);
      return swap('compareAndSet', key, expected, () => rows.put('compareAndSet', key, row, standsAt(expected)));
    },

    async remove(key: string, expected: Expected): Promise<Swap> {
      checkExpected(key, expected);
      const { rev, epoch } = expected;
      if (rev === 0) {
        const seen = await observe('remove', key);
        if (seen.epoch !== epoch) return 'fenced';
        return revOf(seen.row, key) === 0 ? 'done' : 'lost';
      }
      return swap('remove', key, expected, () =>
        epoch === FIRST_EPOCH
          ? rows.remove('remove', key, spreadKey(ledger, 'item', key), standsAt(expected))
          : rows.put('remove', key, toMark(key, epoch), standsAt(expected)),
      );
    },

    async listDue(until: number, limit: number): Promise<readonly string[]> {
      checkLimit(limit);
      const found = (await Promise.all(shardsOf(ledger, 'item').map((shard) => dueIn(shard, until, limit)))).flat();
      const dues = found.map((row) => ({ key: nameOf(row), due: countOf(row, 'due', nameOf(row)) }));
      dues.sort((a, b) => a.due - b.due || Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
      return dues.slice(0, limit).map(({ key }) => key);
    },

    async listKeys({ after = '', limit }: { readonly after?: string; readonly limit: number }) {
      checkUnicode(after, 'after');
      checkLimit(limit);
      return (await list('item', ['sk', 'name', 'rev'], { prefix: '', after, limit })).map(({ name }) => name);
    },

    async appendLog(entry: LogEntry): Promise<boolean> {
      const text = toEntryText(entry);
      const { key, id, at } = entry;
      const row = { pk: { S: logPartition(ledger, key) }, sk: { B: toSortKey(id) }, at: toNumber(at) };
      const entryAt: Row = { ...row, entry: toPacked(text, key) };
      return (await rows.put('appendLog', key, entryAt, ABSENT)) === null;
    },

    async readLog(key: string): Promise<readonly LogEntry[]> {
      const partition = logPartition(ledger, checkKey(key));
      const entries: LogEntry[] = [];
      for (let after: Row | undefined, pages = 0; pages < LOG_PAGES_MAX; pages++) {
        const page = await rows.page('readLog', { partition, after });
        entries.push(...page.rows.map((row) => readEntryText(textOf(row, 'entry', key))));
        after = page.next;
        if (after === undefined)
          return entries.sort((a, b) => a.at - b.at || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)));
      }
      throw fault('internal', `DynamoDB, readLog: the log of ${JSON.stringify(key)} does not end`);
    },

    async epoch(): Promise<number> {
      return readEpoch('epoch');
    },

    async advanceEpoch(from: number, to = from + 1): Promise<boolean> {
      checkEpochs(from, to);
      const condition = { text: 'epoch = :from', values: { ':from': toNumber(from) } };
      return (await rows.set('advanceEpoch', 'epoch', epochAt, { epoch: toNumber(to) }, condition)) === null;
    },

    async getRecord(id: string): Promise<LedgerRecord | null> {
      checkText(id, 'id');
      const row = await rows.find('getRecord', id, spreadKey(ledger, 'record', id));
      return row === null ? null : toRecord(id, row);
    },

    async swapRecord(id: string, rev: number, value: string | null): Promise<boolean> {
      checkText(id, 'id');
      checkCount(rev, 'rev');
      if (value !== null) checkUnicode(value, 'value');
      const at = spreadKey(ledger, 'record', id);
      const condition = rev === 0 ? ABSENT : { text: 'rev = :rev', values: { ':rev': toNumber(rev) } };
      if (value !== null) {
        const row: Row = { ...keyOf('record', id), rev: toNumber(rev + 1), value: toPacked(value, id) };
        return (await rows.put('swapRecord', id, row, condition)) === null;
      }
      if (rev === 0) return (await rows.find('swapRecord', id, at)) === null;
      return (await rows.remove('swapRecord', id, at, condition)) === null;
    },

    async listRecords(query: { readonly prefix: string; readonly after?: string; readonly limit: number }) {
      const { prefix, after = '', limit } = query;
      checkUnicode(prefix, 'prefix');
      checkUnicode(after, 'after');
      checkLimit(limit);
      const found = await list('record', ['sk', 'name', 'rev', 'value'], { prefix, after, limit });
      return found.map(({ name, row }) => toRecord(name, row));
    },

    async close(): Promise<void> {
      rows.close();
    },
  };
}

const ABSENT: Condition = { text: 'attribute_not_exists(pk)' };

/** Revision 0 is a key without a row, or with a mark only. */
function standsAt({ rev, epoch }: Expected): Condition {
  const values = { ':rev': toNumber(rev), ':fence': toNumber(epoch) };
  const text = 'rev = :rev AND fence <= :fence';
  return { text: rev === 0 ? `attribute_not_exists(pk) OR (${text})` : text, values };
}

function revOf(row: Row | null, key: string): number {
  return row === null ? 0 : countOf(row, 'rev', key);
}

function toRecord(id: string, row: Row): LedgerRecord {
  return { id, rev: revOf(row, id), value: textOf(row, 'value', id) };
}

function textOf(row: Row, field: string, key: string): string {
  const text = fromPacked(row[field], key);
  if (text !== null) return text;
  const details = { op: 'get', key, field, value: null };
  throw fault(
    'invalid',
    `the ledger row of ${JSON.stringify(key)} cannot be read: ${field}: not as it was packed`,
    details,
  );
}

function busy(op: string, key: string) {
  return fault('conflict', `DynamoDB, ${op}: ${JSON.stringify(key)} changed ${ATTEMPTS_MAX} times meanwhile`, {
    op,
    key,
  });
}
