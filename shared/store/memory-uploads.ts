/** Uploads by parts of the memory driver: parts wait with their upload, or on Azure under the name they are for. */

import { fault, invalid } from '../model/fault.ts';
import { type Content, etagOf } from './memory-content.ts';
import type { PartReceipt, StoreCapabilities } from './store.ts';

export interface MemoryUploads {
  begin(name: string, upload: string): void;
  keep(name: string, upload: string, part: number, content: Content): PartReceipt;
  /** The contents that the receipts stand for, in order; they stay until the upload ends. */
  find(name: string, upload: string, receipts: readonly PartReceipt[]): readonly Content[];
  end(name: string, upload: string): void;
  /** A whole write at the name: parts that wait under the name itself are gone, whoever sent them. */
  discard(name: string): void;
  clear(): void;
}

interface Room {
  readonly name: string;
  readonly parts: Map<string, Content>;
}

export function openUploads(capabilities: StoreCapabilities, sharedParts: boolean): MemoryUploads {
  const { partBytesMin, partsMax } = capabilities;
  const rooms = new Map<string, Room>();

  function roomOf(name: string, upload: string): Room {
    const room = rooms.get(sharedParts ? name : upload);
    if (room?.name === name) return room;
    if (!sharedParts) throw fault('not-found', `no upload ${upload}`, { field: 'upload', value: upload });
    return { name, parts: new Map() };
  }

  function receiptOf(id: string, part: number, content: Content): PartReceipt {
    return { part, receipt: sharedParts ? id : etagOf(content), sizeBytes: content.bytes.length };
  }

  function checkPart(part: number): void {
    if (Number.isInteger(part) && part >= 1 && part <= partsMax) return;
    throw invalid('part', part, `a whole number from 1 to ${partsMax}`);
  }

  return {
    begin(name, upload) {
      if (!sharedParts) rooms.set(upload, { name, parts: new Map() });
    },

    keep(name, upload, part, content) {
      checkPart(part);
      const room = roomOf(name, upload);
      const id = idOf(upload, part);
      room.parts.set(id, content);
      if (sharedParts) rooms.set(name, room);
      return receiptOf(id, part, content);
    },

    find(name, upload, receipts) {
      const { parts } = roomOf(name, upload);
      if (receipts.length === 0) throw invalid('parts', receipts, 'at least one part');
      let previous = 0;
      return receipts.map(({ part, receipt, sizeBytes }, index) => {
        checkPart(part);
        if (part <= previous) throw invalid('parts', part, `a number above ${previous}: parts come in order`);
        previous = part;
        const id = idOf(upload, part);
        const content = parts.get(id);
        if (!content || receiptOf(id, part, content).receipt !== receipt)
          throw fault('not-found', `part ${part} is not there, or another is by now`, { field: 'parts', value: part });
        const actual = content.bytes.length;
        if (actual !== sizeBytes) throw invalid('parts', sizeBytes, `the ${actual} bytes that part ${part} has`);
        if (index < receipts.length - 1 && actual < partBytesMin)
          throw invalid('parts', actual, `at least ${partBytesMin} bytes in every part but the last`);
        return content;
      });
    },

    // Azure has no way to take blocks back: they wait for a whole write there, or for a week.
    end(name, upload) {
      if (!sharedParts && rooms.get(upload)?.name === name) rooms.delete(upload);
    },

    discard(name) {
      if (sharedParts) rooms.delete(name);
    },

    clear: () => rooms.clear(),
  };
}

/** Azure's block id: all writers of a name share one space of them. */
function idOf(upload: string, part: number): string {
  return `${upload}-${part}`;
}
