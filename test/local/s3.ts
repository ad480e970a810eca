/** A local S3 of its own for a test, the SDK that talks to it, and the notifications it sent. */

import { S3Client, type S3ClientConfig, S3ServiceException } from '@aws-sdk/client-s3';
import { type S3Service, startS3 } from '../../local/aws/s3/s3.ts';
import { type CloudOptions, type OpenCloud, openCloud } from '../../local/cloud.ts';

export interface TestS3 {
  readonly cloud: OpenCloud;
  readonly service: S3Service;
  readonly endpoint: string;
  readonly client: S3Client;
  /** What went wrong inside: a test that expects nothing of the sort looks here. */
  readonly reports: readonly string[];
  connect(config?: S3ClientConfig): S3Client;
  stop(): Promise<void>;
}

export async function openTestS3(options: Partial<CloudOptions> = {}): Promise<TestS3> {
  const reports: string[] = [];
  const cloud = openCloud({ name: 'aws', report: (line) => reports.push(line), ...options });
  const service = await startS3(cloud, { port: 0 });
  const endpoint = `http://127.0.0.1:${service.port}`;
  const clients: S3Client[] = [];
  const connect = (config: S3ClientConfig = {}) => {
    const client = new S3Client({
      endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local-secret' },
      forcePathStyle: true,
      maxAttempts: 1,
      ...config,
    });
    clients.push(client);
    return client;
  };
  return {
    cloud,
    service,
    endpoint,
    client: connect(),
    reports,
    connect,
    async stop() {
      for (const client of clients) client.destroy();
      await service.stop();
      await cloud.close();
    },
  };
}

/** Status and code of a refused call; fails where it was not refused. */
export async function refusalOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof S3ServiceException) return `${error.$metadata.httpStatusCode} ${error.name}`;
    throw error;
  }
  return 'not refused';
}
