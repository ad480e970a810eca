/** A local Cloud Storage for one test file, and what tests ask of it: the SDK, plain requests, and what was published. */

import { Storage } from '@google-cloud/storage';
import { openCloud } from '../../local/cloud.ts';
import type { Message } from '../../local/delivery.ts';
import { openFaults } from '../../local/faults.ts';
import { type GcsService, startGcs } from '../../local/google/gcs/gcs.ts';

export interface GcsBench {
  readonly gcs: GcsService;
  readonly storage: Storage;
  /** What `projects/...` topics were told, once each, in the order of arrival. */
  readonly published: Message[];
  readonly faults: ReturnType<typeof openFaults>;
  /** What went wrong inside: tests end with an empty list. */
  readonly reports: string[];
  settled(): Promise<void>;
  /** One request by hand; `path` as it shall stand on the wire. */
  ask(method: string, path: string, options?: AskOptions): Promise<Answered>;
  close(): Promise<void>;
}

export interface AskOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly json?: unknown;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any shape
  readonly json: any;
}

export async function openGcs(options: { readonly folder?: string } = {}): Promise<GcsBench> {
  // The SDK would ask a metadata server that is not there, for seconds.
  process.env.METADATA_SERVER_DETECTION = 'none';
  const faults = openFaults(1);
  const reports: string[] = [];
  const report = (line: string) => void reports.push(line);
  const cloud = openCloud({ name: 'gcp', faults, report, ...options });
  // At once and once: these tests look at what is told, not at when.
  faults.add({ effect: { kind: 'delivery', ms: { kind: 'even', min: 0, max: 0 }, twice: 0, never: 0 } });
  const published: Message[] = [];
  cloud.delivery.to('projects/', (message) => void published.push(message));
  const gcs = await startGcs(cloud, { port: 0 });
  const storage = new Storage({
    apiEndpoint: gcs.endpoint,
    projectId: 'local-project',
    useAuthWithCustomEndpoint: false,
    retryOptions: { autoRetry: false },
  });
  return {
    gcs,
    storage,
    published,
    faults,
    reports,
    settled: () => cloud.delivery.settled(),
    async ask(method, path, { headers = {}, body, json } = {}) {
      const sent = json === undefined ? body : JSON.stringify(json);
      const type: Record<string, string> = json === undefined ? {} : { 'content-type': 'application/json' };
      const response = await fetch(gcs.endpoint + path, {
        method,
        headers: { ...type, ...headers },
        redirect: 'manual',
        ...(sent === undefined ? {} : { body: typeof sent === 'string' ? sent : Buffer.from(sent) }),
      });
      const bytes = Buffer.from(await response.arrayBuffer());
      const text = bytes.toString();
      const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
      return {
        status: response.status,
        headers: response.headers,
        bytes,
        text,
        json: isJson ? JSON.parse(text) : null,
      };
    },
    async close() {
      await gcs.stop();
      await cloud.close();
    },
  };
}
