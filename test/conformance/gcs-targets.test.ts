/** The GCS driver against a service of your choice that is not the local one: Google's own, or fake-gcs-server. */

import { it } from 'vitest';
import { openGcsStore } from '#shared/store/gcs.ts';
import { createBucket, type GcsTarget, openPatcher } from './gcs-bench.ts';
import { type Skip, storeConformance } from './store.ts';

const { TRIPLICATE_TEST_GCS: endpoint, TRIPLICATE_TEST_GCS_KIND: kind = 'google' } = process.env;
const { TRIPLICATE_TEST_GCS_PROJECT: projectId = 'triplicate-test' } = process.env;

/** What a service is known not to do, seen in November 2026. Google has no gaps: there every case must pass. */
const GAPS: Readonly<Record<string, readonly Skip[]>> = {
  google: [],
  // Version 1.56.1.
  'fake-gcs-server': [
    ...because('ignores the conditions of a delete and of a rewrite', [
      'a token never holds where nothing stands, or nothing any more',
      'a delete with a token removes that version and no later one',
      'a copy keeps the conditions of a put',
    ]),
    ...because('counts no metagenerations', ['a patch of the metadata keeps bytes and marker and shows as a change']),
    ...because('has no uploads by parts', [
      'an upload joins its parts in order',
      'an upload is published by a conditional copy',
      'a part sent again replaces the earlier one',
      'two uploads to one key do not mix',
      'an upload replaces whatever stands when it is completed',
      'an upload is not completed with a part that was never sent',
      'an aborted upload leaves nothing, and aborting it again is no error',
    ]),
  ],
};

if (endpoint === undefined) {
  it('the GCS driver keeps the contract at another target', (context) => {
    const reason =
      'needs TRIPLICATE_TEST_GCS=https://storage.googleapis.com or http://host:port, TRIPLICATE_TEST_GCS_PROJECT, ' +
      'and TRIPLICATE_TEST_GCS_KIND=fake-gcs-server for its gaps';
    console.warn(`not run: GCS at another target, ${reason}`);
    context.skip(reason);
  });
} else {
  const google = new URL(endpoint).hostname.endsWith('.googleapis.com');
  const target: GcsTarget = { projectId, ...(!google && { apiEndpoint: endpoint }) };
  for (const versioned of [true, false]) {
    const bucket = `triplicate-${versioned ? 'kept' : 'plain'}-${Date.now().toString(36)}`;
    storeConformance({
      name: `GCS at ${endpoint}, ${versioned ? 'versioned' : 'not versioned'}`,
      async open() {
        await createBucket(target, bucket, versioned);
        const store = await openGcsStore({ ...target, site: 'target', bucket });
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
