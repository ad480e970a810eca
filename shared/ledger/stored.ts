/** What every ledger driver refuses, and the text it stores: one place, so that all drivers agree. */

import { Fault, invalid, isFault } from '../model/fault.ts';
import type { KeyItem } from '../model/key-item.ts';
import { checkKey } from '../model/key-map.ts';
import type { LogEntry } from '../model/log-entry.ts';
import { readKeyItem } from '../model/read-key-item.ts';

export interface Expected {
  readonly rev: number;
  readonly epoch: number;
}

/** The text of `next` as it will stand; what could not be read back is refused before it replaces anything. */
export function toItemText(next: KeyItem, expected: Expected): string {
  checkExpected(next.key, expected);
  return JSON.stringify(readKeyItem({ ...next, rev: expected.rev + 1, epoch: expected.epoch }));
}

/** `rev` is what the driver compares; a text that tells another one was not written by any driver. */
export function readItemText(text: string, key: string, rev: number): KeyItem {
  try {
    const item = readKeyItem(parse(text, 'item'));
    if (item.key !== key) throw invalid('item.key', item.key, `"${key}", the key it is stored under`);
    if (item.rev !== rev) throw invalid('item.rev', item.rev, `${rev}, the revision it is stored with`);
    return item;
  } catch (error) {
    if (!isFault(error, 'invalid')) throw error;
    const details = { ...error.details, op: 'get', key, cause: error };
    throw new Fault('invalid', `the ledger row of ${JSON.stringify(key)} cannot be read: ${error.message}`, details);
  }
}

export function toEntryText(entry: LogEntry): string {
  checkKey(entry.key);
  checkText(entry.id, 'entry.id');
  checkCount(entry.at, 'entry.at');
  return JSON.stringify(entry);
}

export function readEntryText(text: string): LogEntry {
  return parse(text, 'log') as LogEntry;
}

export function checkExpected(key: string, expected: Expected): void {
  checkKey(key);
  checkCount(expected.rev, 'expected.rev');
  checkCount(expected.epoch, 'expected.epoch');
}

export function checkLimit(limit: number): void {
  if (!Number.isSafeInteger(limit) || limit < 1) throw invalid('limit', limit, 'an integer >= 1');
}

export function checkCount(value: number, field: string): void {
  if (!Number.isSafeInteger(value) || value < 0) throw invalid(field, value, 'an integer >= 0');
}

export function checkEpochs(from: number, to: number): void {
  checkCount(from, 'from');
  if (!Number.isSafeInteger(to) || to <= from) throw invalid('to', to, `an integer > ${from}`);
}

/** Half a surrogate pair would come back from a database as another character, and two ids would be one. */
export function checkText(value: string, field: string): void {
  if (value === '') throw invalid(field, value, 'at least one character');
  checkUnicode(value, field);
}

export function checkUnicode(value: string, field: string): void {
  if (!value.isWellFormed()) throw invalid(field, value, 'well-formed Unicode');
}

function parse(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(field, text, 'JSON');
  }
}
