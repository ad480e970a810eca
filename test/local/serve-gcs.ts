/** A local Cloud Storage in a process of its own, to be killed. */

import { openCloud } from '../../local/cloud.ts';
import { startGcs } from '../../local/google/gcs/gcs.ts';

const cloud = openCloud({ name: 'gcp', folder: String(process.argv[2]) });
const gcs = await startGcs(cloud, { port: 0 });
gcs.createBucket('killed');
process.send?.(gcs.endpoint);
