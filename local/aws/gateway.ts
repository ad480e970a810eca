/** One port for all of AWS, as `AWS_ENDPOINT_URL` expects it: who is meant stands in the signature or in the target. */

import type { IncomingMessage } from 'node:http';
import { openSharedPort, type SharedPort } from '../http.ts';
import type { Cloud } from '../service.ts';

const SERVICES = ['s3', 'sqs', 'sns', 'dynamodb'] as const;

type AwsService = (typeof SERVICES)[number];

const TARGETS: Readonly<Record<string, AwsService>> = { AmazonSQS: 'sqs', DynamoDB_20120810: 'dynamodb' };

export function openAwsGateway(cloud: Cloud, port: number): Promise<SharedPort> {
  return openSharedPort(cloud, port, serviceOf);
}

/** What SNS invites people to call who sign nothing, and the certificate of its signatures. */
const UNSIGNED_SNS = /^\/(\?Action=(ConfirmSubscription|Unsubscribe)&|SimpleNotificationService-[0-9a-f]+\.pem$)/;

/** S3 answers whatever names nobody: it is the one that people call without a signature. */
export function serviceOf({ headers, url = '' }: IncomingMessage): AwsService {
  const target = headers['x-amz-target'];
  const known = typeof target === 'string' ? TARGETS[target.split('.')[0] ?? ''] : undefined;
  if (known !== undefined) return known;
  // Credential=KEY/DAY/REGION/SERVICE/aws4_request, percent-encoded in a query.
  const signed = headers.authorization ?? decodeSlashes(url);
  const named = /Credential=[^/,&\s]*\/\d{8}\/[^/]*\/([a-z0-9]+)\/aws4_request/.exec(signed)?.[1];
  return SERVICES.find((service) => service === named) ?? (UNSIGNED_SNS.test(url) ? 'sns' : 's3');
}

function decodeSlashes(url: string): string {
  return url.replaceAll(/%2f/gi, '/');
}
