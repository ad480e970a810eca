/** Which request is which call: one table for everything that the service understands. */

import type { Cloud } from '../../service.ts';
import { bucketHandlers } from './buckets.ts';
import type { Handler } from './call.ts';
import { copyHandlers } from './copies.ts';
import { noSuchCall } from './errors.ts';
import { listHandler } from './listing.ts';
import { decodeName } from './names.ts';
import { notificationHandlers } from './notifications.ts';
import { objectHandlers } from './object-calls.ts';
import { resumableHandlers } from './resumable.ts';
import { uploadHandlers } from './uploads.ts';
import { xmlHandlers } from './xml.ts';
import { xmlUploadHandlers } from './xml-uploads.ts';

/** Named as in the cloud's audit log; XML and JSON alike. */
export type Operation = string;

interface Shape {
  readonly operation: Operation;
  readonly methods: string;
  /** Against the path as it stands in the request, still encoded. */
  readonly path: RegExp;
  /** What must stand in the query; null: anything. */
  readonly query?: Readonly<Record<string, string | null>>;
}

const B = '/storage/v1/b/([^/]+)';
const O = `${B}/o/([^/]+)`;
const at = (path: string) => new RegExp(`^${path}$`);
const media = at(`(?:/download)?${O}`);
const upload = at(`(?:/resumable)?/upload${B}/o`);
const xmlObject = /^\/([^/]+)\/(.+)$/s;

/** The first that fits is it. */
const SHAPES = [
  { operation: 'storage.buckets.list', methods: 'GET', path: at('/storage/v1/b') },
  { operation: 'storage.buckets.create', methods: 'POST', path: at('/storage/v1/b') },
  { operation: 'storage.buckets.get', methods: 'GET', path: at(B) },
  { operation: 'storage.buckets.patch', methods: 'PATCH', path: at(B) },
  { operation: 'storage.buckets.update', methods: 'PUT', path: at(B) },
  { operation: 'storage.buckets.delete', methods: 'DELETE', path: at(B) },
  { operation: 'storage.buckets.getStorageLayout', methods: 'GET', path: at(`${B}/storageLayout`) },
  { operation: 'storage.managedFolders.list', methods: 'GET', path: at(`${B}/managedFolders`) },
  { operation: 'storage.buckets.getIamPolicy', methods: 'GET', path: at(`${B}/iam`) },
  { operation: 'storage.buckets.setIamPolicy', methods: 'PUT', path: at(`${B}/iam`) },
  { operation: 'storage.buckets.testIamPermissions', methods: 'GET', path: at(`${B}/iam/testPermissions`) },
  { operation: 'storage.bucketAccessControls.list', methods: 'GET', path: at(`${B}/acl`) },
  { operation: 'storage.defaultObjectAccessControls.list', methods: 'GET', path: at(`${B}/defaultObjectAcl`) },
  { operation: 'storage.serviceAccounts.get', methods: 'GET', path: at('/storage/v1/projects/([^/]+)/serviceAccount') },
  { operation: 'storage.notifications.list', methods: 'GET', path: at(`${B}/notificationConfigs`) },
  { operation: 'storage.notifications.insert', methods: 'POST', path: at(`${B}/notificationConfigs`) },
  { operation: 'storage.notifications.get', methods: 'GET', path: at(`${B}/notificationConfigs/([^/]+)`) },
  { operation: 'storage.notifications.delete', methods: 'DELETE', path: at(`${B}/notificationConfigs/([^/]+)`) },
  { operation: 'storage.objects.list', methods: 'GET', path: at(`${B}/o`) },
  { operation: 'storage.objects.get', methods: 'GET HEAD', path: media },
  { operation: 'storage.objects.patch', methods: 'PATCH', path: at(O) },
  { operation: 'storage.objects.update', methods: 'PUT', path: at(O) },
  { operation: 'storage.objects.delete', methods: 'DELETE', path: at(O) },
  { operation: 'storage.objectAccessControls.list', methods: 'GET', path: at(`${O}/acl`) },
  { operation: 'storage.objects.compose', methods: 'POST', path: at(`${O}/compose`) },
  { operation: 'storage.objects.copy', methods: 'POST', path: at(`${O}/copyTo/b/([^/]+)/o/([^/]+)`) },
  { operation: 'storage.objects.rewrite', methods: 'POST', path: at(`${O}/rewriteTo/b/([^/]+)/o/([^/]+)`) },
  { operation: 'storage.resumable.put', methods: 'PUT POST', path: upload, query: { upload_id: null } },
  { operation: 'storage.resumable.cancel', methods: 'DELETE', path: upload, query: { upload_id: null } },
  { operation: 'storage.resumable.start', methods: 'POST', path: upload, query: { uploadType: 'resumable' } },
  { operation: 'storage.objects.insert', methods: 'POST', path: upload, query: { uploadType: 'media' } },
  { operation: 'storage.objects.insertMultipart', methods: 'POST', path: upload, query: { uploadType: 'multipart' } },
  { operation: 'storage.batch', methods: 'POST', path: /^\/batch(?:\/storage\/v1)?$/ },
  // Nothing below these is the name of a bucket.
  {
    operation: 'unknown',
    methods: 'GET HEAD PUT POST PATCH DELETE',
    path: /^\/(?:storage\/v1|upload|download|resumable|batch)(?:\/|$)/,
  },
  { operation: 'storage.multipartUploads.list', methods: 'GET', path: /^\/([^/]+)\/?$/, query: { uploads: null } },
  { operation: 'storage.multipartUploads.create', methods: 'POST', path: xmlObject, query: { uploads: null } },
  {
    operation: 'storage.objectParts.create',
    methods: 'PUT',
    path: xmlObject,
    query: { uploadId: null, partNumber: null },
  },
  { operation: 'storage.multipartUploads.listParts', methods: 'GET', path: xmlObject, query: { uploadId: null } },
  { operation: 'storage.multipartUploads.complete', methods: 'POST', path: xmlObject, query: { uploadId: null } },
  { operation: 'storage.multipartUploads.abort', methods: 'DELETE', path: xmlObject, query: { uploadId: null } },
  { operation: 'xml.objects.get', methods: 'GET HEAD', path: xmlObject },
  { operation: 'xml.objects.create', methods: 'PUT', path: xmlObject },
  { operation: 'xml.objects.delete', methods: 'DELETE', path: xmlObject },
] as const satisfies readonly Shape[];

export type Name = (typeof SHAPES)[number]['operation'];

export interface Route {
  readonly operation: Name;
  /** Decoded. */
  readonly path: readonly string[];
}

/** Undefined: no such call. `path` is raw, as only then `%2F` and `/` are told apart. */
export function findRoute(method: string, path: string, query: URLSearchParams): Route | undefined {
  for (const shape of SHAPES as readonly (Shape & { operation: Name })[]) {
    if (!shape.methods.split(' ').includes(method)) continue;
    const wanted = Object.entries(shape.query ?? {});
    if (!wanted.every(([name, value]) => (value === null ? query.has(name) : query.get(name) === value))) continue;
    const read = shape.path.exec(path);
    if (read !== null) return { operation: shape.operation, path: read.slice(1).map(decodeName) };
  }
  return undefined;
}

/** Everything but the batch, which consists of the others. */
export function openHandlers(cloud: Cloud): Readonly<Record<Exclude<Name, 'storage.batch'>, Handler>> {
  const buckets = bucketHandlers(cloud);
  const notifications = notificationHandlers(cloud);
  const objects = objectHandlers(cloud);
  const copies = copyHandlers(cloud);
  const resumable = resumableHandlers(cloud);
  const uploads = uploadHandlers(cloud);
  const xml = xmlHandlers(cloud);
  const xmlUploads = xmlUploadHandlers(cloud);
  return {
    'storage.buckets.list': buckets.list,
    'storage.buckets.create': buckets.insert,
    'storage.buckets.get': buckets.get,
    'storage.buckets.patch': buckets.patch,
    'storage.buckets.update': buckets.update,
    'storage.buckets.delete': buckets.delete,
    'storage.buckets.getStorageLayout': buckets.storageLayout,
    'storage.managedFolders.list': buckets.managedFolders,
    'storage.buckets.getIamPolicy': buckets.getPolicy,
    'storage.buckets.setIamPolicy': buckets.setPolicy,
    'storage.buckets.testIamPermissions': buckets.testPermissions,
    'storage.bucketAccessControls.list': buckets.acl('storage#bucketAccessControls'),
    'storage.defaultObjectAccessControls.list': buckets.acl('storage#objectAccessControls'),
    'storage.serviceAccounts.get': buckets.serviceAccount,
    'storage.notifications.list': notifications.list,
    'storage.notifications.insert': notifications.insert,
    'storage.notifications.get': notifications.get,
    'storage.notifications.delete': notifications.delete,
    'storage.objects.list': listHandler(cloud),
    'storage.objects.get': objects.get,
    'storage.objects.patch': objects.patch,
    'storage.objects.update': objects.update,
    'storage.objects.delete': objects.delete,
    'storage.objectAccessControls.list': objects.acl,
    'storage.objects.compose': copies.compose,
    'storage.objects.copy': copies.copy,
    'storage.objects.rewrite': copies.rewrite,
    'storage.resumable.put': resumable.put,
    'storage.resumable.cancel': resumable.cancel,
    'storage.resumable.start': resumable.start,
    'storage.objects.insert': uploads.media,
    'storage.objects.insertMultipart': uploads.multipart,
    'storage.multipartUploads.list': xmlUploads.listUploads,
    'storage.multipartUploads.create': xmlUploads.create,
    'storage.objectParts.create': xmlUploads.putPart,
    'storage.multipartUploads.listParts': xmlUploads.listParts,
    'storage.multipartUploads.complete': xmlUploads.complete,
    'storage.multipartUploads.abort': xmlUploads.abort,
    'xml.objects.get': xml.get,
    'xml.objects.create': xml.put,
    'xml.objects.delete': xml.delete,
    unknown() {
      throw noSuchCall();
    },
  };
}

/** As a fault's scope names it: the part of an upload, or the other API, makes no difference there. */
export function operationOf(name: Name): string {
  return ALIASES[name] ?? name;
}

const ALIASES: Readonly<Partial<Record<Name, string>>> = {
  'storage.objects.insertMultipart': 'storage.objects.insert',
  'storage.resumable.put': 'storage.objects.insert',
  'storage.resumable.start': 'storage.objects.insert',
  'xml.objects.get': 'storage.objects.get',
  'xml.objects.create': 'storage.objects.insert',
  'xml.objects.delete': 'storage.objects.delete',
};
