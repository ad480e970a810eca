/** The queues and topics of a local AWS in one folder: prints their ports and serves until it is killed. */

import { writeSync } from 'node:fs';
import { startSns } from '../../local/aws/sns/sns.ts';
import { startSqs } from '../../local/aws/sqs/sqs.ts';
import { openCloud } from '../../local/cloud.ts';

const cloud = openCloud({ name: 'aws', folder: process.argv[2] ?? '' });
const sqs = await startSqs(cloud, { port: 0 });
const sns = await startSns(cloud, { port: 0 });
writeSync(1, `${sqs.port} ${sns.port}\n`);
