/** Where pairs of buckets come from: the local world, or addresses on the command line. */

import { readAccess } from '../../functions/entry/environment.ts';
import { type LocalConfig, NAMES } from '../../local/config.ts';
import { toLocalSettings } from '../../local/replication.ts';
import type { Cloud } from '../../shared/model/site.ts';
import type { Access } from '../../shared/world/open.ts';

export interface End {
  readonly cloud: Cloud;
  /** On Azure `account/container`. */
  readonly bucket: string;
  readonly region: string;
}

export interface Pair {
  readonly from: End;
  readonly to: End;
}

const SHAPES: ReadonlyArray<readonly [RegExp, Cloud]> = [
  [/^s3:\/\/([^/]+)\/?$/, 'aws'],
  [/^gs:\/\/([^/]+)\/?$/, 'gcp'],
  [/^az:\/\/([^/]+\/[^/]+)\/?$/, 'azure'],
];
const REGION = 'us-east-1';

/** A whole bucket; what is written there stands below a folder of its own, and is removed again. */
export function readEnd(text: string, env: Readonly<Record<string, string | undefined>>): End {
  for (const [shape, cloud] of SHAPES) {
    const bucket = shape.exec(text)?.[1];
    if (bucket !== undefined) return { cloud, bucket, region: env.AWS_REGION ?? REGION };
  }
  throw new Error(`${text}: expected s3://BUCKET, gs://BUCKET or az://ACCOUNT/CONTAINER`);
}

export function localEnd(cloud: Cloud, { aws, azure }: LocalConfig): End {
  const bucket = cloud === 'azure' ? `${azure.account}/${azure.container}` : NAMES.bucket;
  return { cloud, bucket, region: aws.region };
}

export function localAccess(config: LocalConfig): Access {
  return toLocalSettings(config, { kind: 'memory', folder: '' }).access;
}

/** As a deployment finds its services: by their SDKs, and by the variables that docs/operations.md names. */
export const accessOf = readAccess;
