import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../shared/model/fault.ts';
import { toObjectChangeText } from '../shared/model/object-change.ts';
import type { Cloud } from '../shared/model/site.ts';
import { readTopology } from '../shared/model/topology.ts';
import { readAzureMessage } from './azblob.ts';
import type { BucketEvent, EventReader, RawMessage } from './bucket-event.ts';
import { readChanges } from './changes.ts';
import { readGcsMessage } from './gcs.ts';
import { readS3Message } from './s3.ts';

interface Node {
  [step: string | number]: unknown;
}

const FOLDER = join(import.meta.dirname, 'fixtures');

const READERS: Readonly<Record<string, EventReader>> = {
  s3: readS3Message,
  gcs: readGcsMessage,
  azure: readAzureMessage,
};

function fixture(name: string): RawMessage {
  const text = readFileSync(join(FOLDER, `${name}.json`), 'utf8');
  const parsed = JSON.parse(text);
  return name.startsWith('gcs-pubsub') ? parsed : { body: text, attributes: {} };
}

function readerOf(name: string): EventReader {
  return READERS[name.split('-')[0] as string] as EventReader;
}

const happyFace = {
  cloud: 'aws',
  bucket: 'amzn-s3-demo-bucket',
  name: 'HappyFace.jpg',
  kind: 'put',
  phys: 'v:096fKKXTRTtl3on89fVO.nfljtsv6qko',
} as const;
const photo = { cloud: 'gcp', bucket: 'demo-bucket', name: 'Friends/photo 1.jpg' } as const;
const file = { cloud: 'azure', bucket: 'mystorageaccount/testcontainer', name: 'dir/new file.txt' } as const;

const EXPECTED: Readonly<Record<string, readonly BucketEvent[]>> = {
  's3-object-created': [happyFace],
  's3-through-sns': [happyFace],
  's3-test-event': [],
  's3-delete-marker': [{ ...happyFace, name: 'red flower (café)+1.jpg', kind: 'delete' }],
  's3-eventbridge-created': [
    {
      ...happyFace,
      bucket: 'amzn-s3-demo-bucket1',
      name: 'a+b c%20.txt',
      phys: 'v:IYV3p45BT0ac8hjHg1houSdS1a.Mro8e',
    },
  ],
  's3-eventbridge-deleted': [{ cloud: 'aws', bucket: 'amzn-s3-demo-bucket1', name: 'example-key', kind: 'delete' }],
  'gcs-pubsub-finalize': [{ ...photo, kind: 'put', phys: 'g:1475622500000000.1' }],
  'gcs-pubsub-replaced': [],
  'gcs-pubsub-delete-no-payload': [{ ...photo, kind: 'delete' }],
  'gcs-push': [{ ...photo, kind: 'metadata' }],
  'gcs-cloudevent': [{ ...photo, kind: 'put', phys: 'g:1475622500000000.1' }],
  'azure-cloudevent-created': [{ ...file, kind: 'put', phys: '"0x8D4BCC2E4835CD0"' }],
  'azure-eventgrid-deleted': [{ ...file, kind: 'delete' }],
  'azure-validation': [],
  'azure-flush-with-close': [{ ...file, kind: 'put', phys: '"0x8D4BCC2E4835CD0"' }],
  'azure-create-file': [],
};

describe('a notification is read', () => {
  it.each(Object.entries(EXPECTED))('%s', (name, expected) => {
    expect(readerOf(name)(fixture(name))).toEqual(expected);
  });

  it('and every fixture is', () => {
    const all = readdirSync(FOLDER).flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -5)] : []));
    expect(all.sort()).toEqual([...Object.keys(EXPECTED), 'azure-renamed'].sort());
  });

  it('but an account with a hierarchical namespace is refused', () => {
    expect(() => readAzureMessage(fixture('azure-renamed'))).toThrow(/hierarchical namespace cannot be replicated/);
  });
});

describe('what is wrong is told by its place', () => {
  const record = ['document', 'Records', 0];

  it.each<[field: string, name: string, place: readonly (string | number)[], value: unknown]>([
    ['body.Records[0].eventVersion', 's3-object-created', [...record, 'eventVersion'], '3.0'],
    ['body.Records[0].s3.object.key', 's3-object-created', [...record, 's3', 'object', 'key'], undefined],
    ['body.Records[0].s3.object.key', 's3-object-created', [...record, 's3', 'object', 'key'], '%E4'],
    ['body.Records', 's3-object-created', ['document', 'Records'], 'none'],
    ['body.Message', 's3-through-sns', ['document', 'Message'], '{'],
    ['body.detail.bucket', 's3-eventbridge-created', ['document', 'detail', 'bucket'], 7],
    ['attributes.objectGeneration', 'gcs-pubsub-finalize', ['attributes', 'objectGeneration'], '1; drop'],
    ['body.message.attributes.objectId', 'gcs-push', ['document', 'message', 'attributes', 'objectId'], undefined],
    ['body.type', 'gcs-cloudevent', ['document', 'type'], 'com.example'],
    ['body.subject', 'azure-cloudevent-created', ['document', 'subject'], '/blobs/x'],
    ['body.source', 'azure-cloudevent-created', ['document', 'source'], '/subscriptions/x'],
    ['body[0].eventType', 'azure-eventgrid-deleted', ['document', 0, 'eventType'], 'Other.Thing'],
  ])('%s in %s', (field, name, place, value) => {
    const { body, attributes } = fixture(name);
    const message: Node = { document: JSON.parse(body), attributes: { ...attributes } };
    const parent = place.slice(0, -1).reduce((node, step) => node[step] as Node, message);
    parent[place.at(-1) as string] = value;
    const changed = {
      body: JSON.stringify(message.document),
      attributes: message.attributes as Record<string, string>,
    };
    expect(() => readerOf(name)(changed)).toThrow(
      expect.objectContaining({ kind: 'invalid', details: expect.objectContaining({ field }) }),
    );
  });
});

describe('nothing that comes in does harm', () => {
  const names = Object.keys(EXPECTED);

  it('cut off anywhere, it is refused or has nothing in it', () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.double({ min: 0, max: 1, noNaN: true }), (name, share) => {
        const { body, attributes } = fixture(name);
        onlyFaults(() => readerOf(name)({ body: body.slice(0, Math.floor(body.length * share)), attributes }));
      }),
      { numRuns: 500 },
    );
  });

  it('with any value in any place, it is read or refused', () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.nat(), fc.jsonValue(), (name, place, value) => {
        const { body, attributes } = fixture(name);
        if (body === '') return;
        const document = JSON.parse(body);
        replaceAt(document, place, value);
        onlyFaults(() => readerOf(name)({ body: JSON.stringify(document), attributes }));
      }),
      { numRuns: 2000 },
    );
  });

  it('and so is any text at all', () => {
    const texts = fc.oneof(fc.string(), fc.json());
    const attributes = fc.dictionary(fc.constantFrom('eventType', 'objectId', 'bucketId', 'x'), fc.string());
    fc.assert(
      fc.property(texts, attributes, (body, beside) => {
        for (const read of Object.values(READERS)) onlyFaults(() => read({ body, attributes: beside }));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a change', () => {
  const topology = readTopology(
    [
      'namespace: test-set',
      'sites:',
      '  - { id: a, cloud: aws, region: x, bucket: amzn-s3-demo-bucket }',
      '  - { id: z, cloud: azure, region: x, bucket: mystorageaccount/testcontainer }',
      'routes:',
      '  - { prefix: "", sites: [a, z] }',
    ].join('\n'),
    'test.yaml',
  );
  const azure = (blob: string): RawMessage => {
    const event = JSON.parse(fixture('azure-cloudevent-created').body);
    event.subject = `/blobServices/default/containers/testcontainer/blobs/${blob}`;
    return { body: JSON.stringify(event), attributes: {} };
  };
  const keysOf = (cloud: Cloud, message: RawMessage) => readChanges(cloud, message, topology).map(({ key }) => key);

  it('names the site', () => {
    expect(readChanges('aws', fixture('s3-object-created'), topology)).toEqual([
      { site: 'a', key: 'HappyFace.jpg', kind: 'put', phys: happyFace.phys },
    ]);
  });

  it('may be told once more by one of us, in words that no cloud uses', () => {
    const change = { site: 'a', key: 'reports/', kind: 'put', phys: 'v:1' } as const;
    for (const cloud of ['aws', 'gcp', 'azure'] as const)
      expect(readChanges(cloud, { body: toObjectChangeText(change), attributes: {} }, topology)).toEqual([change]);
    const strange = JSON.stringify({ ...change, kind: 'party' });
    expect(() => readChanges('aws', { body: strange, attributes: {} }, topology)).toThrow('change.kind');
  });

  it('carries the key that the name stands for', () => {
    expect(keysOf('azure', azure('reports~2F'))).toEqual(['reports/']);
    expect(keysOf('azure', azure('a~5Cb'))).toEqual(['a\\b']);
  });

  it('is none when no key has that name', () => {
    expect(keysOf('azure', azure(`~h/${'0'.repeat(64)}`))).toEqual([]);
  });

  it('of a bucket that is no site is refused, with those that are', () => {
    const event = fixture('s3-eventbridge-created');
    expect(() => readChanges('aws', event, topology)).toThrow(
      'bucket: expected a aws bucket of the configuration: amzn-s3-demo-bucket, got "amzn-s3-demo-bucket1"',
    );
  });
});

function onlyFaults(read: () => unknown): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
  }
}

/** Puts a value in place of the n-th leaf, counted round and round. */
function replaceAt(document: unknown, place: number, value: unknown): void {
  const leaves: [Record<string, unknown>, string][] = [];
  const walk = (node: unknown) => {
    if (typeof node !== 'object' || node === null) return;
    for (const name of Object.keys(node)) {
      leaves.push([node as Record<string, unknown>, name]);
      walk((node as Record<string, unknown>)[name]);
    }
  };
  walk(document);
  const [parent, name] = leaves[place % leaves.length] as [Record<string, unknown>, string];
  parent[name] = value;
}
