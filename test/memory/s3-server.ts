/** The local S3 in a process of its own, on disk, until it is told to end: what it uses is not the client's. */

import { startS3 } from '../../local/aws/s3/s3.ts';
import { openCloud } from '../../local/cloud.ts';

const [, , folder = ''] = process.argv;
const cloud = openCloud({ name: 'aws', folder, report: (line) => console.error(line) });
const s3 = await startS3(cloud, { port: 0 });
s3.createBucket('memory');
process.stdout.write(`${s3.port}\n`);
