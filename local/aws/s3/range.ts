/** Ranges of bytes, of a read and of the source of a copy. */

import { invalidArgument, refusal } from './refusal.ts';

/** From `start` up to, not including, `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Null where S3 answers with the whole object: several ranges, or what is no range at all. */
export function readRange(source: string, size: number): Range | null {
  const match = /^bytes=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(source);
  if (match === null || (match[1] === '' && match[2] === '')) return null;
  const [first, last] = [match[1] ?? '', match[2] ?? ''];
  const unsatisfiable = () =>
    refusal('InvalidRange', {
      details: { RangeRequested: source, ActualObjectSize: size },
      headers: { 'content-range': `bytes */${size}` },
    });
  if (first === '') {
    const count = Number(last);
    if (count === 0 || size === 0) throw unsatisfiable();
    return { start: Math.max(0, size - count), end: size };
  }
  const start = Number(first);
  const end = last === '' ? size : Math.min(Number(last) + 1, size);
  if (last !== '' && Number(last) < start) return null;
  if (start >= size) throw unsatisfiable();
  return { start, end };
}

/** The source of a copied part must lie within the object. */
export function readSourceRange(source: string, size: number): Range {
  const match = /^bytes=(\d+)-(\d+)$/.exec(source);
  const name = 'x-amz-copy-source-range';
  if (match === null)
    throw invalidArgument(
      name,
      source,
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the ' +
        'zero-based offsets of the first and last bytes to copy',
    );
  const [start, end] = [Number(match[1]), Number(match[2]) + 1];
  if (start >= end) throw invalidArgument(name, source, 'The x-amz-copy-source-range value must not be reversed');
  if (end > size)
    throw invalidArgument(name, source, `Range specified is not valid for source object of size: ${size}`);
  return { start, end };
}
