/** A ledger in Google Firestore: one document for every item, written if it is unchanged and the epoch stands. */

import { Fault, fault, invalid } from '../model/fault.ts';
import { type KeyItem, listedAt } from '../model/key-item.ts';
import { checkKey } from '../model/key-map.ts';
import type { LogEntry } from '../model/log-entry.ts';
import {
  type Connection,
  type FirestoreConnectionOptions,
  openConnection,
  type Row,
  type Write,
} from './firestore/connection.ts';
import { toId } from './firestore/ids.ts';
import { listNames } from './firestore/listing.ts';
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

export interface FirestoreLedgerOptions extends FirestoreConnectionOptions {
  /** The collection that ledgers lie in. */
  readonly collection?: string;
  /** Several ledgers may share a collection; each has a name of its own. */
  readonly ledger?: string;
}

const FIRST_EPOCH = 1;
const LAYOUT = 1;
const LOG_PAGE = 300;
const LOG_PAGES_MAX = 10_000;

/**
 * Below the document of the ledger, which holds its epoch, lie the collections `items`, `records` and `logs`. Fields:
 * `name` (the key or id), `rev`, `due`, and the texts `item`, `value` and `entry`, which need no index: exempt them.
 * The first document is made here.
 */
export async function openFirestoreLedger(options: FirestoreLedgerOptions): Promise<Ledger> {
  const { collection = 'triplicate', ledger = 'ledger' } = options;
  for (const [field, name] of Object.entries({ collection, ledger }))
    if (!/^[A-Za-z0-9_.-]{1,64}$/.test(name) || /^(?:\.\.?|__.*__)$/.test(name))
      throw invalid(field, name, '1 to 64 letters, digits or _ . -');
  const connection = openConnection(options);
  const root = `${collection}/${ledger}`;
  const itemAt = (key: string) => `${root}/items/${toId(key)}`;
  const recordAt = (id: string) => `${root}/records/${toId(id)}`;
  const logAt = (key: string) => `${root}/logs/${toId(key)}`;

  function epochOf(row: Row | null | undefined): number {
    const epoch = row === null || row === undefined ? null : countOf(row, 'epoch');
    if (epoch !== null) return epoch;
    throw fault('corrupt', `Firestore: the ledger ${root} has lost its epoch`, { op: 'epoch', retry: 'never' });
  }

  async function swap(op: string, key: string, expected: Expected, write?: Write): Promise<Swap> {
    return connection.change<Swap>({
      ...{ op, key, path: itemAt(key), guard: root, lost: 'lost' },
      decide(row, guard) {
        if (epochOf(guard) !== expected.epoch) return { answer: 'fenced' };
        if (revOf(row, key) !== expected.rev) return { answer: 'lost' };
        return write === undefined ? { answer: 'done' } : { answer: 'done', write };
      },
    });
  }

  const first = { epoch: { integerValue: FIRST_EPOCH }, layout: { integerValue: LAYOUT } };
  await connection.write('open', root, { update: { name: connection.nameOf(root), fields: first }, ...ABSENT });
  const [stands] = await connection.read('open', root, [root]);
  const layout = stands ? countOf(stands, 'layout') : null;
  if (layout !== LAYOUT) {
    await connection.close();
    const details = { op: 'open', field: 'layout', value: layout };
    throw fault('unsupported', `${root}: its ledger has layout ${layout}, this program knows ${LAYOUT}`, details);
  }

  return {
    async get(key: string): Promise<LedgerRead> {
      const [first, row] = await connection.read('get', checkKey(key), [root, itemAt(key)]);
      const epoch = epochOf(first);
      if (row === null || row === undefined) return { item: null, epoch };
      return { item: readItemText(textOf(row, 'item', key), key, revOf(row, key)), epoch };
    },

    async compareAndSet(next: KeyItem, expected: Expected): Promise<Swap> {
      const { key } = next;
      const due = listedAt(next);
      const item = { stringValue: toItemText(next, expected) };
      const fields = { name: { stringValue: key }, rev: { integerValue: expected.rev + 1 }, item };
      const withDue = due === null ? fields : { ...fields, due: { integerValue: due } };
      return swap('compareAndSet', key, expected, {
        update: { name: connection.nameOf(itemAt(key)), fields: withDue },
      });
    },

    async remove(key: string, expected: Expected): Promise<Swap> {
      checkExpected(key, expected);
      const write = expected.rev === 0 ? undefined : { delete: connection.nameOf(itemAt(key)) };
      return swap('remove', key, expected, write);
    },

    async listDue(now: number, limit: number): Promise<readonly string[]> {
      checkLimit(limit);
      const rows = await connection.query('listDue', root, {
        from: [{ collectionId: 'items' }],
        select: { fields: [{ fieldPath: 'name' }] },
        where: {
          fieldFilter: {
            field: { fieldPath: 'due' },
            op: 'LESS_THAN_OR_EQUAL',
            value: { integerValue: Math.floor(now) },
          },
        },
        orderBy: [{ field: { fieldPath: 'due' }, direction: 'ASCENDING' }],
        limit: { value: limit },
      });
      return rows.map((row) => nameIn(row));
    },

    async listKeys({ after = '', limit }: { readonly after?: string; readonly limit: number }) {
      checkUnicode(after, 'after');
      checkLimit(limit);
      const place = { parent: root, collectionId: 'items', fields: ['name'], nameOf: nameIn };
      return (await listNames(connection, { ...place, prefix: '', after, limit })).map(nameIn);
    },

    async appendLog(entry: LogEntry): Promise<boolean> {
      const text = toEntryText(entry);
      const { key, id, at } = entry;
      const fields = { at: { integerValue: at }, id: { stringValue: id }, entry: { stringValue: text } };
      const name = connection.nameOf(`${logAt(key)}/entries/${toId(id)}`);
      return connection.write('appendLog', key, { update: { name, fields }, ...ABSENT });
    },

    async readLog(key: string): Promise<readonly LogEntry[]> {
      const entries = await readAll(connection, logAt(checkKey(key)), 'entries');
      return entries
        .map((row) => readEntryText(textOf(row, 'entry', key)))
        .sort((a, b) => a.at - b.at || Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)));
    },

    async epoch(): Promise<number> {
      const [row] = await connection.read('epoch', root, [root]);
      return epochOf(row);
    },

    async advanceEpoch(from: number, to = from + 1): Promise<boolean> {
      checkEpochs(from, to);
      const fields = { ...first, epoch: { integerValue: to } };
      const write: Write = { update: { name: connection.nameOf(root), fields } };
      return connection.change({
        ...{ op: 'advanceEpoch', key: root, path: root, lost: false },
        decide: (row) => (epochOf(row) === from ? { answer: true, write } : { answer: false }),
      });
    },

    async getRecord(id: string): Promise<LedgerRecord | null> {
      checkText(id, 'id');
      const [row] = await connection.read('getRecord', id, [recordAt(id)]);
      return row === null || row === undefined ? null : toRecord(row);
    },

    async swapRecord(id: string, rev: number, value: string | null): Promise<boolean> {
      checkText(id, 'id');
      checkCount(rev, 'rev');
      if (value !== null) checkUnicode(value, 'value');
      const name = connection.nameOf(recordAt(id));
      const write: Write =
        value === null
          ? { delete: name }
          : {
              update: {
                name,
                fields: {
                  name: { stringValue: id },
                  rev: { integerValue: rev + 1 },
                  value: { stringValue: value },
                },
              },
            };
      if (rev === 0 && value !== null) return connection.write('swapRecord', id, { ...write, ...ABSENT });
      return connection.change({
        ...{ op: 'swapRecord', key: id, path: recordAt(id), lost: false },
        decide(row) {
          if (revOf(row, id) !== rev) return { answer: false };
          return rev === 0 ? { answer: true } : { answer: true, write };
        },
      });
    },

    async listRecords(query: { readonly prefix: string; readonly after?: string; readonly limit: number }) {
      const { prefix, after = '', limit } = query;
      checkUnicode(prefix, 'prefix');
      checkUnicode(after, 'after');
      checkLimit(limit);
      const place = { parent: root, collectionId: 'records', fields: ['name', 'rev', 'value'], nameOf: nameIn };
      return (await listNames(connection, { ...place, prefix, after, limit })).map(toRecord);
    },

    async close(): Promise<void> {
      await connection.close();
    },
  };
}

const ABSENT = { currentDocument: { exists: false } } as const;

async function readAll(connection: Connection, parent: string, collectionId: string): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (let page = 0; page < LOG_PAGES_MAX; page++) {
    const last = rows.at(-1);
    const after = last && { referenceValue: connection.nameOf(`${parent}/${collectionId}/${last.id}`) };
    const more = await connection.query('readLog', parent, {
      from: [{ collectionId }],
      orderBy: [{ field: { fieldPath: '__name__' }, direction: 'ASCENDING' }],
      limit: { value: LOG_PAGE },
      ...(after === undefined ? {} : { startAt: { values: [after], before: false } }),
    });
    rows.push(...more);
    if (more.length < LOG_PAGE) return rows;
  }
  throw fault('internal', `Firestore, readLog: the log ${parent} does not end`);
}

/** 0: there is none. */
function revOf(row: Row | null | undefined, key: string): number {
  if (row === null || row === undefined) return 0;
  const rev = countOf(row, 'rev');
  if (rev !== null) return rev;
  throw unreadable(key, 'rev', row.fields.rev ?? null, 'an integer >= 0');
}

function toRecord(row: Row): LedgerRecord {
  const id = nameIn(row);
  return { id, rev: revOf(row, id), value: textOf(row, 'value', id) };
}

function nameIn(row: Row): string {
  return textOf(row, 'name', row.id);
}

function countOf({ fields }: Row, field: string): number | null {
  const value = fields[field]?.integerValue;
  const count = value === undefined || value === null ? Number.NaN : Number(value);
  return Number.isSafeInteger(count) && count >= 0 ? count : null;
}

function textOf({ fields }: Row, field: string, key: string): string {
  const text = fields[field]?.stringValue;
  if (typeof text === 'string') return text;
  throw unreadable(key, field, fields[field] ?? null, 'a text');
}

function unreadable(key: string, field: string, value: unknown, expected: string): Fault {
  const { message } = invalid(field, value, expected);
  const details = { op: 'get', key, field, value };
  return new Fault('invalid', `the ledger row of ${JSON.stringify(key)} cannot be read: ${message}`, details);
}
