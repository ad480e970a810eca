/** What is kept of the headers of a write, its limits, and how it comes back with a read. */

import { isUtf8 } from 'node:buffer';
import { ACCOUNT, REGION } from '../account.ts';
import { type Call, header } from './call.ts';
import { invalidArgument, invalidRequest, notImplemented, refusal } from './refusal.ts';
import type { Properties, Tags } from './tables.ts';

const KEPT = [
  'content-type',
  'content-encoding',
  'content-language',
  'content-disposition',
  'cache-control',
  'expires',
  'x-amz-website-redirect-location',
];
const META = 'x-amz-meta-';
const METADATA_BYTES_MAX = 2048;
const HEADER_BYTES_MAX = 8 * 1024;
const DEFAULT_TYPE = 'binary/octet-stream';

const STORAGE_CLASSES = [
  ...['STANDARD', 'REDUCED_REDUNDANCY', 'STANDARD_IA', 'ONEZONE_IA', 'INTELLIGENT_TIERING'],
  ...['GLACIER', 'DEEP_ARCHIVE', 'GLACIER_IR'],
];
/** What lies there has to be restored before it can be read. */
export const ARCHIVES: readonly string[] = ['GLACIER', 'DEEP_ARCHIVE'];

const ENCRYPTIONS = ['AES256', 'aws:kms', 'aws:kms:dsse'];
const SSE = 'x-amz-server-side-encryption';
const SSE_KEY = `${SSE}-aws-kms-key-id`;
const SSE_BUCKET_KEY = `${SSE}-bucket-key-enabled`;

/** Headers that ask for what a bucket of this endpoint does not have. */
const REFUSED: readonly (readonly [pattern: RegExp, refuse: (name: string) => Error])[] = [
  [
    /^x-amz-(?:copy-source-)?server-side-encryption-customer-/,
    () =>
      invalidRequest(
        'Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.',
      ),
  ],
  [/^x-amz-grant-/, () => refusal('AccessControlListNotSupported')],
  [/^x-amz-object-lock-/, () => invalidRequest('Bucket is missing Object Lock Configuration')],
  [/^x-amz-(?:write-offset-bytes|if-match-|rename-source|mp-append)/, (name) => notImplemented(name)],
];

/** Throws where a header asks for what there is not; of every request. */
export function checkHeaders(call: Call): void {
  const { request } = call;
  const size = request.rawHeaders.reduce((sum, text) => sum + text.length + 2, 0);
  if (size > HEADER_BYTES_MAX)
    throw refusal('RequestHeaderSectionTooLarge', { details: { MaxSizeAllowed: HEADER_BYTES_MAX } });
  for (const name of Object.keys(request.headers))
    for (const [pattern, refuse] of REFUSED) if (pattern.test(name)) throw refuse(name);
  const acl = header(call, 'x-amz-acl');
  if (acl !== undefined && acl !== 'private' && acl !== 'bucket-owner-full-control')
    throw refusal('AccessControlListNotSupported');
  for (const name of ['x-amz-expected-bucket-owner', 'x-amz-source-expected-bucket-owner'])
    if ((header(call, name) ?? ACCOUNT) !== ACCOUNT) throw refusal('AccessDenied');
}

export function readProperties(call: Call): Properties {
  const headers: Record<string, string> = {};
  for (const name of KEPT) {
    const value = header(call, name);
    if (value !== undefined) headers[name] = value;
  }
  const encoding = (headers['content-encoding'] ?? '').split(',').map((it) => it.trim());
  // How the body travelled says nothing about the object.
  const kept = encoding.filter((it) => it !== '' && it !== 'aws-chunked').join(',');
  delete headers['content-encoding'];
  if (kept !== '') headers['content-encoding'] = kept;
  headers['content-type'] ||= DEFAULT_TYPE;
  return { headers, metadata: readMetadata(call), ...readStorage(call), ...readEncryption(call) };
}

export function readStorage(call: Call): Pick<Properties, 'storageClass'> {
  const storageClass = header(call, 'x-amz-storage-class') ?? 'STANDARD';
  if (!STORAGE_CLASSES.includes(storageClass))
    throw refusal('InvalidStorageClass', { details: { StorageClassRequested: storageClass } });
  return { storageClass };
}

export function readEncryption(call: Call): Pick<Properties, 'encryption' | 'kmsKey' | 'bucketKey'> {
  const encryption = header(call, SSE) ?? 'AES256';
  const key = header(call, SSE_KEY);
  if (!ENCRYPTIONS.includes(encryption))
    throw invalidArgument(SSE, encryption, 'The encryption method specified is not supported');
  if (encryption === 'AES256') {
    if (key !== undefined)
      throw invalidArgument(
        SSE,
        encryption,
        `Server Side Encryption with AWS KMS managed key requires HTTP header ${SSE} : aws:kms`,
      );
    return { encryption };
  }
  const kmsKey = key === undefined || key === '' ? 'aws/s3' : key;
  return {
    encryption,
    kmsKey: kmsKey.startsWith('arn:') ? kmsKey : `arn:aws:kms:${REGION}:${ACCOUNT}:key/${kmsKey}`,
    bucketKey: header(call, SSE_BUCKET_KEY) === 'true',
  };
}

export function toEncryptionHeaders({ encryption, kmsKey, bucketKey }: Properties): Record<string, string | undefined> {
  return { [SSE]: encryption, [SSE_KEY]: kmsKey, [SSE_BUCKET_KEY]: bucketKey ? 'true' : undefined };
}

/** The tag of an object that is encrypted with a key of the user is not the MD5 of its bytes. */
export function hidesMd5({ encryption }: Properties): boolean {
  return encryption !== 'AES256';
}

export function toPropertyHeaders(properties: Properties): Record<string, string | undefined> {
  const { headers, metadata, storageClass } = properties;
  const named = Object.entries(metadata).map(([name, value]) => [`${META}${name}`, toHeaderText(value)]);
  return {
    ...headers,
    ...Object.fromEntries(named),
    'x-amz-storage-class': storageClass === 'STANDARD' ? undefined : storageClass,
    ...toEncryptionHeaders(properties),
  };
}

function readMetadata({ request }: Call): Readonly<Record<string, string>> {
  const metadata: [string, string][] = [];
  let size = 0;
  for (const [header, values] of Object.entries(request.headersDistinct)) {
    if (!header.startsWith(META) || values === undefined) continue;
    const name = header.slice(META.length);
    const value = fromHeaderText(values.join(','));
    size += Buffer.byteLength(name) + Buffer.byteLength(value);
    metadata.push([name, value]);
  }
  if (size > METADATA_BYTES_MAX)
    throw refusal('MetadataTooLarge', { details: { Size: size, MaxSizeAllowed: METADATA_BYTES_MAX } });
  // Own properties, whatever they are called.
  return Object.fromEntries(metadata);
}

/** UTF-8 where it is UTF-8, and what RFC 2047 wrote in ASCII is read. */
function fromHeaderText(latin1: string): string {
  const bytes = Buffer.from(latin1, 'latin1');
  const text = isUtf8(bytes) ? bytes.toString('utf8') : latin1;
  return text.replace(/=\?utf-8\?(?:b\?([A-Za-z0-9+/=]*)|q\?([!-~]*?))\?=/gi, (_, base64, quotedText) => {
    if (base64 !== undefined) return Buffer.from(base64, 'base64').toString('utf8');
    const spaced = String(quotedText).replaceAll('_', ' ');
    const raw = spaced.replace(/=([0-9a-f]{2})/gi, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
    return Buffer.from(raw, 'latin1').toString('utf8');
  });
}

/** As S3 does it: what is not printable ASCII comes back in the form of RFC 2047. */
function toHeaderText(value: string): string {
  if (/^[\t -~]*$/.test(value)) return value;
  return `=?UTF-8?B?${Buffer.from(value).toString('base64')}?=`;
}

const TAGS_MAX = 10;

/** Of the header x-amz-tagging, which is written like a query. */
export function readTagHeader(call: Call): Tags {
  const source = header(call, 'x-amz-tagging');
  if (source === undefined || source === '') return {};
  let pairs: [string, string][];
  try {
    pairs = source.split('&').map((pair) => {
      const [name = '', ...value] = pair.replaceAll('+', ' ').split('=');
      return [decodeURIComponent(name), decodeURIComponent(value.join('='))];
    });
  } catch {
    throw invalidArgument(
      'x-amz-tagging',
      source,
      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
    );
  }
  return checkTags(pairs, TAGS_MAX);
}

export function checkTags(pairs: readonly (readonly [string, string])[], max: number = TAGS_MAX): Tags {
  if (pairs.length > max) throw refusal('BadRequest', { message: `Object tags cannot be greater than ${max}` });
  const seen = new Set<string>();
  for (const [name, value] of pairs) {
    const invalidTag = (message: string) =>
      refusal('InvalidTag', { message, details: { TagKey: name, TagValue: value } });
    if (name === '' || name.length > 128 || !isTagText(name))
      throw invalidTag('The TagKey you have provided is invalid');
    if (value.length > 256 || !isTagText(value)) throw invalidTag('The TagValue you have provided is invalid');
    if (name.startsWith('aws:')) throw invalidTag('System tags cannot be added/updated by requester');
    if (seen.has(name)) throw invalidTag('Cannot provide multiple Tags with the same key');
    seen.add(name);
  }
  return Object.fromEntries(pairs);
}

function isTagText(text: string): boolean {
  return /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(text);
}
