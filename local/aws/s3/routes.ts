/** Which operation a request is: a table of method, level and sub-resource, and nothing beside it. */

import {
  createBucket,
  deleteBucket,
  deleteBucketTagging,
  getBucketLocation,
  getBucketNotification,
  getBucketSetting,
  getBucketTagging,
  getBucketVersioning,
  headBucket,
  listBuckets,
  putBucketNotification,
  putBucketTagging,
  putBucketVersioning,
  SETTING_NAMES,
} from './buckets.ts';
import type { Operation } from './call.ts';
import { copyObject, uploadPartCopy } from './copy.ts';
import { listMultipartUploads, listObjects, listObjectsV2, listObjectVersions, listParts } from './list.ts';
import { abortMultipartUpload, completeMultipartUpload, createMultipartUpload, uploadPart } from './multipart.ts';
import {
  deleteObject,
  deleteObjects,
  deleteObjectTagging,
  getObject,
  getObjectAcl,
  getObjectAttributes,
  getObjectTagging,
  putObject,
  putObjectTagging,
} from './objects.ts';
import { notImplemented, refusal } from './refusal.ts';
import type { Target } from './target.ts';

type Level = 'service' | 'bucket' | 'object';

export interface Route {
  /** The name AWS has for it. */
  readonly name: string;
  readonly run: Operation;
  /** Parameters it understands. */
  readonly parameters: readonly string[];
}

/** `when`: parameters that make the operation what it is. `copies`: it needs x-amz-copy-source, or must not have it. */
interface Line extends Route {
  readonly method: string;
  readonly level: Level;
  readonly when: readonly string[];
  readonly copies: boolean;
}

function line(
  method: string,
  level: Level,
  when: string,
  name: string,
  run: Operation,
  parameters = '',
  copies = false,
): Line {
  const words = (text: string) => text.split(' ').filter((word) => word !== '');
  return { method, level, when: words(when), name, run, parameters: words(parameters), copies };
}

const LIST = 'prefix delimiter encoding-type';
const RESPONSE =
  'response-content-type response-content-language response-expires response-cache-control ' +
  'response-content-disposition response-content-encoding';

/** The first line that fits counts, so what needs more parameters stands above what needs fewer. */
const LINES: readonly Line[] = [
  line('GET', 'service', '', 'ListBuckets', listBuckets, 'max-buckets continuation-token prefix bucket-region'),

  line('GET', 'bucket', 'location', 'GetBucketLocation', getBucketLocation),
  line('GET', 'bucket', 'versioning', 'GetBucketVersioning', getBucketVersioning),
  line('PUT', 'bucket', 'versioning', 'PutBucketVersioning', putBucketVersioning),
  line('GET', 'bucket', 'notification', 'GetBucketNotificationConfiguration', getBucketNotification),
  line('PUT', 'bucket', 'notification', 'PutBucketNotificationConfiguration', putBucketNotification),
  line('GET', 'bucket', 'tagging', 'GetBucketTagging', getBucketTagging),
  line('PUT', 'bucket', 'tagging', 'PutBucketTagging', putBucketTagging),
  line('DELETE', 'bucket', 'tagging', 'DeleteBucketTagging', deleteBucketTagging),
  line(
    'GET',
    'bucket',
    'versions',
    'ListObjectVersions',
    listObjectVersions,
    `${LIST} key-marker version-id-marker max-keys`,
  ),
  line(
    'GET',
    'bucket',
    'uploads',
    'ListMultipartUploads',
    listMultipartUploads,
    `${LIST} key-marker upload-id-marker max-uploads`,
  ),
  line('POST', 'bucket', 'delete', 'DeleteObjects', deleteObjects),
  ...SETTING_NAMES.map((name) => line('GET', 'bucket', name, `GetBucket ${name}`, getBucketSetting)),
  line(
    'GET',
    'bucket',
    'list-type',
    'ListObjectsV2',
    listObjectsV2,
    `${LIST} max-keys continuation-token start-after fetch-owner`,
  ),
  line('GET', 'bucket', '', 'ListObjects', listObjects, `${LIST} marker max-keys`),
  line('HEAD', 'bucket', '', 'HeadBucket', headBucket),
  line('PUT', 'bucket', '', 'CreateBucket', createBucket),
  line('DELETE', 'bucket', '', 'DeleteBucket', deleteBucket),

  line('GET', 'object', 'uploadId', 'ListParts', listParts, 'max-parts part-number-marker encoding-type'),
  line('PUT', 'object', 'uploadId partNumber', 'UploadPartCopy', uploadPartCopy, '', true),
  line('PUT', 'object', 'uploadId partNumber', 'UploadPart', uploadPart),
  line('POST', 'object', 'uploadId', 'CompleteMultipartUpload', completeMultipartUpload),
  line('POST', 'object', 'uploads', 'CreateMultipartUpload', createMultipartUpload),
  line('DELETE', 'object', 'uploadId', 'AbortMultipartUpload', abortMultipartUpload),
  line('GET', 'object', 'tagging', 'GetObjectTagging', getObjectTagging, 'versionId'),
  line('PUT', 'object', 'tagging', 'PutObjectTagging', putObjectTagging, 'versionId'),
  line('DELETE', 'object', 'tagging', 'DeleteObjectTagging', deleteObjectTagging, 'versionId'),
  line('GET', 'object', 'attributes', 'GetObjectAttributes', getObjectAttributes, 'versionId'),
  line('GET', 'object', 'acl', 'GetObjectAcl', getObjectAcl, 'versionId'),
  line('GET', 'object', '', 'GetObject', getObject, `versionId partNumber ${RESPONSE}`),
  line('HEAD', 'object', '', 'HeadObject', getObject, `versionId partNumber ${RESPONSE}`),
  line('PUT', 'object', '', 'CopyObject', copyObject, '', true),
  line('PUT', 'object', '', 'PutObject', putObject),
  line('DELETE', 'object', '', 'DeleteObject', deleteObject, 'versionId'),
];

const METHODS = [...new Set(LINES.map(({ method }) => method))];

/** Throws where the operation, or anything asked of it, is not here: nothing is passed over in silence. */
export function findRoute(method: string, target: Target, copies: boolean): Route {
  const { query } = target;
  const level = target.bucket === '' ? 'service' : target.key === '' ? 'bucket' : 'object';
  const at = LINES.filter((it) => it.method === method && it.level === level);
  const found = at.find((it) => it.when.every((name) => query.has(name)) && it.copies === copies);
  if (found === undefined) {
    if (!METHODS.includes(method) || query.size === 0)
      throw refusal('MethodNotAllowed', { details: { Method: method, ResourceType: level.toUpperCase() } });
    throw notImplemented([...query.keys()].join(','));
  }
  // What begins with x- belongs to the signature, or is the client's own note.
  const strange = [...query.keys()].filter(
    (name) => !found.when.includes(name) && !found.parameters.includes(name) && !/^x-/i.test(name),
  );
  if (strange.length > 0) throw notImplemented(strange.join(','));
  if (query.has('list-type') && query.get('list-type') !== '2') throw notImplemented('list-type');
  return found;
}
