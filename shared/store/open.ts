/** The object store of a site as the core wants it: the cloud's driver, asked again where that is safe, left alone while it is silent. */

import { invalid } from '../model/fault.ts';
import type { Cloud, Site } from '../model/site.ts';
import type { AzureBlobStoreOptions } from './azblob.ts';
import type { GcsStoreOptions } from './gcs.ts';
import { type Arrived, withArrivals } from './layers/arrivals.ts';
import { withBreaker } from './layers/breaker.ts';
import { withCanonicalNames } from './layers/canonical.ts';
import { type RetryOptions, withRetry } from './layers/retry.ts';
import type { S3StoreOptions } from './s3.ts';
import type { ObjectStore } from './store.ts';

/** How to reach the clouds, where that is not what their SDKs find by themselves. */
export interface StoreAccess {
  readonly aws?: Omit<S3StoreOptions, 'site' | 'bucket' | 'region'>;
  readonly gcp?: Omit<GcsStoreOptions, 'site' | 'bucket'>;
  /** By storage account. */
  readonly azure?: Readonly<Record<string, Omit<AzureBlobStoreOptions, 'site' | 'container'>>>;
}

export interface OpenStore {
  readonly store: ObjectStore;
  /** Lets go of its connections. */
  close(): void;
}

type Opened = ObjectStore & { close?(): void };
type Opener = (site: Site, access: StoreAccess, writer: string | undefined) => Promise<Opened>;

const OPENERS: Readonly<Record<Cloud, Opener>> = {
  async aws({ id, bucket, region }, { aws = {} }) {
    const { openS3Store } = await import('./s3.ts');
    return openS3Store({ ...aws, site: id, bucket, region });
  },
  async gcp({ id, bucket }, { gcp = {} }) {
    const { openGcsStore } = await import('./gcs.ts');
    return openGcsStore({ ...gcp, site: id, bucket });
  },
  async azure({ id, bucket }, { azure = {} }, writer) {
    const [account = '', container] = bucket.split('/');
    if (container === undefined) throw invalid(`sites.${id}.bucket`, bucket, 'account/container');
    const { openAzureBlobStore } = await import('./azblob.ts');
    const known = azure[account] ?? { url: `https://${account}.blob.core.windows.net` };
    const named = writer === undefined ? {} : { requestIds: requestIdsOf(writer) };
    return openAzureBlobStore({ ...named, ...known, site: id, container });
  },
};

/** How the requests of the replicator of a namespace are called, where the service passes that on to who hears of writes. */
export function requestIdsOf(namespace: string): string {
  return `triplicate-${namespace}-`;
}

/**
 * The bucket is asked for its properties; it must exist. `writer` is the namespace for which replicas are written: who
 * writes as a client leaves it out, because nobody may be told of what carries it.
 */
export async function openStore(
  site: Site,
  access: StoreAccess,
  options: RetryOptions & { readonly arrived?: Arrived },
  writer?: string,
): Promise<OpenStore> {
  const opened = await OPENERS[site.cloud](site, access, writer);
  const { arrived } = options;
  const told = arrived === undefined ? opened : withArrivals(opened, arrived);
  const patient = withBreaker(withRetry(told, options), options);
  return { store: withCanonicalNames(patient, site.cloud), close: () => opened.close?.() };
}
