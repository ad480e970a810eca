/** Transactions: up to a hundred writes that all happen or none, and reads of one moment. */

import { createHash } from 'node:crypto';
import type { Database } from '../../state/sqlite.ts';
import { readUnits, type Units } from './capacity.ts';
import { DynamoError, refused } from './errors.ts';
import { look, planRead } from './reads.ts';
import type { ReadInput, WriteInput } from './requests.ts';
import type { Rows } from './rows.ts';
import type { Tables } from './tables.ts';
import { type Item, itemBytes } from './values.ts';
import { type Change, change, consumed, type Plan, placeText, planWrite, store, type WriteKind } from './writes.ts';

interface TransactWriteInput {
  readonly TransactItems: readonly Readonly<Partial<Record<WriteKind, WriteInput>>>[];
  readonly ClientRequestToken?: string;
  readonly ReturnConsumedCapacity?: WriteInput['ReturnConsumedCapacity'];
}

interface Reason {
  readonly Code: string;
  readonly Message?: string;
  readonly Item?: Item;
}

const BYTES_MAX = 4 * 1024 * 1024;
const TOKEN_MS = 10 * 60_000;

export function defineTransactions(db: Database): void {
  db.define(
    `CREATE TABLE IF NOT EXISTS dynamodb_tokens (
      token TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT NOT NULL, at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID`,
  );
}

/** Within one transaction of the database. */
export function transactWrite(db: Database, tables: Tables, rows: Rows, now: number, input: TransactWriteInput) {
  const { ClientRequestToken: token, TransactItems, ReturnConsumedCapacity } = input;
  const request = createHash('sha256').update(JSON.stringify(TransactItems)).digest('hex');
  db.run('DELETE FROM dynamodb_tokens WHERE at <= ?', now - TOKEN_MS);
  const earlier =
    token === undefined
      ? undefined
      : db.get<{ request: string; answer: string }>(
          'SELECT request, answer FROM dynamodb_tokens WHERE token = ?',
          token,
        );
  if (earlier !== undefined) {
    if (earlier.request === request) return JSON.parse(earlier.answer) as object;
    throw new DynamoError(
      'IdempotentParameterMismatchException',
      'Request with the same client token but different parameters was already processed',
      {},
    );
  }
  const plans = TransactItems.map((given) => planOne(tables, given));
  if (new Set(plans.map(placeText)).size < plans.length)
    throw refused('Transaction request cannot include multiple operations on one item');
  const changes = judge(rows, plans);
  if (changes.reduce((sum, { old, next }) => sum + Math.max(bytesOf(old), bytesOf(next)), 0) > BYTES_MAX)
    throw refused('Transaction request size has exceeded the maximum allowed size');
  const spent = new Map<string, Units[]>();
  for (const [index, plan] of plans.entries()) {
    const units = store(rows, plan, changes[index] as Change, true);
    spent.set(plan.table.name, [...(spent.get(plan.table.name) ?? []), units]);
  }
  const answer = consumed(spent, ReturnConsumedCapacity, 'Write');
  if (token !== undefined)
    db.run(
      'INSERT INTO dynamodb_tokens (token, request, answer, at) VALUES (?, ?, ?, ?)',
      token,
      request,
      JSON.stringify(answer),
      now,
    );
  return answer;
}

function planOne(tables: Tables, given: TransactWriteInput['TransactItems'][number]): Plan {
  const kinds = Object.keys(given) as WriteKind[];
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1)
    throw refused('TransactItems can only contain one of Check, Put, Update or Delete');
  return planWrite(tables, kind, given[kind] as WriteInput);
}

/** All conditions are judged, so that the reasons tell of each of them. */
function judge(rows: Rows, plans: readonly Plan[]): readonly Change[] {
  const changes: Change[] = [];
  const reasons = plans.map((plan): Reason => {
    try {
      changes.push(change(plan, rows.find(plan.table, plan.place)));
      return { Code: 'None' };
    } catch (error) {
      if (error instanceof DynamoError) return toReason(error);
      throw error;
    }
  });
  const codes = reasons.map(({ Code }) => Code);
  if (codes.every((code) => code === 'None')) return changes;
  const message = `Transaction cancelled, please refer cancellation reasons for specific reasons [${codes.join(', ')}]`;
  throw new DynamoError('TransactionCanceledException', message, { CancellationReasons: reasons });
}

function toReason({ type, message, more }: DynamoError): Reason {
  const item = more.Item as Item | undefined;
  const Code = type.endsWith('#ConditionalCheckFailedException') ? 'ConditionalCheckFailed' : 'ValidationError';
  return { Code, Message: message, ...(item === undefined ? {} : { Item: item }) };
}

function bytesOf(item: Item | null): number {
  return item === null ? 0 : itemBytes(item);
}

interface TransactGetInput {
  readonly TransactItems: readonly { readonly Get: ReadInput }[];
  readonly ReturnConsumedCapacity?: ReadInput['ReturnConsumedCapacity'];
}

export function transactGet(tables: Tables, rows: Rows, { TransactItems, ReturnConsumedCapacity }: TransactGetInput) {
  const plans = TransactItems.map(({ Get }) => planRead(tables, Get));
  if (new Set(plans.map(placeText)).size < plans.length)
    throw refused('Transaction request cannot include multiple operations on one item');
  const spent = new Map<string, Units[]>();
  const Responses = plans.map((plan) => {
    const { item, bytes } = look(rows, plan);
    const units = { table: readUnits(bytes, 'transaction'), indexes: {} };
    spent.set(plan.table.name, [...(spent.get(plan.table.name) ?? []), units]);
    return item === null ? {} : { Item: item };
  });
  return { Responses, ...consumed(spent, ReturnConsumedCapacity, 'Read') };
}
