import { describe, expect, it } from 'vitest';
import { nearest } from './nearest.ts';
import { toLine } from './progress.ts';
import { ago, bytes, count, name, openPaint, table, wrap } from './words.ts';

describe('words', () => {
  it('tell amounts and times as people do', () => {
    expect([0, 1, 1023, 1536, 5 * 1024 ** 4].map(bytes)).toEqual([
      '0 bytes',
      '1 byte',
      '1,023 bytes',
      '1.5 KiB',
      '5.0 TiB',
    ]);
    expect([count(1, 'key'), count(2_000, 'key'), count(2, 'more', 'more')]).toEqual(['1 key', '2,000 keys', '2 more']);
    expect([ago(0, 90_000), ago(90_000, 0), ago(0, 5), ago(0, 200_000_000)]).toEqual([
      '1 min ago',
      'in 1 min',
      '5 ms ago',
      '2 d ago',
    ]);
  });

  it('write out what a terminal would act on or a reader would not see', () => {
    expect(name('photos/ä cat.jpg')).toBe('photos/ä cat.jpg');
    expect(['', ' x', 'a\u001b[2J', 'a\nb', 'a\u202eb', 'a\u009bb'].map(name)).toEqual([
      '""',
      '" x"',
      '"a\\u001b[2J"',
      '"a\\nb"',
      '"a\\u{202e}b"',
      '"a\\u{9b}b"',
    ]);
  });

  it('stand in columns, whatever their colour, and in lines that fit', () => {
    const paint = openPaint(true);
    expect(
      table(
        ['A', 'B'],
        [
          [paint('bad', 'no'), '1'],
          ['maybe', '2'],
        ],
      ),
    ).toEqual(['A      B', '\u001b[31mno\u001b[0m     1', 'maybe  2']);
    expect(openPaint(false)('bad', 'no')).toBe('no');
    expect(table(['A'], [])).toEqual([]);
    expect(wrap('one two three', { columns: 9, indent: 2 })).toEqual(['  one two', '  three']);
  });

  it('are found again when they were mistyped', () => {
    const known = ['status', 'explain', 'resync', 'cp'];
    const typed = ['staus', 'sttaus', 'explian', 'expl', 'rsync', 'pc', 'c', 'zzz', ''];
    expect(typed.map((it) => nearest(it, known))).toEqual([
      ...['status', 'status', 'explain', 'explain', 'resync', 'cp', 'cp'],
      ...[null, null],
    ]);
  });

  it('tell how far a copy is', () => {
    expect(toLine(0, 100, 0)).toBe('[........................] 0 %  0 bytes of 100 bytes');
    expect(toLine(50, 100, 1_000)).toBe('[############............] 50 %  50 bytes of 100 bytes, 50 bytes/s');
    expect(toLine(0, 0, 0)).toContain('100 %');
  });
});
