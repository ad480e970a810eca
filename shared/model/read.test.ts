/** Shows that readers accept what they promise, hand it back untouched, and say where and what was wrong. */
import { describe, expect, it } from 'vitest';
import {
  at,
  pathText,
  readArray,
  readBoolean,
  readInteger,
  readNullable,
  readObject,
  readOneOf,
  readOptional,
  readRecord,
  readString,
  readText,
} from './read.ts';

const KEYS = new Set(['a', 'b']);

describe('a path', () => {
  it.each([
    ['item', 'item'],
    [at('item', 'key'), 'item.key'],
    [at(at('', 'routes'), 0), 'routes[0]'],
    [at(at(at(at('item', 'versions'), 'a:1'), 'vv'), 'a'), 'item.versions["a:1"].vv.a'],
    [at(at('item', ''), '0'), 'item[""]["0"]'],
    ['', ''],
    [at('', 0), '[0]'],
  ])('of %o reads %s', (path, text) => {
    expect(pathText(path)).toBe(text);
  });
});

describe('a reader', () => {
  const text = (value: unknown, path: string | ReturnType<typeof at>) => readString(value, path);

  it('answers the very value it was given', () => {
    const value = { a: [1, 2] };
    expect(readObject(value, 'x', KEYS)).toBe(value);
    expect(readRecord(value, 'x', (item, path) => readArray(item, path, (n, p) => readInteger(n, p, 1)))).toBe(value);
    expect(readNullable(null, 'x', text)).toBe(null);
    expect(readOptional(undefined, 'x', text)).toBe(undefined);
  });

  const deep = at(at('x', 'list'), 3);
  const wrong: readonly (readonly [message: string, read: () => unknown])[] = [
    ['x: expected an object, got null', () => readObject(null, 'x', KEYS)],
    ['x: expected an object, got []', () => readObject([], 'x', KEYS)],
    ['x.c: expected no such key here, only a, b, got 1', () => readObject({ c: 1 }, 'x', KEYS)],
    [
      'x.__proto__: expected no such key here, only a, b, got 1',
      () => readObject(JSON.parse('{"__proto__":1}'), 'x', KEYS),
    ],
    ['x.list[3]: expected a string, got undefined', () => readString(undefined, deep)],
    ['x.list[3]: expected a string that is not empty, got ""', () => readText('', deep)],
    ['x: expected at least 3 characters, got "ab"', () => readString('ab', 'x', { min: 3 })],
    ['x: expected at most 1 characters, got "ab"', () => readString('ab', 'x', { max: 1 })],
    ['x: expected a string that matches /^b/, got "ab"', () => readString('ab', 'x', { pattern: /^b/ })],
    ['x: expected an integer >= 1, got "1"', () => readInteger('1', 'x', 1)],
    ['x: expected an integer >= 1, got 0', () => readInteger(0, 'x', 1)],
    ['x: expected an integer >= 1, got 1.5', () => readInteger(1.5, 'x', 1)],
    ['x: expected an integer <= 9, got 10', () => readInteger(10, 'x', 1, 9)],
    ['x: expected an integer <= 9007199254740991, got 9007199254740992', () => readInteger(2 ** 53, 'x', 1)],
    ['x: expected true or false, got 0', () => readBoolean(0, 'x')],
    ['x: expected one of p, q, got "r"', () => readOneOf('r', 'x', ['p', 'q'])],
    ['x: expected an array, got {}', () => readArray({}, 'x', text)],
    ['x[1]: expected a string, got 2', () => readArray(['1', 2], 'x', text)],
    ['x.a: expected a string, got 2', () => readRecord({ a: 2 }, 'x', text)],
    ['x: expected a string, got 2', () => readNullable(2, 'x', text)],
    ['x: expected a string, got null', () => readOptional(null, 'x', text)],
  ];

  it.each(wrong)('says "%s"', (message, read) => {
    expect(read).toThrow(expect.objectContaining({ kind: 'invalid', message }));
  });

  it('names the field and keeps the value', () => {
    try {
      readText(7, deep);
    } catch (error) {
      expect(error).toMatchObject({ kind: 'invalid', details: { field: 'x.list[3]', value: 7 } });
    }
    expect.assertions(1);
  });
});
