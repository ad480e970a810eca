/** The local AWS: a bucket with versions, a queue that hears of it, one for dead letters, all on one port. */

import { type LocalConfig, NAMES, type Ports } from '../config.ts';
import type { Cloud } from '../service.ts';
import { REGION } from './account.ts';
import { type DynamodbService, startDynamodb } from './dynamodb/dynamodb.ts';
import { openAwsGateway } from './gateway.ts';
import { type S3Service, startS3 } from './s3/s3.ts';
import { LOCAL_CREDENTIALS } from './sigv4.ts';
import { type SnsService, startSns } from './sns/sns.ts';
import { type SqsService, startSqs } from './sqs/sqs.ts';

export interface RunningAws {
  readonly config: LocalConfig['aws'];
  readonly s3: S3Service;
  readonly sqs: SqsService;
  readonly sns: SnsService;
  readonly dynamodb: DynamodbService;
  stop(): Promise<void>;
}

/** The most that SQS takes: the driver counts attempts, and says itself when a message is dead. */
const RECEIVES_MAX = 1000;

export async function startAws(cloud: Cloud, ports: Pick<Ports, 'aws'>): Promise<RunningAws> {
  const gateway = await openAwsGateway(cloud, ports.aws);
  const sqs = await startSqs(cloud, { port: gateway });
  const sns = await startSns(cloud, { port: gateway });
  const dynamodb = await startDynamodb(cloud, { port: gateway });
  const s3 = await startS3(cloud, { port: gateway });
  const { bucket, changes, dead, table } = NAMES;
  const deadQueue = sqs.createQueue(dead);
  const deadLetters = JSON.stringify({ deadLetterTargetArn: deadQueue.arn, maxReceiveCount: RECEIVES_MAX });
  const queue = sqs.createQueue(changes, { RedrivePolicy: deadLetters });
  s3.createBucket(bucket, { versioning: true });
  s3.notify(bucket, [{ target: queue.arn, id: changes }]);
  const [accessKeyId = '', secretAccessKey = ''] = [...LOCAL_CREDENTIALS].flat();
  return {
    config: {
      endpoint: `http://${cloud.host}:${gateway.port}`,
      region: REGION,
      accessKeyId,
      secretAccessKey,
      bucket,
      queueUrl: queue.url,
      deadLetterQueueUrl: deadQueue.url,
      table,
    },
    s3,
    sqs,
    sns,
    dynamodb,
    async stop() {
      await Promise.all([s3.stop(), sqs.stop(), sns.stop(), dynamodb.stop()]);
      await gateway.stop();
    },
  };
}
