/** `triplicate local`: the three clouds on this machine, and Triplicate between them. */

import type { Command } from '../command.ts';

export const local: Command = {
  name: 'local',
  summary: 'run three clouds on this machine and replicate between them',
  takes: '',
  about: [
    'Runs S3, SQS, SNS, DynamoDB, Cloud Storage, Pub/Sub, Firestore, Azure Blob, Event Grid and Service Bus in this',
    'process, for real SDKs and command lines, and replicates between their buckets. Ctrl-C stops it; a second one ends',
    'it at once.',
    '',
    'Every endpoint, key and name is in .triplicate/local.json while it runs, where the other commands find it.',
  ],
  examples: [
    ['triplicate local', 'the ports that emulators of these services usually have; state is kept in .triplicate/'],
    ['triplicate local --any-ports --memory', 'whichever ports are free, and nothing kept: for tests'],
  ],
  options: [
    {
      name: 'state',
      takes: 'DIR',
      about: 'where everything is kept, and where local.json tells the endpoints (.triplicate)',
    },
    { name: 'memory', about: 'keep nothing: local.json is all that is written' },
    { name: 'no-replication', about: 'the clouds alone' },
    {
      name: 'ledger',
      takes: 'KIND',
      about: 'where Triplicate keeps what it knows: sqlite, dynamodb, firestore or memory',
    },
    {
      name: 'host',
      takes: 'ADDRESS',
      about: 'listen elsewhere than on 127.0.0.1: whoever reaches it can read and change everything',
    },
    {
      name: 'port',
      takes: 'NAME=N',
      many: true,
      about: 'another port for aws, storage, pubsub, firestore, blob, serviceBus or control; 0 for any',
    },
    { name: 'any-ports', about: 'whichever ports are free' },
    { name: 'seed', takes: 'N', about: 'makes delays and faults the same every time' },
  ],
  async run({ args }, { untilStopped }) {
    const { runLocal } = await import('../../local/run.ts');
    return runLocal(args, untilStopped());
  },
};
