/** What Triplicate told people while it was measured: a figure with troubles in it is another figure. */

import type { Noticed } from './processes/worker.ts';
import type { Table } from './result.ts';

/** Nothing when there was nothing to tell. */
export function toNoticeTable(told: ReadonlyArray<readonly [where: string, noticed: Noticed]>): readonly Table[] {
  const rows = told.flatMap(([where, noticed]) => Object.entries(noticed).map(([what, times]) => [where, what, times]));
  return rows.length === 0
    ? []
    : [{ title: 'What Triplicate reported meanwhile', columns: ['where', 'what', 'how often'], rows }];
}
