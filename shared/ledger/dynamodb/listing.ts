/** Lists names that are spread over several partition keys in one order: each is read by pages, the least name goes first. */

import { fault } from '../../model/fault.ts';
import { countOf, isLong, nameOf, type Row } from './rows.ts';

export interface Page {
  readonly rows: readonly Row[];
  /** Present: there is more after this row. */
  readonly next?: Row;
}

/** Reads one page of one partition key, in the order of sort keys. */
export type ReadPage = (partition: string, limit: number, after: Row | undefined) => Promise<Page>;

export interface Listing {
  readonly prefix: string;
  /** Exclusive. */
  readonly after: string;
  readonly limit: number;
}

interface Found {
  readonly name: string;
  readonly bytes: Buffer;
  readonly row: Row;
}

interface Lane {
  readonly partition: string;
  waiting: Found[];
  /** null: all of it was read. */
  next: Row | 'start' | null;
}

/** Names do not fall evenly: a little more than the fair share saves most second pages. */
const PAGE_SLACK = 4;
/** More than a table of terabytes has. */
const PAGES_MAX = 1_000_000;

export async function listMerged(
  partitions: readonly string[],
  { prefix, after, limit }: Listing,
  read: ReadPage,
): Promise<readonly Found[]> {
  const size = Math.ceil(limit / partitions.length) + PAGE_SLACK;
  const lanes = partitions.map((partition): Lane => ({ partition, waiting: [], next: 'start' }));
  const afterBytes = Buffer.from(after);

  async function refill(lane: Lane): Promise<void> {
    for (let pages = 0; lane.next !== null; pages++) {
      if (pages === PAGES_MAX) throw fault('internal', `DynamoDB: the listing of ${lane.partition} does not end`);
      const page = await read(lane.partition, size, lane.next === 'start' ? undefined : lane.next);
      for (const row of page.rows) {
        const found = { name: nameOf(row), bytes: Buffer.from(nameOf(row)), row };
        // Revision 0: there is no item, only a mark.
        if (countOf(row, 'rev', found.name) === 0 || !found.name.startsWith(prefix)) continue;
        if (Buffer.compare(found.bytes, afterBytes) > 0) lane.waiting.push(found);
      }
      lane.next = page.next ?? null;
      const last = page.rows.at(-1);
      // Long names that begin alike are in no order, so all of them are needed before one is given out.
      const inOrder = last === undefined || !isLong(last);
      if (inOrder && lane.waiting.length > 0) break;
    }
    lane.waiting.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  }

  const listed: Found[] = [];
  while (listed.length < limit) {
    await Promise.all(lanes.filter(({ waiting, next }) => waiting.length === 0 && next !== null).map(refill));
    const least = lanes.reduce<Lane | null>((best, lane) => (isBefore(lane, best) ? lane : best), null);
    if (least === null) break;
    listed.push(least.waiting.shift() as Found);
  }
  return listed;
}

function isBefore(lane: Lane, other: Lane | null): boolean {
  const [mine] = lane.waiting;
  const theirs = other?.waiting[0];
  return mine !== undefined && (theirs === undefined || Buffer.compare(mine.bytes, theirs.bytes) < 0);
}
