/** How the handling of one change ended; runtimes map it to acknowledge, redeliver or dead-letter. */

import type { Fault } from './fault.ts';

export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'skipped'; readonly reason: 'not-routed' | 'reserved' | 'already-known' }
  /** Durable in the ledger, but not finished: the sweep goes on with it. */
  | { readonly kind: 'later'; readonly reason: 'site-down' | 'under-way' | 'contended' | 'out-of-time' }
  /** Nothing was recorded: the message must come again. */
  | { readonly kind: 'retry'; readonly fault: Fault }
  | { readonly kind: 'failed'; readonly fault: Fault };
