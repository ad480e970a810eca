/** One bucket: the SDK says where it is and with what rights we ask; every request goes out by our own wire. */

import { fault } from '../../model/fault.ts';
import type { SiteId } from '../../model/site.ts';
import { placed } from '../body.ts';
import { nameOf } from './describe.ts';
import { openWire, type Wire } from './wire.ts';

export interface GcsStoreOptions {
  readonly site: SiteId;
  readonly bucket: string;
  readonly projectId?: string;
  /** Another endpoint than Google's own. Without `credentials` nobody signs in there. */
  readonly apiEndpoint?: string;
  /** A service account's; what the surroundings offer when absent. */
  readonly credentials?: { readonly client_email: string; readonly private_key: string };
  /** So that the service's logs tell who asked. */
  readonly userAgent?: string;
  /** For one request and its answer, bodies that stream aside. */
  readonly requestTimeoutMs?: number;
  /** How long a body may stand still on its way to us. */
  readonly idleTimeoutMs?: number;
}

export type Query = Readonly<Record<string, string>>;

export interface Bucket extends Wire {
  readonly site: SiteId;
  readonly name: string;
  /** The JSON API: all objects, or one of them, or a call on one. */
  objects(query?: Query): string;
  object(key: string, query?: Query, call?: string): string;
  /** New bytes by the JSON API. */
  upload(query: Query): string;
  /** The XML API. */
  xml(key: string, query: Query): string;
  at<Answer>(op: string, key: string, run: () => Promise<Answer>): Promise<Answer>;
}

const REQUEST_TIMEOUT_MS = 60_000;

export async function openBucket(options: GcsStoreOptions): Promise<Bucket> {
  const { site, bucket, projectId, apiEndpoint, credentials } = options;
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS, idleTimeoutMs = REQUEST_TIMEOUT_MS } = options;
  const { Storage } = await import('@google-cloud/storage');
  // Nothing is sent by its methods: they guess content types, repeat requests, and can be neither aborted nor timed.
  const storage = new Storage({
    ...(projectId !== undefined && { projectId }),
    ...(apiEndpoint !== undefined && { apiEndpoint }),
    ...(credentials !== undefined && { credentials }),
  });
  const base = storage.apiEndpoint.replace(/\/+$/, '');
  const signedIn = credentials !== undefined || !storage.customEndpoint;
  const agent = { 'user-agent': options.userAgent ?? 'triplicate' };

  async function headersFor(url: string): Promise<Readonly<Record<string, string>>> {
    if (!signedIn) return agent;
    try {
      const headers = new Headers(await storage.authClient.getRequestHeaders(url));
      return { ...Object.fromEntries(headers), ...agent };
    } catch (error) {
      const told = error instanceof Error ? error.message : String(error);
      throw fault('forbidden', `no credentials for Google Cloud Storage: ${told}`, { retry: 'later', cause: error });
    }
  }

  const bucketPath = `b/${encodeURIComponent(bucket)}`;
  return {
    ...openWire({ requestTimeoutMs, idleTimeoutMs, headersFor }),
    site,
    name: bucket,
    objects: (query = {}) => `${base}/storage/v1/${bucketPath}/o${queryText(query)}`,
    object(key, query = {}, call = '') {
      return `${base}/storage/v1/${bucketPath}/o/${encodeURIComponent(nameOf(key))}${call}${queryText(query)}`;
    },
    upload: (query) => `${base}/upload/storage/v1/${bucketPath}/o${queryText(query)}`,
    xml: (key, query) => `${base}/${encodeURIComponent(bucket)}/${encodeURIComponent(nameOf(key))}${queryText(query)}`,
    async at(op, key, run) {
      try {
        return await run();
      } catch (error) {
        throw placed(error, { site, op, key });
      }
    },
  };
}

function queryText(query: Query): string {
  const pairs = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}
