import { describe, expect, test } from 'vitest';
import { problemOf, wantsAttributes, wantsBody } from './filter.ts';

const text = (StringValue: string) => ({ DataType: 'String', StringValue });
const number = (StringValue: string) => ({ DataType: 'Number', StringValue });
const ATTRIBUTES = {
  event: text('object.created'),
  size: number('100'),
  digits: text('100'),
  tags: { DataType: 'String.Array', StringValue: '["red", "green", 7, null]' },
};

describe('by attributes', () => {
  test.each([
    [{}, true],
    [{ event: ['object.created'] }, true],
    [{ event: ['no', 'object.created'] }, true],
    [{ event: ['object'] }, false],
    [{ event: [{ prefix: 'object.' }] }, true],
    [{ event: [{ prefix: 'bucket.' }] }, false],
    [{ event: [{ suffix: '.created' }] }, true],
    [{ event: [{ 'equals-ignore-case': 'OBJECT.Created' }] }, true],
    [{ event: [{ 'anything-but': 'object.created' }] }, false],
    [{ event: [{ 'anything-but': ['a', 'b'] }] }, true],
    [{ event: [{ 'anything-but': { prefix: 'object.' } }] }, false],
    [{ missing: [{ 'anything-but': 'a' }] }, false],
    [{ event: [{ exists: true }] }, true],
    [{ event: [{ exists: false }] }, false],
    [{ missing: [{ exists: false }] }, true],
    [{ missing: [{ exists: true }] }, false],
    [{ toString: [{ exists: true }] }, false],
    [{ size: [100] }, true],
    [{ size: [{ numeric: ['=', 100] }] }, true],
    [{ size: [{ numeric: ['>', 10, '<=', 100] }] }, true],
    [{ size: [{ numeric: ['>', 100] }] }, false],
    [{ size: [{ numeric: ['<', 100] }] }, false],
    [{ digits: [100] }, false],
    [{ digits: ['100'] }, true],
    [{ tags: ['green'] }, true],
    [{ tags: [7] }, true],
    [{ tags: ['blue'] }, false],
    [{ event: ['object.created'], size: [1] }, false],
    [{ event: ['object.created'], size: [1, 100] }, true],
  ])('%j: %s', (policy, wanted) => {
    expect(problemOf(policy)).toBeNull();
    expect(wantsAttributes(policy, ATTRIBUTES)).toBe(wanted);
  });
});

describe('by the body', () => {
  const body = JSON.stringify({ kind: 'put', object: { size: 5, names: ['a', ['b']] }, list: [{ id: 1 }, { id: 2 }] });

  test.each([
    [{ kind: ['put'] }, true],
    [{ kind: ['delete'] }, false],
    [{ object: { size: [{ numeric: ['>=', 5] }] } }, true],
    [{ object: { names: ['b'] } }, true],
    [{ object: { other: [{ exists: false }] } }, true],
    [{ list: { id: [2] } }, true],
    [{ list: { id: [3] } }, false],
    [{ nothing: { inside: ['x'] } }, false],
  ])('%j: %s', (policy, wanted) => {
    expect(problemOf(policy)).toBeNull();
    expect(wantsBody(policy, body)).toBe(wanted);
  });

  test('that is no object is not wanted', () => {
    for (const wrong of ['no json', '[]', '"text"', 'null'])
      expect(wantsBody({ a: [{ exists: false }] }, wrong)).toBe(false);
  });
});

test.each([
  ['text'],
  [[]],
  [{ a: 'x' }],
  [{ a: [] }],
  [{ a: [['x']] }],
  [{ a: [{ prefix: 1 }] }],
  [{ a: [{ exists: 'yes' }] }],
  [{ a: [{ numeric: ['~', 1] }] }],
  [{ a: [{ numeric: ['>', '1'] }] }],
  [{ a: [{ wildcard: '*' }] }],
  [{ a: [{ prefix: 'a', suffix: 'b' }] }],
  [{ a: [{ 'anything-but': [] }] }],
  [{ a: { b: 1 } }],
  [{ $or: [{ a: ['x'] }] }],
])('%j is no policy', (policy) => {
  expect(problemOf(policy)).toEqual(expect.any(String));
});
