/** The S3 driver against a service of your choice that is stronger than the local one: AWS itself, MinIO, moto. */

import { it } from 'vitest';
import { openS3Store } from '#shared/store/s3.ts';
import { createBucket, openPatcher, type S3Target } from './s3-bench.ts';
import { type Skip, storeConformance } from './store.ts';

const { TRIPLICATE_TEST_S3: endpoint, TRIPLICATE_TEST_S3_KIND: kind = 'aws', AWS_REGION = 'us-east-1' } = process.env;
const { AWS_ACCESS_KEY_ID = 'test', AWS_SECRET_ACCESS_KEY = 'test' } = process.env;

/** What a service is known not to do, seen in November 2026. AWS has no gaps: there every case must pass. */
const GAPS: Readonly<Record<string, readonly Skip[]>> = {
  aws: [],
  // Built from its last public source.
  minio: [
    ...because('ignores If-Match of a delete', [
      'a token never holds where nothing stands, or nothing any more',
      'a delete with a token removes that version and no later one',
    ]),
    ...because('ignores the conditions of a copy', [
      'a copy keeps the conditions of a put',
      'an upload is published by a conditional copy',
    ]),
    ...because('hides what lies below an object of the same name', [
      'a list shows what stands below a prefix, in order',
    ]),
  ],
  // Version 5.2.
  moto: [
    ...because('lists all delete markers of a second behind all versions', [
      'a chain shows a deletion as its last entry until something stands again',
      'looking twice at a deletion shows the same',
      'a list shows what stands below a prefix, in order',
      'a put if absent succeeds on a deleted key',
      'a delete leaves nothing standing',
      'deleting nothing, once or twice, is no error',
      'a delete with a token removes that version and no later one',
    ]),
    ...because('leaves out a key after a marker that is no key', ['a list begins after any key, standing or not']),
    ...because('does not code names in listings of versions', [
      'awkward keys stay as they are and apart from each other',
    ]),
    ...because('ignores If-Match of a delete and of a copy', [
      'a token never holds where nothing stands, or nothing any more',
      'a copy keeps the conditions of a put',
    ]),
    ...because('gives a CRC-32 for the CRC-64/NVME of what it copied or joined', [
      'a copy has the bytes of its source and the metadata it was given',
      'a copy onto itself changes the metadata and makes a version of its own',
      'a copy takes the version it names and nothing else',
      'checksums that fit are no obstacle, and the store shows those it keeps',
      'an upload joins its parts in order',
      'an upload is published by a conditional copy',
      'a part sent again replaces the earlier one',
      'two uploads to one key do not mix',
      'an upload replaces whatever stands when it is completed',
    ]),
    ...because('answers 500 to the end of an upload that is gone', [
      'an aborted upload leaves nothing, and aborting it again is no error',
    ]),
  ],
};

if (endpoint === undefined) {
  it('the S3 driver keeps the contract at a stronger target', (context) => {
    const reason =
      'needs TRIPLICATE_TEST_S3=http://host:port, and TRIPLICATE_TEST_S3_KIND=minio or moto for their gaps';
    console.warn(`not run: S3 at a stronger target, ${reason}`);
    context.skip(reason);
  });
} else {
  const credentials = { accessKeyId: AWS_ACCESS_KEY_ID, secretAccessKey: AWS_SECRET_ACCESS_KEY };
  const target: S3Target = { endpoint, region: AWS_REGION, credentials };
  for (const versioned of [true, false]) {
    const bucket = `triplicate-${versioned ? 'chain' : 'plain'}-${Date.now().toString(36)}`;
    storeConformance({
      name: `S3 at ${endpoint}, ${versioned ? 'versioned' : 'not versioned'}`,
      async open() {
        await createBucket(target, bucket, versioned);
        const store = await openS3Store({ ...target, site: 'target', bucket, forcePathStyle: true });
        return { store, close: async () => store.close() };
      },
      client: () => openPatcher(target, bucket),
      skip: GAPS[kind] ?? [],
    });
  }
}

function because(reason: string, tests: readonly string[]): readonly Skip[] {
  return tests.map((test) => ({ test, reason }));
}
