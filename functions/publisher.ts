/** Publishes what happens as CloudEvents, one line of JSON for each. */

import { toCloudEvent } from '../events/published/cloud-event.ts';
import type { Publish } from '../shared/model/happening.ts';
import type { Topology } from '../shared/model/topology.ts';

export function openPublisher({ namespace }: Topology, write: (line: string) => void): Publish {
  return (happening) => write(JSON.stringify(toCloudEvent(happening, namespace)));
}
