/** Uploads by parts in files: each part a file of its own, joined once, by whoever moves the upload's folder away. */

import { createReadStream } from 'node:fs';
import { readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Checksums, combineChecksums, openChecksums } from '../../model/crc.ts';
import { invalid } from '../../model/fault.ts';
import { bytesOf, checkSums, sizeOf } from '../body.ts';
import type { PartReceipt, StreamedPart, Sums } from '../store.ts';
import { gone, ifThere, makeFolder, syncFolder, writeFile } from './disk.ts';

export interface Uploads {
  begin(key: string): Promise<string>;
  keep(
    key: string,
    upload: string,
    part: number,
    body: Uint8Array | StreamedPart,
    expected?: Sums,
  ): Promise<PartReceipt>;
  /** Writes all parts into one new file; the upload stays until it is taken away. */
  join(key: string, upload: string, receipts: readonly PartReceipt[], path: string): Promise<Checksums>;
  /** False when somebody else has taken it. */
  take(upload: string): Promise<boolean>;
  giveBack(upload: string): Promise<void>;
  end(upload: string): Promise<void>;
}

export const PARTS_MAX = 10_000;
const ID = /^[A-Za-z0-9_-]+$/;

export function openUploads(folder: string, temp: string, nextId: () => string): Uploads {
  const folderOf = (upload: string) => join(folder, upload);
  const takenOf = (upload: string) => join(folder, `${upload}.taken`);
  const partOf = (upload: string, part: number) => join(folderOf(upload), `${part}.part`);

  async function find(key: string, upload: string): Promise<void> {
    const known = ID.test(upload) ? await ifThere(() => readFile(join(folderOf(upload), 'key'), 'utf8')) : null;
    if (known !== key) throw gone('upload', upload);
  }

  return {
    async begin(key) {
      const upload = nextId();
      await makeFolder(folderOf(upload));
      await writeFile(join(folderOf(upload), 'key'), [Buffer.from(key)]);
      await syncFolder(folderOf(upload));
      return upload;
    },

    async keep(key, upload, part, body, expected) {
      checkPart(part);
      await find(key, upload);
      const sums = openChecksums();
      const draft = join(temp, nextId());
      async function* pieces(): AsyncGenerator<Uint8Array> {
        for await (const piece of body instanceof Uint8Array ? [body] : bytesOf(body)) {
          sums.update(piece);
          yield piece;
        }
        checkSums(expected ?? (body instanceof Uint8Array ? {} : body.sums()), sums.result());
      }
      await writeFile(draft, pieces());
      const moved = await ifThere(async () => {
        await rename(draft, partOf(upload, part));
        await syncFolder(folderOf(upload));
        return true;
      });
      if (moved) return { part, receipt: sums.result().crc64nvme, sizeBytes: sizeOf(body) };
      await rm(draft, { force: true });
      throw gone('upload', upload);
    },

    async join(key, upload, receipts, path) {
      await find(key, upload);
      checkOrder(receipts);
      const all: Checksums[] = [];
      async function* parts(): AsyncGenerator<Uint8Array> {
        for (const { part, receipt, sizeBytes } of receipts) {
          const found = await ifThere(() => stat(partOf(upload, part)));
          if (found === null) throw gone('parts', `part ${part}`);
          const sums = openChecksums();
          for await (const piece of createReadStream(partOf(upload, part))) {
            sums.update(piece);
            yield piece;
          }
          const actual = sums.result();
          if (actual.crc64nvme !== receipt) throw gone('parts', `part ${part} of that receipt`);
          if (actual.sizeBytes !== sizeBytes) throw invalid('parts', sizeBytes, `the ${actual.sizeBytes} bytes it has`);
          all.push(actual);
        }
      }
      await writeFile(path, parts());
      return combineChecksums(all);
    },

    async take(upload) {
      const taken = await ifThere(async () => {
        await rename(folderOf(upload), takenOf(upload));
        return true;
      });
      return taken === true;
    },

    giveBack: (upload) => rename(takenOf(upload), folderOf(upload)),

    async end(upload) {
      if (!ID.test(upload)) return;
      await rm(takenOf(upload), { recursive: true, force: true });
      await rm(folderOf(upload), { recursive: true, force: true });
    },
  };
}

function checkPart(part: number): void {
  if (Number.isInteger(part) && part >= 1 && part <= PARTS_MAX) return;
  throw invalid('part', part, `a whole number from 1 to ${PARTS_MAX}`);
}

function checkOrder(receipts: readonly PartReceipt[]): void {
  if (receipts.length === 0) throw invalid('parts', receipts, 'at least one part');
  let previous = 0;
  for (const { part } of receipts) {
    checkPart(part);
    if (part <= previous) throw invalid('parts', part, `a number above ${previous}: parts come in order`);
    previous = part;
  }
}
