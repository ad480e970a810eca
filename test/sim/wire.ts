/** How simulated buckets tell what happened: in the documents of their clouds, read by the readers that are deployed. */

import type { ObjectChange } from '#shared/model/object-change.ts';
import { isToldBy, readObjectChange, toObjectChangeText } from '#shared/model/object-change.ts';
import type { Site } from '#shared/model/site.ts';
import type { Topology } from '#shared/model/topology.ts';
import type { StoreEvent } from '#shared/store/memory.ts';
import { readChanges } from '../../events/changes.ts';

/** `own`: our own words, as the first simulations had them. `clouds`: each cloud's, in all forms in which it sends them. */
export type Wire = 'own' | 'clouds';

export interface Notification {
  readonly site: Site;
  readonly versioned: boolean;
  /** What the bucket tells, by the object's name there. */
  readonly event: StoreEvent;
  /** The key of that name. */
  readonly key: string;
  readonly at: number;
  /** Of this bucket, counted from 0: forms take turns. */
  readonly turn: number;
}

/** A message as it waits in the queue, which for a simulation is one for all sites. */
interface Envelope {
  readonly cloud: Site['cloud'];
  readonly body: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** For those who judge; no reader is shown it. null: a well-read message of this kind tells nothing. */
  readonly truth: ObjectChange | null;
}

export function toMessage(wire: Wire, notification: Notification): string {
  const { site, event, key } = notification;
  const { kind, phys } = event;
  const truth: ObjectChange = { site: site.id, key, kind, ...(phys === undefined ? {} : { phys }) };
  if (wire === 'own') return toObjectChangeText(truth);
  const forms = FORMS[site.cloud];
  const form = forms[notification.turn % forms.length] as Form;
  const sent = form(notification);
  const envelope: Envelope = {
    cloud: site.cloud,
    body: sent.body,
    attributes: sent.attributes ?? {},
    truth: sent.attributes?.overwrittenByGeneration === undefined && !sent.tellsOfSuccessor ? truth : null,
  };
  return JSON.stringify(envelope);
}

/** What the reader makes of it. Throws where that is not what the bucket told: neither a fault of the world nor of the core. */
export function readMessage(wire: Wire, text: string, topology: Topology): readonly ObjectChange[] {
  if (wire === 'own') return [readObjectChange(text)];
  const { cloud, body, attributes, truth } = JSON.parse(text) as Envelope;
  const changes = readOrThrow(cloud, { body, attributes }, topology);
  const [change, ...others] = changes;
  const isTrue =
    truth === null ? changes.length === 0 : change !== undefined && others.length === 0 && isSame(change, truth);
  if (!isTrue) throw new Error(`a message was misread: ${text} as ${JSON.stringify(changes)}`);
  return changes;
}

function readOrThrow(...message: Parameters<typeof readChanges>): readonly ObjectChange[] {
  try {
    return readChanges(...message);
  } catch (error) {
    // A Fault would end among the dead letters, where no run looks.
    throw new Error(`a message was refused: ${JSON.stringify(message[1])}`, { cause: error });
  }
}

function isSame({ site, key, kind, phys }: ObjectChange, truth: ObjectChange): boolean {
  const named = phys === undefined || isToldBy(phys, truth.phys ?? '');
  return site === truth.site && key === truth.key && kind === truth.kind && named;
}

/** What the bucket told; null: nothing that has to be looked at. */
export function truthOf(wire: Wire, text: string): ObjectChange | null {
  return wire === 'own' ? readObjectChange(text) : (JSON.parse(text) as Envelope).truth;
}

interface Sent {
  readonly body: string;
  readonly attributes?: Readonly<Record<string, string>>;
  /** Of a version that was replaced: what replaced it has an event of its own. */
  readonly tellsOfSuccessor?: boolean;
}

type Form = (notification: Notification) => Sent;

const FORMS: Readonly<Record<Site['cloud'], readonly Form[]>> = {
  aws: [
    (it) => ({ body: JSON.stringify(s3Records(it)) }),
    (it) => ({
      body: JSON.stringify({ Type: 'Notification', MessageId: id(it), Message: JSON.stringify(s3Records(it)) }),
    }),
    (it) => ({ body: JSON.stringify(eventBridge(it)) }),
  ],
  gcp: [
    (it) => ({ body: JSON.stringify(gcsObject(it)), attributes: gcsAttributes(it, 'JSON_API_V1') }),
    gcsPush,
    (it) => ({ body: JSON.stringify(gcsCloudEvent(it)) }),
    (it) => ({ body: '', attributes: gcsAttributes(it, 'NONE') }),
  ],
  azure: [
    (it) => ({ body: JSON.stringify(blobCloudEvent(it)) }),
    (it) => ({ body: JSON.stringify(blobGridEvent(it)) }),
    (it) => ({ body: JSON.stringify([blobGridEvent(it)]) }),
  ],
};

function id({ site, turn }: Notification): string {
  return `${site.id}-${turn}`;
}

function timeText({ at }: Notification): string {
  return new Date(at).toISOString();
}

const S3_NAMES: Readonly<Record<StoreEvent['cause'], string>> = {
  put: 'ObjectCreated:Put',
  copy: 'ObjectCreated:Copy',
  complete: 'ObjectCreated:CompleteMultipartUpload',
  delete: 'ObjectRemoved:DeleteMarkerCreated',
  purge: 'ObjectRemoved:Delete',
  lifecycle: 'LifecycleExpiration:DeleteMarkerCreated',
  patch: 'ObjectCreated:Copy',
};

/** Without versions there is no name for one, and a delete leaves no marker. */
function s3Records(it: Notification) {
  const { site, event } = it;
  const version = versionOf(event);
  return {
    Records: [
      {
        eventVersion: '2.1',
        eventSource: 'aws:s3',
        awsRegion: site.region,
        eventTime: timeText(it),
        eventName: version === undefined ? S3_NAMES[event.cause].replace('MarkerCreated', '') : S3_NAMES[event.cause],
        s3: {
          s3SchemaVersion: '1.0',
          bucket: { name: site.bucket },
          object: {
            key: formEncoded(event.key),
            ...(version === undefined ? {} : { versionId: version }),
            sequencer: '0055AED6DCD90281E5',
          },
        },
      },
    ],
  };
}

function eventBridge(it: Notification) {
  const { site, event } = it;
  const version = versionOf(event);
  return {
    version: '0',
    id: id(it),
    'detail-type': event.kind === 'delete' ? 'Object Deleted' : 'Object Created',
    source: 'aws.s3',
    time: timeText(it),
    region: site.region,
    detail: {
      bucket: { name: site.bucket },
      object: {
        key: event.key,
        ...(version === undefined ? {} : { 'version-id': version }),
        sequencer: '617f08299329d189',
      },
    },
  };
}

function versionOf({ phys }: StoreEvent): string | undefined {
  return phys?.startsWith('v:') ? phys.slice(2) : undefined;
}

/** As S3 does: a space is a plus, slashes stay, everything else is percent-encoded UTF-8. */
function formEncoded(name: string): string {
  return encodeURIComponent(name).replaceAll('%2F', '/').replaceAll('%20', '+');
}

const GCS_TYPES: Readonly<Record<StoreEvent['kind'], readonly [attribute: string, cloudEvent: string]>> = {
  put: ['OBJECT_FINALIZE', 'finalized'],
  metadata: ['OBJECT_METADATA_UPDATE', 'metadataUpdated'],
  delete: ['OBJECT_DELETE', 'deleted'],
};
const ARCHIVED = ['OBJECT_ARCHIVE', 'archived'] as const;

/** What is deleted or replaced stays readable where versions are kept; that is told in a word of its own. */
function gcsType({
  versioned,
  event: { kind, cause },
}: Notification): readonly [attribute: string, cloudEvent: string] {
  return kind === 'delete' && versioned && cause !== 'purge' ? ARCHIVED : GCS_TYPES[kind];
}

/** What went because something else took its place is told of as well, and says so; Eventarc's own events do not. */
function isReplaced({ event: { kind, cause } }: Notification): boolean {
  return kind === 'delete' && (cause === 'put' || cause === 'copy' || cause === 'complete');
}

function generationOf({ event: { phys = '' } }: Notification): readonly [generation: string, metageneration: string] {
  const [, generation = '', metageneration = ''] = /^g:(\d+)\.(\d+)$/.exec(phys) ?? [];
  return [generation, metageneration];
}

function gcsAttributes(it: Notification, payloadFormat: string): Readonly<Record<string, string>> {
  const { site, event } = it;
  const [generation] = generationOf(it);
  return {
    notificationConfig: `projects/_/buckets/${site.bucket}/notificationConfigs/1`,
    eventType: gcsType(it)[0],
    payloadFormat,
    bucketId: site.bucket,
    objectId: event.key,
    objectGeneration: generation,
    eventTime: timeText(it),
    ...(isReplaced(it) ? { overwrittenByGeneration: String(Number(generation) + 1) } : {}),
  };
}

function gcsObject(it: Notification) {
  const { site, event } = it;
  const [generation, metageneration] = generationOf(it);
  return {
    kind: 'storage#object',
    name: event.key,
    bucket: site.bucket,
    generation,
    metageneration,
    updated: timeText(it),
  };
}

function gcsPush(it: Notification): Sent {
  const data = Buffer.from(JSON.stringify(gcsObject(it))).toString('base64');
  const message = { messageId: id(it), data, attributes: gcsAttributes(it, 'JSON_API_V1') };
  return {
    body: JSON.stringify({ message, subscription: 'projects/p/subscriptions/changes' }),
    tellsOfSuccessor: isReplaced(it),
  };
}

function gcsCloudEvent(it: Notification) {
  const { site, event } = it;
  return {
    specversion: '1.0',
    id: id(it),
    source: `//storage.googleapis.com/projects/_/buckets/${site.bucket}`,
    type: `google.cloud.storage.object.v1.${gcsType(it)[1]}`,
    subject: `objects/${event.key}`,
    time: timeText(it),
    data: gcsObject(it),
  };
}

const BLOB_APIS: Readonly<Record<StoreEvent['cause'], string>> = {
  put: 'PutBlob',
  copy: 'CopyBlob',
  complete: 'PutBlockList',
  delete: 'DeleteBlob',
  purge: 'DeleteBlob',
  lifecycle: 'DeleteBlob',
  patch: 'SetBlobMetadata',
};

function blobData({ event }: Notification) {
  // The entity tag without its quotes, as Event Grid tells it; of the version id it tells nothing.
  const etag = /"([^"]+)"$/.exec(event.phys ?? '')?.[1];
  const url = `https://account.blob.core.windows.net/${encodeURIComponent(event.key)}`;
  return { api: BLOB_APIS[event.cause], ...(event.kind === 'put' && etag !== undefined ? { eTag: etag } : {}), url };
}

function blobCloudEvent(it: Notification) {
  return {
    specversion: '1.0',
    id: id(it),
    source: accountPath(it.site),
    type: blobType(it),
    subject: blobPath(it),
    time: timeText(it),
    data: blobData(it),
  };
}

function blobGridEvent(it: Notification) {
  return {
    id: id(it),
    topic: accountPath(it.site),
    subject: blobPath(it),
    eventType: blobType(it),
    eventTime: timeText(it),
    data: blobData(it),
    dataVersion: '',
    metadataVersion: '1',
  };
}

function blobType({ event }: Notification): string {
  return `Microsoft.Storage.${event.kind === 'delete' ? 'BlobDeleted' : 'BlobCreated'}`;
}

function accountPath({ bucket }: Site): string {
  return `/subscriptions/0a1b2c3d/resourceGroups/sim/providers/Microsoft.Storage/storageAccounts/${bucket.split('/')[0]}`;
}

function blobPath({ site, event }: Notification): string {
  return `/blobServices/default/containers/${site.bucket.split('/')[1]}/blobs/${event.key}`;
}
