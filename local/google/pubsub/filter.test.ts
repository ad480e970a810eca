import { describe, expect, test } from 'vitest';
import { GrpcError } from '../grpc.ts';
import { readFilter } from './filter.ts';

describe('a filter', () => {
  const passes: readonly (readonly [filter: string, attributes: Record<string, string>, passes: boolean])[] = [
    ['', {}, true],
    ['attributes:a', { a: '' }, true],
    ['attributes:a', { b: '' }, false],
    ['attributes:"iana.org/language"', { 'iana.org/language': 'en' }, true],
    ['attributes.a = "x"', { a: 'x' }, true],
    ['attributes.a="x"', { a: 'X' }, false],
    ['attributes.a = "x"', {}, false],
    ['attributes.a != "x"', { a: 'y' }, true],
    ['attributes.a != "x"', {}, true],
    ['attributes.a != "x"', { a: 'x' }, false],
    ['attributes.toString = "x"', {}, false],
    ['hasPrefix(attributes.a, "pre")', { a: 'prefix' }, true],
    ['hasPrefix(attributes.a, "pre")', { a: 'suffix' }, false],
    ['hasPrefix(attributes.a, "")', {}, false],
    ['NOT attributes:a', { a: '1' }, false],
    ['-attributes:a', {}, true],
    ['NOT NOT attributes:a', { a: '1' }, true],
    ['attributes:a AND attributes:b', { a: '1' }, false],
    ['attributes:a AND attributes:b AND attributes:c', { a: '1', b: '1', c: '1' }, true],
    ['attributes:a OR attributes:b', { b: '1' }, true],
    ['attributes:a AND (attributes:b OR NOT attributes:c)', { a: '1' }, true],
    ['attributes:a AND (attributes:b OR attributes:c)', { a: '1' }, false],
    ['NOT (attributes:a OR attributes:b)', {}, true],
    ['attributes.a = "say \\"hi\\" \\\\ \\u00e9\\x41\\101\\n"', { a: 'say "hi" \\ éAA\n' }, true],
    ['attributes.AND-1 = "x"', { 'AND-1': 'x' }, true],
  ];

  test.each(passes)('%s of %j is %s', (filter, attributes, expected) => {
    expect(readFilter(filter)(attributes)).toBe(expected);
  });

  const refused = [
    'nonsense(',
    'attributes',
    'attributes.a',
    'attributes.a = x',
    "attributes.a = 'x'",
    'attributes.a == "x"',
    'attributes.a = "x',
    'attributes:a and attributes:b',
    'attributes:a AND attributes:b OR attributes:c',
    'attributes:a OR attributes:b AND attributes:c',
    '(attributes:a',
    'attributes:a)',
    'attributes:a attributes:b',
    'hasPrefix(a, "x")',
    'hasPrefix(attributes.a)',
    'attributes.a > "x"',
    'data = "x"',
    'AND',
    'NOT',
    '""',
  ];

  test.each(refused)('%s is refused', (filter) => {
    expect(() => readFilter(filter)).toThrow(GrpcError);
    expect(() => readFilter(filter)).toThrow(/^Invalid filter: .+\.$/);
  });
});
