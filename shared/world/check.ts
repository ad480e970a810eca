/** Refuses a world in which a promise of the protocol could not be kept, before anything is written. */

import { fault, invalid } from '../model/fault.ts';
import type { Topology } from '../model/topology.ts';
import type { World } from './world.ts';

/** Throws a Fault that names the site. */
export function checkStores(topology: Topology, stores: World['stores']): void {
  for (const { id, cloud, mode } of topology.sites) {
    const store = stores[id];
    if (store === undefined) throw fault('invalid', `site ${id} has no store`, { site: id, field: 'stores' });
    const { capabilities } = store;
    if (capabilities.cloud !== cloud) throw invalid(`sites.${id}.cloud`, cloud, JSON.stringify(capabilities.cloud));
    const provesWrites = capabilities.exactToken || capabilities.history === 'chain';
    // The token covers bytes alone and the bucket forgets: a client's change of metadata could vanish unseen.
    if (!provesWrites && mode === 'active')
      throw invalid(`sites.${id}.mode`, mode, '"passive", or a bucket with versioning');
  }
}
