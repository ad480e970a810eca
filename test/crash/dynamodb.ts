/** A local DynamoDB in a process of its own, for whoever wants to kill it: prints its address. */

import { startDynamodb } from '../../local/aws/dynamodb/dynamodb.ts';
import { openCloud } from '../../local/cloud.ts';

const [folder = ''] = process.argv.slice(2);
const service = await startDynamodb(openCloud({ name: 'aws', folder }), { port: 0 });
console.log(service.url);
