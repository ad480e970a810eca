/** S3 as it tells of itself: straight to SQS, through SNS, or by EventBridge. */

import { at, type Fields, type Path, readArray, refuse } from '../shared/model/read.ts';
import type { BucketEvent, EventReader } from './bucket-event.ts';
import { fieldOf, maybeText, parseJson, readOpen, textOf } from './json.ts';

/** Sequencers are not read: their order is documented in two ways that contradict each other, and every event makes us look anyway. */
export const readS3Message: EventReader = ({ body }) => readDocument(parseJson(body, 'body'), 'body', 0);

function readDocument(value: unknown, path: Path, depth: number): readonly BucketEvent[] {
  const document = readOpen(value, path);
  if (document.Type === 'Notification' && depth === 0)
    return readDocument(parseJson(textOf(document, 'Message', path), 'body.Message'), at(path, 'Message'), 1);
  if (document['detail-type'] !== undefined) return readEventBridge(document, path);
  // Sent once when notifications are set up.
  if (document.Event === 's3:TestEvent') return [];
  if (document.Records === undefined)
    refuse(Object.keys(document), path, 'Records, detail-type, Message or s3:TestEvent');
  const events: BucketEvent[] = [];
  readArray(document.Records, at(path, 'Records'), (record, where) => events.push(readRecord(record, where)));
  return events;
}

function readRecord(value: unknown, path: Path): BucketEvent {
  const record = readOpen(value, path);
  if (record.eventSource !== 'aws:s3') refuse(record.eventSource, at(path, 'eventSource'), 'aws:s3');
  const version = textOf(record, 'eventVersion', path);
  // A minor version only adds fields.
  if (!version.startsWith('2.')) refuse(version, at(path, 'eventVersion'), 'version 2');
  const name = textOf(record, 'eventName', path);
  const s3Path = at(path, 's3');
  const s3 = fieldOf(record, 's3', path);
  const object = fieldOf(s3, 'object', s3Path);
  const objectPath = at(s3Path, 'object');
  const kind = kindOf(name);
  return {
    cloud: 'aws',
    bucket: textOf(fieldOf(s3, 'bucket', s3Path), 'name', at(s3Path, 'bucket')),
    name: decodeForm(textOf(object, 'key', objectPath), at(objectPath, 'key')),
    kind,
    ...physOf(kind, maybeText(object, 'versionId', objectPath)),
  };
}

function kindOf(eventName: string): BucketEvent['kind'] {
  if (eventName.startsWith('ObjectCreated:')) return 'put';
  if (eventName.startsWith('ObjectRemoved:') || eventName.startsWith('LifecycleExpiration:')) return 'delete';
  return 'metadata';
}

/** `a+b` is `a b`, and everything else is percent-encoded UTF-8. */
function decodeForm(text: string, path: Path): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return refuse(text, path, 'form-encoded UTF-8');
  }
}

const DETAIL_KINDS: Readonly<Record<string, BucketEvent['kind']>> = {
  'Object Created': 'put',
  'Object Deleted': 'delete',
};

/** Its keys come as they are, not encoded. */
function readEventBridge(document: Fields, path: Path): readonly BucketEvent[] {
  if (document.source !== 'aws.s3') refuse(document.source, at(path, 'source'), 'aws.s3');
  const detailPath = at(path, 'detail');
  const detail = fieldOf(document, 'detail', path);
  const object = fieldOf(detail, 'object', detailPath);
  const objectPath = at(detailPath, 'object');
  const kind = DETAIL_KINDS[textOf(document, 'detail-type', path)] ?? 'metadata';
  return [
    {
      cloud: 'aws',
      bucket: textOf(fieldOf(detail, 'bucket', detailPath), 'name', at(detailPath, 'bucket')),
      name: textOf(object, 'key', objectPath),
      kind,
      ...physOf(kind, maybeText(object, 'version-id', objectPath)),
    },
  ];
}

/** A bucket without versions has no name for one that an event could tell. */
function physOf(kind: BucketEvent['kind'], version: string | undefined): { readonly phys?: string } {
  return kind === 'metadata' || version === undefined || version === 'null' ? {} : { phys: `v:${version}` };
}
