/** Lists documents in the order of their names, which is that of their ids but for long names that begin alike. */

import { fault } from '../../model/fault.ts';
import type { Connection, Row } from './connection.ts';
import { firstId, groupOf, idBehind, toId } from './ids.ts';

export interface Listing {
  readonly parent: string;
  readonly collectionId: string;
  readonly fields: readonly string[];
  readonly prefix: string;
  readonly after: string;
  readonly limit: number;
  readonly nameOf: (row: Row) => string;
}

const PAGE_MAX = 300;
const PAGES_MAX = 100_000;
const NAME = { field: { fieldPath: '__name__' }, direction: 'ASCENDING' } as const;

/** The first rows whose name begins with `prefix` and comes after `after`. */
export async function listNames(connection: Connection, listing: Listing): Promise<readonly Row[]> {
  const { parent, collectionId, prefix, after, limit, nameOf } = listing;
  const path = `${parent}/${collectionId}`;
  const reference = (id: string) => ({ referenceValue: connection.nameOf(`${path}/${id}`) });
  const bytesOf = (row: Row) => Buffer.from(nameOf(row));
  const isWanted = (row: Row) => {
    const name = nameOf(row);
    return name.startsWith(prefix) && Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0;
  };
  const endAt = prefix === '' ? null : { values: [reference(idBehind(prefix))], before: true };
  const isAfter = Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0;
  const begin = isAfter ? after : prefix;
  // A long name may come after others of its group that stand before it.
  const begins = groupOf(toId(begin)) === null && isAfter;
  let startAt = begin === '' ? null : { values: [reference(firstId(begin))], before: !begins };
  const found: Row[] = [];
  const size = Math.min(PAGE_MAX, limit);
  for (let page = 0; page < PAGES_MAX; page++) {
    const rows = await connection.query('list', parent, {
      from: [{ collectionId }],
      select: { fields: listing.fields.map((fieldPath) => ({ fieldPath })) },
      orderBy: [NAME],
      limit: { value: size },
      ...(startAt === null ? {} : { startAt }),
      ...(endAt === null ? {} : { endAt }),
    });
    found.push(...rows.filter(isWanted));
    const last = rows.at(-1);
    const isWhole = last === undefined || rows.length < size;
    // Where a group goes on, one of its later rows may come first.
    if (isWhole || (found.length >= limit && groupOf(last.id) === null))
      return found.sort((a, b) => Buffer.compare(bytesOf(a), bytesOf(b))).slice(0, limit);
    startAt = { values: [reference(last.id)], before: false };
  }
  throw fault('internal', `Firestore, list: the listing of ${path} does not end`);
}
