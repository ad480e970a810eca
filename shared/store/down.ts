/** Stands in for a store that could not be opened: it answers nothing but why. */

import type { Fault } from '../model/fault.ts';
import type { Cloud, SiteId } from '../model/site.ts';
import type { ObjectStore } from './store.ts';

export function openDownStore(site: SiteId, cloud: Cloud, fault: Fault): ObjectStore {
  const refuse = async (): Promise<never> => {
    throw fault;
  };
  return {
    site,
    // Those that promise least, so that nothing is concluded from them.
    capabilities: {
      cloud,
      history: 'chain',
      exactToken: false,
      checksums: [],
      putBytesMax: 0,
      partBytesMin: 1,
      partsMax: 0,
      objectBytesMax: 0,
    },
    head: refuse,
    versions: refuse,
    get: refuse,
    put: refuse,
    delete: refuse,
    list: refuse,
    copy: refuse,
    createUpload: refuse,
    putPart: refuse,
    completeUpload: refuse,
    abortUpload: refuse,
  };
}
