/** How keys, ids and names of any kind become document ids: in the same order, and readable again as long as they are not long. */

import { createHash } from 'node:crypto';

/** In the order of ASCII, and none of it means anything in a path. */
const LETTERS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
/** Comes after every letter, so a long name comes after all that it begins with. */
const LONG = '~';
/** A document id may have 1,500 bytes; these become 1,440, and a hash of 43 follows. A multiple of 3, so no bits are left over. */
const NAME_BYTES_MAX = 1_080;

/** The order of ids is that of the names' UTF-8 bytes, but for long names that begin alike. */
export function toId(name: string): string {
  const bytes = Buffer.from(name);
  if (bytes.length <= NAME_BYTES_MAX) return toLetters(bytes);
  const hash = createHash('sha256').update(bytes).digest();
  return `${toLetters(bytes.subarray(0, NAME_BYTES_MAX))}${LONG}${toLetters(hash)}`;
}

/** Where the names from this one on begin, and perhaps some that come before it. */
export function firstId(name: string): string {
  return toLetters(Buffer.from(name).subarray(0, NAME_BYTES_MAX));
}

/** An id behind all names that begin so. */
export function idBehind(prefix: string): string {
  const bytes = Buffer.from(prefix);
  if (bytes.length >= NAME_BYTES_MAX) return `${toLetters(bytes.subarray(0, NAME_BYTES_MAX))}${LONG}${LONG}`;
  // No UTF-8 text has this byte, so it comes after all that goes on from here.
  return toLetters(Buffer.concat([bytes, Buffer.of(0xff)]));
}

/** What long names that begin alike have in common; null for all others. */
export function groupOf(id: string): string | null {
  const at = id.indexOf(LONG);
  return at < 0 ? null : id.slice(0, at);
}

/** Six bits a letter, from the first bit on; the last letter is filled with zeros. */
function toLetters(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let count = 0;
  for (const byte of bytes) {
    bits = (bits << 8) | byte;
    count += 8;
    while (count >= 6) {
      count -= 6;
      text += LETTERS[(bits >> count) & 63];
    }
    bits &= (1 << count) - 1;
  }
  return count === 0 ? text : text + LETTERS[(bits << (6 - count)) & 63];
}
