/** Three local clouds and an application that uses them by their SDKs; what is deployed is told where they are. */

import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { BlobServiceClient } from '@azure/storage-blob';
import { Storage } from '@google-cloud/storage';
import { readEnvironment } from '../../functions/entry/environment.ts';
import { ANY_PORTS, type LocalConfig } from '../../local/config.ts';
import { type LocalWorld, startLocalWorld } from '../../local/world.ts';
import { createLedgerTable } from '../../shared/ledger/dynamodb.ts';
import { plantSentinel } from '../../shared/replicate/sentinel.ts';
import { openWorld } from '../../shared/world/open.ts';

export type CloudName = 'aws' | 'gcp' | 'azure';

export interface EntryWorld {
  readonly clouds: LocalWorld;
  /** For the process that is to serve these clouds. */
  readonly environment: Readonly<Record<string, string>>;
  write(cloud: CloudName, key: string, text: string): Promise<void>;
  /** What the application finds there; null: nothing. */
  read(cloud: CloudName, key: string): Promise<string | null>;
  /** Until every cloud shows this text. */
  arrived(key: string, text: string): Promise<void>;
  stop(): Promise<void>;
}

const TRIES_MAX = 2_000;
const TRY_MS = 25;
const SECRET = Buffer.alloc(16, 'secret');

export async function startEntryWorld(): Promise<EntryWorld> {
  const clouds = await startLocalWorld({ ports: ANY_PORTS });
  const { aws, gcp, azure } = clouds.config;
  const environment = toEnvironment(clouds.config);
  const { endpoint, region, accessKeyId, secretAccessKey } = aws;
  const s3 = new S3Client({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
  const bucket = new Storage({ projectId: gcp.projectId, apiEndpoint: gcp.storageEndpoint }).bucket(gcp.bucket);
  const container = BlobServiceClient.fromConnectionString(azure.connectionString).getContainerClient(azure.container);
  await prepare(environment, clouds.config);

  const writers: Readonly<Record<CloudName, (key: string, text: string) => Promise<unknown>>> = {
    aws: (Key, Body) => s3.send(new PutObjectCommand({ Bucket: aws.bucket, Key, Body })),
    gcp: (key, text) => bucket.file(key).save(text, { resumable: false }),
    azure: (key, text) => container.getBlockBlobClient(key).upload(text, Buffer.byteLength(text)),
  };
  const readers: Readonly<Record<CloudName, (key: string) => Promise<string | undefined>>> = {
    aws: async (Key) => (await s3.send(new GetObjectCommand({ Bucket: aws.bucket, Key }))).Body?.transformToString(),
    gcp: async (key) => (await bucket.file(key).download())[0].toString(),
    azure: async (key) => (await container.getBlobClient(key).downloadToBuffer()).toString(),
  };

  const it: EntryWorld = {
    clouds,
    environment,
    async write(cloud, key, text) {
      await writers[cloud](key, text);
    },
    read: (cloud, key) =>
      readers[cloud](key).then(
        (text) => text ?? null,
        () => null,
      ),
    async arrived(key, text) {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        const found = await Promise.all((['aws', 'gcp', 'azure'] as const).map((cloud) => it.read(cloud, key)));
        if (found.every((each) => each === text)) return;
        await new Promise((resolve) => setTimeout(resolve, TRY_MS));
      }
      throw new Error(`${key} did not arrive everywhere`);
    },
    async stop() {
      s3.destroy();
      await clouds.stop();
    },
  };
  return it;
}

function toEnvironment({ aws, gcp, azure }: LocalConfig): Readonly<Record<string, string>> {
  const yaml = [
    'namespace: entries',
    'sites:',
    `  - { id: fra, cloud: aws, region: ${aws.region}, bucket: ${aws.bucket} }`,
    `  - { id: ams, cloud: gcp, region: local, bucket: ${gcp.bucket} }`,
    `  - { id: dub, cloud: azure, region: local, bucket: ${azure.account}/${azure.container} }`,
    'routes:',
    '  - { prefix: "", sites: [fra, ams, dub] }',
    // What an outage left open is gone on with as soon as this.
    'limits: { lease: 1s }',
  ];
  return {
    TRIPLICATE_CONFIG: yaml.join('\n'),
    TRIPLICATE_LEDGER: `dynamodb:${aws.region}/${aws.table}`,
    TRIPLICATE_MAC_KEYS: `one:${SECRET.toString('base64')}`,
    TRIPLICATE_QUEUE_FRA: `sqs:${aws.queueUrl}`,
    TRIPLICATE_QUEUE_AMS: `pubsub:${gcp.projectId}/${gcp.subscription}`,
    TRIPLICATE_QUEUE_DUB: `servicebus:local/${azure.queue}`,
    TRIPLICATE_ENDPOINT_AWS: aws.endpoint,
    TRIPLICATE_ENDPOINT_GCS: gcp.storageEndpoint,
    TRIPLICATE_ENDPOINT_PUBSUB: `http://${gcp.pubsubEndpoint}`,
    TRIPLICATE_GCP_PROJECT: gcp.projectId,
    [`TRIPLICATE_STORAGE_${azure.account.toUpperCase()}`]: azure.connectionString,
    TRIPLICATE_SERVICE_BUS: azure.serviceBusConnectionString,
    AWS_ACCESS_KEY_ID: aws.accessKeyId,
    AWS_SECRET_ACCESS_KEY: aws.secretAccessKey,
    AWS_REGION: aws.region,
  };
}

/** What a deployment and an operator have done before: a table for the ledger, a sentinel in every bucket. */
async function prepare(environment: EntryWorld['environment'], { aws }: LocalConfig): Promise<void> {
  const { accessKeyId, secretAccessKey, endpoint, region, table } = aws;
  const credentials = { accessKeyId, secretAccessKey };
  await createLedgerTable({ table, region, endpoint, credentials });
  const settings = readEnvironment(environment);
  const access = { ...settings.access, aws: { ...settings.access.aws, credentials } };
  const { world, close } = await openWorld({ ...settings, access, queues: {}, report: () => {} });
  for (const { id } of world.topology.sites) await plantSentinel(world, id);
  await close();
}
