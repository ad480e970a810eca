/** A local S3 on a folder in a process of its own, to be killed; prints its port when it listens. */

import { parseArgs } from 'node:util';
import { startS3 } from '../../local/aws/s3/s3.ts';
import { openCloud } from '../../local/cloud.ts';

const { folder } = parseArgs({ options: { folder: { type: 'string' } } }).values;
if (folder === undefined) throw new Error('--folder: expected where the state lies');
const cloud = openCloud({ name: 'aws', folder });
const s3 = await startS3(cloud, { port: 0 });
s3.createBucket('bucket', { versioning: true });
s3.notify('bucket', [{ target: 'arn:aws:sqs:us-east-1:000000000000:changes' }]);
process.stdout.write(`${s3.port}\n`);
