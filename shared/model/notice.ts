/** What a person should hear of. */

import type { SiteId } from './site.ts';

/** Published, too: events/published/schemas/notice.raised.v1.json lists the same. */
export const NOTICES = [
  'site-down',
  'queue-down',
  'ledger-down',
  'out-of-time',
  'bug',
  'site-suspect',
  'brake',
  'corrupt-source',
  'corrupt-replica',
  'unresolved',
  'quarantined',
  'cannot-hold',
  'siblings',
  'refused-row',
] as const;

export interface Notice {
  readonly severity: 'warning' | 'alarm';
  readonly what: (typeof NOTICES)[number];
  readonly site?: SiteId;
  readonly key?: string;
  readonly detail: string;
}
