import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, expect, test } from 'vitest';
import { Fault, fault } from '../model/fault.ts';
import { toSqliteFault } from './fault.ts';

const folder = mkdtempSync(join(tmpdir(), 'triplicate-fault-'));
const file = (name: string) => join(folder, name);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function faultOf(call: () => unknown): Fault {
  try {
    call();
  } catch (error) {
    return toSqliteFault(error, { op: 'put', key: 'k' });
  }
  throw new Error('SQLite did it');
}

test('a full disk is unavailable, with the place and the cause', () => {
  const db = new DatabaseSync(file('full'));
  db.exec('PRAGMA max_page_count = 3; CREATE TABLE t (v TEXT)');
  const full = faultOf(() => db.prepare('INSERT INTO t VALUES (?)').run('x'.repeat(100_000)));
  expect(full).toMatchObject({ kind: 'unavailable', retry: 'later', details: { op: 'put', key: 'k' } });
  expect(full.message).toBe('SQLite, put: database or disk is full');
  expect(full.cause).toMatchObject({ errcode: 13 });
  db.close();
});

test('a locked file is unavailable', () => {
  const [one, two] = [new DatabaseSync(file('busy')), new DatabaseSync(file('busy'))];
  one.exec('BEGIN IMMEDIATE');
  expect(faultOf(() => two.exec('BEGIN IMMEDIATE'))).toMatchObject({ kind: 'unavailable', retry: 'later' });
  one.close();
  two.close();
});

test('a file that is no database is corrupt for good', () => {
  writeFileSync(file('text'), 'x'.repeat(1_000));
  const db = new DatabaseSync(file('text'));
  expect(faultOf(() => db.exec('SELECT * FROM t'))).toMatchObject({ kind: 'corrupt', retry: 'never' });
  db.close();
});

test('a write where only reading is allowed is forbidden', () => {
  new DatabaseSync(file('read')).close();
  const db = new DatabaseSync(file('read'), { readOnly: true });
  expect(faultOf(() => db.exec('CREATE TABLE t (v TEXT)'))).toMatchObject({ kind: 'forbidden', retry: 'never' });
  db.close();
});

test('after a failed sync nobody knows whether the write happened', () => {
  const error = Object.assign(new Error('disk I/O error'), { errcode: 10 | (4 << 8) }); // IOERR_FSYNC
  expect(toSqliteFault(error, { op: 'put' })).toMatchObject({ kind: 'timeout', retry: 'later' });
});

test('a statement that SQLite does not understand is a mistake of our own', () => {
  const db = new DatabaseSync(':memory:');
  expect(faultOf(() => db.exec('SELEC'))).toMatchObject({ kind: 'internal', retry: 'never' });
  db.close();
  expect(faultOf(() => db.exec('SELECT 1'))).toMatchObject({ kind: 'internal', retry: 'never' });
});

test('a Fault stays what it was', () => {
  const own = fault('invalid', 'own');
  expect(toSqliteFault(own, { op: 'put' })).toBe(own);
  expect(own).toBeInstanceOf(Fault);
});
