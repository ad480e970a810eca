/** What Triplicate tells the world outside of itself: facts, after they have happened. */

import type { KeyItem, LogicalVersion } from './key-item.ts';
import type { LogEntry } from './log-entry.ts';
import type { Notice } from './notice.ts';
import type { SiteId } from './site.ts';

export type Happening =
  /** Stands in the log of its key. Told at least once. */
  | {
      readonly kind: 'logged';
      readonly entry: LogEntry;
      /** The version the entry is about, while the ledger still knows it. */
      readonly version?: LogicalVersion;
      readonly copyOf?: KeyItem['copyOf'];
    }
  /** A version stands at all sites where it should. Lost when the worker dies just after the ledger has learned it. */
  | {
      readonly kind: 'replicated';
      readonly at: number;
      readonly key: string;
      readonly version: LogicalVersion;
      readonly sites: readonly SiteId[];
    }
  /** Told once, when it is noticed. */
  | { readonly kind: 'noticed'; readonly at: number; readonly notice: Notice };

/** Must return at once and never throw. */
export type Publish = (happening: Happening) => void;
