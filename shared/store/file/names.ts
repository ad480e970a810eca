/** Keys as names of folders: any key, on any file system, apart from every other key and inside the store's own folder. */

/**
 * Lower-case letters, digits and two signs stand for themselves, so nothing hangs on whether the file system tells `A`
 * from `a`, on dots, slashes or spaces. Long names go on in a folder below: a part that goes on ends in `+`, the last
 * one in `=`.
 */
const PART_LENGTH = 120;
const PLAIN = /[a-z0-9_-]/;
const GOES_ON = '+';
const ENDS = '=';

export function encodeKey(key: string): string {
  let name = '';
  for (const byte of Buffer.from(key)) {
    const letter = String.fromCharCode(byte);
    name += PLAIN.test(letter) ? letter : `%${byte.toString(16).padStart(2, '0')}`;
  }
  return name;
}

/** Names of folders from the outermost to the one that is the key's own. */
export function foldersOf(key: string): readonly string[] {
  const parts = encodeKey(key).match(new RegExp(`.{1,${PART_LENGTH}}`, 'g')) ?? [];
  return parts.map((part, index) => part + (index === parts.length - 1 ? ENDS : GOES_ON));
}

/** What a folder's name says; null for folders that are none of ours. */
export function readFolder(name: string): { readonly text: string; readonly ends: boolean } | null {
  const sign = name.at(-1);
  if (sign !== ENDS && sign !== GOES_ON) return null;
  return { text: name.slice(0, -1), ends: sign === ENDS };
}

export function decodeKey(name: string): string {
  return decodeURIComponent(name);
}
