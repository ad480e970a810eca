/** From a message of any cloud to the changes the rest understands: whose bucket it was, and what the key is called. */

import { invalid } from '../shared/model/fault.ts';
import { fromNativeKey } from '../shared/model/key-map.ts';
import { type ObjectChange, readObjectChange } from '../shared/model/object-change.ts';
import type { Cloud } from '../shared/model/site.ts';
import type { Topology } from '../shared/model/topology.ts';
import { readAzureMessage } from './azblob.ts';
import type { BucketEvent, EventReader, RawMessage } from './bucket-event.ts';
import { readGcsMessage } from './gcs.ts';
import { readS3Message } from './s3.ts';

const READERS: Readonly<Record<Cloud, EventReader>> = {
  aws: readS3Message,
  gcp: readGcsMessage,
  azure: readAzureMessage,
};

/** How a change begins that one of our own workers told once more: no message of a cloud does. */
const OUR_OWN = '{"site":';

/** Fault 'invalid' names the place in the message; a bucket that is no site of ours is such a fault, too. */
export function readChanges(cloud: Cloud, message: RawMessage, topology: Topology): readonly ObjectChange[] {
  if (message.body.startsWith(OUR_OWN)) return [readObjectChange(message.body)];
  return READERS[cloud](message).flatMap((event) => toChange(event, topology));
}

function toChange(event: BucketEvent, { sites }: Topology): readonly ObjectChange[] {
  const site = sites.find(({ cloud, bucket }) => cloud === event.cloud && bucket === event.bucket);
  if (site === undefined)
    throw invalid(
      'bucket',
      event.bucket,
      `a ${event.cloud} bucket of the configuration: ${namesOf(event.cloud, sites)}`,
    );
  const key = fromNativeKey(event.cloud, event.name);
  // A name that no key has: the objects we keep under hashes carry their key inside, and passes find them.
  if (key === null) return [];
  const { kind, phys } = event;
  return [{ site: site.id, key, kind, ...(phys === undefined ? {} : { phys }) }];
}

function namesOf(cloud: Cloud, sites: Topology['sites']): string {
  return (
    sites
      .filter((site) => site.cloud === cloud)
      .map(({ bucket }) => bucket)
      .join(', ') || 'none'
  );
}
