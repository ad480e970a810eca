import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../state/sqlite.ts';
import { openDocuments } from './documents.ts';
import { runQuery } from './query.ts';
import { toOrdered } from './value.ts';
import type { Filter, StructuredQuery, Value } from './wire.ts';

const ROOT = 'projects/p/databases/(default)/documents';
const MANY = 3_000;
/** One page, and the little that a query reads beside it. */
const FEW = 250;

/** Documents whose reading is counted. */
function openCounted() {
  let reads = 0;
  const documents = openDocuments(openDatabase(null), {
    serialize: ({ fields }) => Buffer.from(JSON.stringify(fields)),
    deserialize(bytes) {
      reads += 1;
      return { fields: JSON.parse(bytes.toString()) };
    },
  });
  function readsOf<T>(run: () => T): { readonly answer: T; readonly reads: number } {
    const before = reads;
    const answer = run();
    return { answer, reads: reads - before };
  }
  return { documents, readsOf };
}

const query = (changes: Partial<StructuredQuery>): StructuredQuery => ({
  ...{ select: null, from: [{ collectionId: 'items', allDescendants: false }], where: null, orderBy: [] },
  ...{ startAt: null, endAt: null, offset: 0, limit: { value: 3 } },
  ...changes,
});

const where = (fieldPath: string, op: string, value: Value): Filter => ({
  fieldFilter: { field: { fieldPath }, op, value },
});

describe('of many documents', () => {
  const { documents, readsOf } = openCounted();
  const id = (index: number) => `k${String(index).padStart(5, '0')}`;
  for (let index = 0; index < MANY; index++) {
    const fields = { due: { integerValue: String((index * 7919) % MANY) }, rev: { integerValue: '1' } };
    documents.put({ name: `${ROOT}/items/${id(index)}`, fields, createTime: 1, updateTime: 1 });
  }
  const run = (changes: Partial<StructuredQuery>, indexed = false) =>
    readsOf(() => runQuery(documents, ROOT, query(changes), () => indexed));
  const dues = (found: ReturnType<typeof run>) => found.answer.map(({ fields }) => Number(fields.due?.integerValue));
  // Makes the index.
  run({ where: where('due', 'EQUAL', { integerValue: '0' }) });

  const cases: readonly (readonly [what: string, changes: Partial<StructuredQuery>, dues: readonly number[]])[] = [
    ['one value', { where: where('due', 'EQUAL', { integerValue: '1234' }) }, [1_234]],
    [
      'all up to a value',
      { where: where('due', 'LESS_THAN_OR_EQUAL', { integerValue: '9' }), limit: null },
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    ],
    ['the first few in order', { orderBy: [{ field: { fieldPath: 'due' }, direction: 'ASCENDING' }] }, [0, 1, 2]],
    [
      'the last few in order',
      { orderBy: [{ field: { fieldPath: 'due' }, direction: 'DESCENDING' }] },
      [2_999, 2_998, 2_997],
    ],
    [
      'a page behind a cursor',
      {
        orderBy: [{ field: { fieldPath: 'due' }, direction: 'ASCENDING' }],
        startAt: { values: [{ integerValue: '2000' }], before: false },
      },
      [2_001, 2_002, 2_003],
    ],
  ];

  test.each(cases)('a query for %s reads a few', (_what, changes, expected) => {
    const found = run(changes);
    expect(dues(found)).toEqual(expected);
    expect(found.reads).toBeLessThan(FEW);
  });

  test('a page of names reads a few, from the front and from behind', () => {
    const after = { values: [{ referenceValue: `${ROOT}/items/${id(1_500)}` }], before: false };
    const forward = run({ startAt: after });
    expect(forward.answer.map(({ name }) => name.slice(-6))).toEqual([id(1_501), id(1_502), id(1_503)]);
    expect(forward.reads).toBeLessThan(FEW);
    const behind: Partial<StructuredQuery> = {
      startAt: after,
      orderBy: [{ field: { fieldPath: '__name__' }, direction: 'DESCENDING' }],
    };
    expect(() => run(behind)).toThrow('descending key scans');
    const back = run(behind, true);
    expect(back.answer.map(({ name }) => name.slice(-6))).toEqual([id(1_499), id(1_498), id(1_497)]);
    expect(back.reads).toBeLessThan(FEW);
  });

  test('what combines fields is refused unless somebody made an index for it', () => {
    const both = query({
      where: where('rev', 'EQUAL', { integerValue: '1' }),
      orderBy: [{ field: { fieldPath: 'due' }, direction: 'ASCENDING' }],
    });
    expect(() => runQuery(documents, ROOT, both, () => false)).toThrow('The query requires an index');
    const asked: unknown[] = [];
    const found = runQuery(documents, ROOT, both, (...index) => asked.push(index) > 0);
    expect(asked).toEqual([['items', ['rev', 'due']]]);
    expect(found.map(({ fields }) => Number(fields.due?.integerValue))).toEqual([0, 1, 2]);
  });
});

test('numbers are in one order, integers beyond what a double can hold among them', () => {
  const ordered: Value[] = [
    { doubleValue: Number.NaN },
    { doubleValue: Number.NEGATIVE_INFINITY },
    { integerValue: '-9223372036854775808' },
    { integerValue: '-9007199254740993' },
    { integerValue: '-9007199254740992' },
    { doubleValue: -0.5 },
    { integerValue: '0' },
    { doubleValue: Number.MIN_VALUE },
    { integerValue: '9007199254740992' },
    { integerValue: '9007199254740993' },
    { integerValue: '9223372036854775807' },
    { doubleValue: Number.POSITIVE_INFINITY },
    { timestampValue: { seconds: '-1', nanos: 0 } },
  ];
  const bytes = ordered.map(toOrdered);
  for (const [index, each] of bytes.slice(1).entries()) expect(Buffer.compare(bytes[index]!, each)).toBe(-1);
  expect(toOrdered({ integerValue: '1' })).toEqual(toOrdered({ doubleValue: 1 }));
  expect(toOrdered({ doubleValue: -0 })).toEqual(toOrdered({ integerValue: '0' }));
});
