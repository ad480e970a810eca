import { describe, expect, it } from 'vitest';
import { openChecksums } from '../model/crc.ts';
import { type Branch, split } from './split.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

/** Ten pieces of a letter each, which tells how many were taken. */
function letters() {
  const source = { taken: 0, returned: false, body };
  async function* body(): AsyncGenerator<Uint8Array> {
    try {
      for (const letter of 'abcdefghij') {
        source.taken += 1;
        yield bytes(letter);
      }
    } finally {
      source.returned = true;
    }
  }
  return source;
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  let text = '';
  for await (const piece of body) text += new TextDecoder().decode(piece);
  return text;
}

describe('one stream for several readers', () => {
  it('gives all of it to each, whoever is first, and sums it once', async () => {
    const { branches, ended, sums } = split(letters().body(), 3, 1);
    expect(await Promise.all(branches.toReversed().map((it) => textOf(it.bytes)))).toEqual(Array(3).fill('abcdefghij'));
    await ended;
    const whole = openChecksums();
    whole.update(bytes('abcdefghij'));
    expect(sums()).toEqual(whole.result());
  });

  it('goes no further ahead of the slowest than it may hold', async () => {
    const source = letters();
    const { branches } = split(source.body(), 2, 3);
    const [fast, slow] = branches.map(({ bytes: it }) => it[Symbol.asyncIterator]());
    const read = async () => new TextDecoder().decode((await fast?.next())?.value);
    expect([await read(), await read(), await read(), await read()].join('')).toBe('abcd');
    const next = read();
    await new Promise((resolve) => setImmediate(resolve));
    expect(source.taken).toBe(4);
    expect(new TextDecoder().decode((await slow?.next())?.value)).toBe('a');
    expect(await next).toBe('e');
  });

  it('waits for nobody who has left, and ends its source when all have', async () => {
    const source = letters();
    const { branches, ended } = split(source.body(), 2, 0);
    branches[0]?.leave();
    expect(await textOf((branches[1] as Branch).bytes)).toBe('abcdefghij');
    await ended;
    const other = letters();
    const left = split(other.body(), 2, 0);
    for (const branch of left.branches) branch.leave();
    await left.ended;
    expect(other).toMatchObject({ taken: 1, returned: true });
  });

  it('fails for all of them as its source fails', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield bytes('a');
      throw new Error('the source broke');
    }
    const { branches, ended } = split(broken(), 2, 10);
    for (const branch of branches) await expect(textOf(branch.bytes)).rejects.toThrow('the source broke');
    await expect(ended).rejects.toThrow('the source broke');
  });
});
