/** Where the notifications of one cloud come in: its queue, and how to read what stands there. */

import { readChanges } from '../events/changes.ts';
import type { Cloud } from '../shared/model/site.ts';
import type { Topology } from '../shared/model/topology.ts';
import type { Source } from '../shared/replicate/consume.ts';

export function openSource(cloud: Cloud, queue: Source['queue'], topology: Topology): Source {
  return { queue, read: ({ body, attributes = {} }) => readChanges(cloud, { body, attributes }, topology) };
}
