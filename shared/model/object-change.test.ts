/** Shows that a notification survives the queue, and that a defective one says which field is wrong. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from './fault.ts';
import { KEY_UNITS_MAX } from './key-map.ts';
import { isToldBy, type ObjectChange, readObjectChange, toObjectChangeText } from './object-change.ts';

const change: ObjectChange = { site: 'a', key: 'docs/a.txt', kind: 'put', phys: 'v:1' };

function refusal(text: string): string {
  try {
    readObjectChange(text);
  } catch (error) {
    if (error instanceof Fault && error.kind === 'invalid' && error.retry === 'never') return error.message;
    throw error;
  }
  return 'read';
}

function changed(changes: object): string {
  return JSON.stringify({ ...change, ...changes });
}

describe('a version that a notification names', () => {
  it.each([
    ['v:a1', 'v:a1', true],
    ['"0x1"', '2026-01-01T00:00:00.0000000Z:"0x1"', true],
    ['"0x1"', '"0x1"', true],
    ['"0x1"', '2026-01-01T00:00:00.0000000Z:"0x11"', false],
    ['v:1', 'v:11', false],
    ['v:1', 'v:v:1x', false],
    ['g:7.1', 'g:17.1', false],
  ])('%s against %s', (told, phys, is) => {
    expect(isToldBy(told, phys)).toBe(is);
  });
});

describe('a notification in a queue', () => {
  it('comes back as it was sent, whatever its key', () => {
    const anyKey = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });
    const anyChange: fc.Arbitrary<ObjectChange> = fc
      .record({
        site: fc.constantFrom('a', 'aws', '12345678'),
        key: anyKey,
        kind: fc.constantFrom<ObjectChange['kind'][]>('put', 'delete', 'metadata'),
        phys: fc.option(fc.string(), { nil: undefined }),
      })
      .map(({ phys, ...rest }) => (phys === undefined ? rest : { ...rest, phys }));
    fc.assert(
      fc.property(anyChange, (sent) => {
        expect(readObjectChange(toObjectChangeText(sent))).toEqual(sent);
      }),
    );
  });

  it.each<[message: string, text: string]>([
    ['change: expected JSON, got ""', ''],
    ['change: expected JSON, got "{\\"site\\":"', '{"site":'],
    ['change: expected an object, got null', 'null'],
    ['change: expected an object, got []', '[]'],
    ['change: expected an object, got "put"', '"put"'],
    ['change.site: expected a site id, got undefined', changed({ site: undefined })],
    ['change.site: expected a site id, got "AWS"', changed({ site: 'AWS' })],
    ['change.site: expected a site id, got "~"', changed({ site: '~' })],
    ['change.site: expected a site id, got "123456789"', changed({ site: '123456789' })],
    ['change.key: expected a string, got undefined', changed({ key: undefined })],
    ['change.key: expected a string, got 7', changed({ key: 7 })],
    ['key: expected at least one character, got ""', changed({ key: '' })],
    ['key: expected well-formed Unicode, got "\\ud800"', changed({ key: '\ud800' })],
    ['change.kind: expected put, delete or metadata, got undefined', changed({ kind: undefined })],
    ['change.kind: expected put, delete or metadata, got "copy"', changed({ kind: 'copy' })],
    ['change.phys: expected a string, got null', changed({ phys: null })],
    ['change.size: expected no such key here, only site, key, kind, phys, got 5', changed({ size: 5 })],
  ])('is refused: %s', (message, text) => {
    expect(refusal(text)).toBe(message);
  });

  it('is refused when its key is longer than any cloud allows', () => {
    expect(refusal(changed({ key: 'k'.repeat(KEY_UNITS_MAX) }))).toBe('read');
    expect(refusal(changed({ key: 'k'.repeat(KEY_UNITS_MAX + 1) }))).toMatch(/^key: expected at most 1024 /);
  });
});
