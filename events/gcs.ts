/** Google Cloud Storage as it tells of itself: pulled from Pub/Sub, pushed by it, or as a CloudEvent by Eventarc. */

import { at, type Fields, type Path, refuse } from '../shared/model/read.ts';
import type { BucketEvent, EventReader } from './bucket-event.ts';
import { fieldOf, maybeText, parseJson, readOpen, textOf } from './json.ts';

type Kind = BucketEvent['kind'];

const KINDS: Readonly<Record<string, Kind>> = {
  OBJECT_FINALIZE: 'put',
  OBJECT_METADATA_UPDATE: 'metadata',
  OBJECT_DELETE: 'delete',
  OBJECT_ARCHIVE: 'delete',
};

const CLOUD_EVENT_KINDS: Readonly<Record<string, Kind>> = {
  'google.cloud.storage.object.v1.finalized': 'put',
  'google.cloud.storage.object.v1.metadataUpdated': 'metadata',
  'google.cloud.storage.object.v1.deleted': 'delete',
  'google.cloud.storage.object.v1.archived': 'delete',
};

export const readGcsMessage: EventReader = ({ body, attributes }) => {
  if (attributes.eventType !== undefined) return readNotification(attributes, 'attributes', body);
  const document = readOpen(parseJson(body, 'body'), 'body');
  if (document.specversion !== undefined) return readCloudEvent(document);
  if (document.message === undefined)
    refuse(Object.keys(document), 'body', 'message, specversion or attributes.eventType');
  return readPush(document);
};

/** `{"message": {"data": "base64", "attributes": {...}}, "subscription": "..."}`. */
function readPush(document: Fields): readonly BucketEvent[] {
  const path = at('body', 'message');
  const message = fieldOf(document, 'message', 'body');
  const attributesPath = at(path, 'attributes');
  const attributes = fieldOf(message, 'attributes', path);
  const data = maybeText(message, 'data', path);
  return readNotification(attributes, attributesPath, data === undefined ? '' : Buffer.from(data, 'base64').toString());
}

function readNotification(attributes: Fields, path: Path, payload: string): readonly BucketEvent[] {
  const type = textOf(attributes, 'eventType', path);
  // The new object's own event tells the rest.
  if (maybeText(attributes, 'overwrittenByGeneration', path) !== undefined) return [];
  const kind = KINDS[type] ?? 'metadata';
  const name = textOf(attributes, 'objectId', path);
  const bucket = textOf(attributes, 'bucketId', path);
  const generation = textOf(attributes, 'objectGeneration', path);
  const told = payload === '' ? undefined : readOpen(parseJson(payload, 'body'), 'body');
  const revision = told === undefined ? undefined : maybeText(told, 'metageneration', 'body');
  return [{ cloud: 'gcp', bucket, name, kind, ...physOf(kind, generation, revision, at(path, 'objectGeneration')) }];
}

function readCloudEvent(document: Fields): readonly BucketEvent[] {
  const path = at('body', 'data');
  const type = textOf(document, 'type', 'body');
  if (!type.startsWith('google.cloud.storage.object.'))
    refuse(type, at('body', 'type'), 'google.cloud.storage.object.*');
  const data = fieldOf(document, 'data', 'body');
  const kind = CLOUD_EVENT_KINDS[type] ?? 'metadata';
  const generation = textOf(data, 'generation', path);
  return [
    {
      cloud: 'gcp',
      bucket: textOf(data, 'bucket', path),
      name: textOf(data, 'name', path),
      kind,
      ...physOf(kind, generation, maybeText(data, 'metageneration', path), at(path, 'generation')),
    },
  ];
}

function physOf(kind: Kind, generation: string, revision: string | undefined, path: Path): { readonly phys?: string } {
  if (!/^\d{1,20}$/.test(generation)) refuse(generation, path, 'a generation number');
  return kind === 'put' && revision !== undefined ? { phys: `g:${generation}.${revision}` } : {};
}
