/** Azure Blob as it tells of itself by Event Grid: in CloudEvents or in its own schema, alone or several together. */

import { fault } from '../shared/model/fault.ts';
import { at, type Fields, type Path, readArray, refuse } from '../shared/model/read.ts';
import type { BucketEvent, EventReader } from './bucket-event.ts';
import { fieldOf, maybeText, parseJson, readOpen, textOf } from './json.ts';

const PREFIX = 'Microsoft.Storage.';

const KINDS: Readonly<Record<string, BucketEvent['kind']>> = {
  BlobCreated: 'put',
  BlobDeleted: 'delete',
  BlobPropertiesUpdated: 'metadata',
  BlobTierChanged: 'metadata',
};

/** A file begun and still empty: the event of its flush follows. */
const UNFINISHED: ReadonlySet<string> = new Set(['CreateFile', 'SftpCreate']);
/** Only accounts with a hierarchical namespace send these; such accounts keep no blob versions and are refused. */
const HIERARCHICAL: ReadonlySet<string> = new Set([
  'BlobRenamed',
  'DirectoryCreated',
  'DirectoryDeleted',
  'DirectoryRenamed',
]);

export const readAzureMessage: EventReader = ({ body }) => {
  const document = parseJson(body, 'body');
  if (!Array.isArray(document)) return readEvent(document, 'body');
  const events: BucketEvent[] = [];
  readArray(document, 'body', (event, path) => events.push(...readEvent(event, path)));
  return events;
};

function readEvent(value: unknown, path: Path): readonly BucketEvent[] {
  const event = readOpen(value, path);
  const cloudEvent = event.specversion !== undefined;
  const typeName = cloudEvent ? 'type' : 'eventType';
  const type = textOf(event, typeName, path);
  // The handshake of a subscription, answered by whoever serves the webhook.
  if (type.startsWith('Microsoft.EventGrid.')) return [];
  if (!type.startsWith(PREFIX)) refuse(type, at(path, typeName), `${PREFIX}*`);
  const what = type.slice(PREFIX.length);
  const subject = textOf(event, 'subject', path);
  if (HIERARCHICAL.has(what)) refuseHierarchical(subject, what);
  const dataPath = at(path, 'data');
  const data = fieldOf(event, 'data', path);
  const api = maybeText(data, 'api', dataPath);
  if (api !== undefined && UNFINISHED.has(api)) return [];
  const account = accountOf(event, cloudEvent ? 'source' : 'topic', path);
  const kind = KINDS[what] ?? 'metadata';
  const etag = kind === 'put' ? maybeText(data, 'eTag', dataPath) : undefined;
  return [
    {
      cloud: 'azure',
      ...placeOf(subject, account, at(path, 'subject')),
      kind,
      ...(etag === undefined ? {} : { phys: etag.startsWith('"') ? etag : `"${etag}"` }),
    },
  ];
}

/** `/subscriptions/S/resourceGroups/G/providers/Microsoft.Storage/storageAccounts/A`. */
function accountOf(event: Fields, name: string, path: Path): string {
  const source = textOf(event, name, path);
  return (
    /\/storageAccounts\/([a-z0-9]{3,24})$/i.exec(source)?.[1] ?? refuse(source, at(path, name), 'a storage account')
  );
}

/** Not from the data's url, which is encoded in ways that differ from one API to the next. */
function placeOf(subject: string, account: string, path: Path): Pick<BucketEvent, 'bucket' | 'name'> {
  const found = /^\/blobServices\/default\/containers\/([^/]+)\/blobs\/(.+)$/s.exec(subject);
  if (found === null) return refuse(subject, path, '/blobServices/default/containers/C/blobs/B');
  const [, container = '', name = ''] = found;
  return { bucket: `${account}/${container}`, name };
}

function refuseHierarchical(subject: string, what: string): never {
  throw fault('unsupported', `${what} at ${subject}: accounts with a hierarchical namespace cannot be replicated`, {
    field: 'type',
    value: what,
  });
}
