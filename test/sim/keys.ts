/** The namespace and MAC key of simulated worlds. */

import type { MacKeys } from '#shared/model/marker.ts';

export const NAMESPACE = 'sim';
export const MAC_KEYS: MacKeys = {
  newest: 'k1',
  keys: { k1: new TextEncoder().encode('a secret of the simulated world') },
};
