import fc from 'fast-check';
import { expect, it } from 'vitest';
import { checkParts, checkSums, toBlocks, verified } from './body.ts';

async function collect(body: AsyncIterable<Uint8Array> | Uint8Array, blockBytes: number, bytesMax = 1000) {
  const blocks: { text: string; last: boolean }[] = [];
  for await (const { bytes, last } of toBlocks(body, blockBytes, bytesMax))
    blocks.push({ text: Buffer.from(bytes).toString(), last });
  return blocks;
}

/** All pieces in one buffer, as file readers do. */
async function* reused(pieces: readonly string[]): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(100);
  for (const piece of pieces) yield buffer.subarray(0, buffer.write(piece));
}

it('a body is cut into full blocks and a last one, however it comes', async () => {
  const pieces = fc.array(fc.stringMatching(/^[a-z]{0,9}$/), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(pieces, fc.integer({ min: 1, max: 8 }), async (given, blockBytes) => {
      const whole = given.join('');
      for (const body of [reused(given), Buffer.from(whole)]) {
        const blocks = await collect(body, blockBytes);
        expect(blocks.map(({ text }) => text).join('')).toBe(whole);
        expect(blocks.map(({ last }) => last)).toEqual(blocks.map((_, index) => index === blocks.length - 1));
        for (const { text } of blocks.slice(0, -1)) expect(text).toHaveLength(blockBytes);
        expect(blocks).toHaveLength(Math.max(1, Math.ceil(whole.length / blockBytes)));
      }
    }),
  );
});

it('no more of a body is read than the block that is waited for needs', async () => {
  let read = 0;
  async function* counted() {
    for (; read < 100; ) {
      read++;
      yield Buffer.from('ab');
    }
  }
  const blocks = toBlocks(counted(), 4, 1000);
  await blocks.next();
  expect(read).toBe(3);
  await blocks.return(undefined);
});

it('a body that is too large is refused as soon as that is seen', async () => {
  await expect(collect(reused(['abcd', 'efgh']), 100, 7)).rejects.toMatchObject({ kind: 'too-large' });
});

it('only checksums that are known on both sides are compared', () => {
  checkSums({ crc32c: 'a' }, { crc64nvme: 'b' });
  checkSums(undefined, { crc32c: 'a' });
  expect(() => checkSums({ crc32c: 'a', crc64nvme: 'b' }, { crc32c: 'a', crc64nvme: 'c' })).toThrow(/crc64nvme/);
});

it.each([
  [{ sizeBytes: 3 }, 'sizeBytes'],
  [{ sizeBytes: 4, crc32c: 'AAAAAA==' }, 'crc32c'],
  [{ sizeBytes: 4, md5: 'x' }, 'md5'],
])('a whole body that is not what was stored ends in a fault: %j', async (stored, field) => {
  const reading = async () => {
    for await (const piece of verified(reused(['abcd']), stored, { key: 'k' })) piece.fill(0);
  };
  await expect(reading()).rejects.toMatchObject({ kind: 'corrupt', details: { key: 'k', field } });
});

it.each([[[]], [[2, 1]], [[1, 1]], [[0]], [[11]]])(
  'parts that are none, unknown or out of order are invalid: %j',
  (parts) => {
    expect(() =>
      checkParts(
        parts.map((part) => ({ part })),
        10,
      ),
    ).toThrow(/part/);
  },
);
