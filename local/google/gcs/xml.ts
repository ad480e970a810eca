/** The XML API for single objects: GET, HEAD, PUT, DELETE of `/bucket/object`, conditions and metadata in headers. */

import type { IncomingHttpHeaders } from 'node:http';
import type { Cloud } from '../../service.ts';
import { findBucket } from './buckets.ts';
import { type Answer, type Call, headerOf, type Json } from './call.ts';
import { type Conditions, checkConditions, readConditions } from './conditions.ts';
import { copiedFields } from './copies.ts';
import { download, hashHeader, xmlEtag } from './download.ts';
import { conditionNotMet, invalidValue, notModified, unsupported } from './errors.ts';
import { newFields, type ObjectFields } from './fields.ts';
import { checkBytes, expectedIn, ingest, withBytes } from './ingest.ts';
import { checkObjectName, decodeName } from './names.ts';
import { generationOf, placeOf } from './object-calls.ts';
import { deleteObject, findObject, readStorageClass, writeObject } from './objects.ts';
import type { ObjectRow } from './tables.ts';
import { checkKeys } from './uploads.ts';

const FIELD_HEADERS: Readonly<Record<string, keyof ObjectFields>> = {
  'content-type': 'contentType',
  'content-encoding': 'contentEncoding',
  'content-language': 'contentLanguage',
  'content-disposition': 'contentDisposition',
  'cache-control': 'cacheControl',
  'x-goog-custom-time': 'customTime',
};
const META = 'x-goog-meta-';

export function xmlHandlers(cloud: Cloud) {
  return {
    async get(call: Call): Promise<Answer> {
      checkKeys(call.headers, call.query);
      const row = findObject(cloud, placeOf(call), generationOf(call.query));
      checkConditions(row, xmlConditions(call.headers), xmlEtag(row));
      checkTimes(call.headers, row);
      return download(cloud, row, { headers: call.headers, headOnly: call.method === 'HEAD', metadata: true });
    },

    async put(call: Call): Promise<Answer> {
      const { headers, body, base, query } = call;
      const place = placeOf(call);
      findBucket(cloud, place.bucket);
      checkObjectName(place.name);
      checkKeys(headers, query);
      if (headers['x-goog-copy-source'] !== undefined) return copy(call);
      const [fields, storageClass] = [xmlFields(headers), readStorageClass(headers['x-goog-storage-class'])];
      const conditions = xmlConditions(headers);
      const expected = expectedIn(headers);
      const bytes = await ingest(cloud, body);
      const row = withBytes(cloud, bytes, () => {
        checkBytes(bytes, expected);
        return writeObject(cloud, { ...place, bytes, fields, storageClass, conditions, base });
      });
      return { status: 200, headers: writtenHeaders(row) };
    },

    delete(call: Call): Answer {
      const { headers, base, query } = call;
      const conditions = xmlConditions(headers);
      deleteObject(cloud, placeOf(call), { generation: generationOf(query), conditions, base });
      return { status: 204 };
    },
  };

  function copy(call: Call): Answer {
    const { headers, base } = call;
    const source = headerOf(headers, 'x-goog-copy-source') ?? '';
    const read = /^\/?([^/]+)\/(.+)$/s.exec(source);
    if (read === null) throw invalidValue('Invalid value for x-goog-copy-source.');
    const row = cloud.state.db.transaction(() => {
      const place = { bucket: decodeName(read[1]!), name: decodeName(read[2]!) };
      const generation = headerOf(headers, 'x-goog-copy-source-generation');
      const from = findObject(
        cloud,
        place,
        generation === undefined ? null : generationOf(new URLSearchParams({ generation })),
      );
      checkConditions(from, xmlConditions(headers, 'x-goog-copy-source-if-'));
      const replaces = headerOf(headers, 'x-goog-metadata-directive')?.toUpperCase() === 'REPLACE';
      const fields = replaces ? xmlFields(headers) : copiedFields(from, {}).fields;
      return writeObject(cloud, {
        ...placeOf(call),
        bytes: from,
        components: from.components,
        fields,
        storageClass: readStorageClass(headers['x-goog-storage-class']),
        conditions: xmlConditions(headers),
        base,
      });
    });
    const xml =
      `<?xml version='1.0' encoding='UTF-8'?><CopyObjectResult><LastModified>${row.updated}</LastModified>` +
      `<ETag>&quot;${xmlEtag(row)}&quot;</ETag></CopyObjectResult>`;
    return { status: 200, headers: writtenHeaders(row), xml };
  }
}

export function writtenHeaders(row: ObjectRow): Readonly<Record<string, string>> {
  return {
    etag: `"${xmlEtag(row)}"`,
    'x-goog-generation': String(row.generation),
    'x-goog-metageneration': String(row.metageneration),
    'x-goog-hash': hashHeader(row),
    'x-goog-stored-content-length': String(row.size),
    'x-goog-stored-content-encoding': 'identity',
  };
}

export function xmlFields(headers: IncomingHttpHeaders): ObjectFields {
  const json: Record<string, unknown> = {};
  const metadata: Record<string, string> = {};
  for (const [header, field] of Object.entries(FIELD_HEADERS)) {
    const value = headerOf(headers, header);
    // `aws-chunked` and gzip of the way are not told apart here: what is named is stored, as the XML API does.
    if (value !== undefined) json[field] = fromHeader(value);
  }
  for (const name of Object.keys(headers)) {
    if (name.startsWith(META) && name.length > META.length)
      metadata[name.slice(META.length)] = fromHeader(headerOf(headers, name) ?? '');
    if (name === 'x-goog-encryption-kms-key-name') throw unsupported('Encryption with keys of Cloud KMS');
  }
  const all: Json = Object.keys(metadata).length === 0 ? json : { ...json, metadata };
  return newFields(all);
}

/** Node reads headers as Latin-1; clients that send other letters send UTF-8. */
function fromHeader(value: string): string {
  const text = Buffer.from(value, 'latin1').toString();
  return text.includes('\ufffd') ? value : text;
}

function xmlConditions(headers: IncomingHttpHeaders, prefix = 'x-goog-if-'): Conditions {
  const query = new URLSearchParams();
  const names = { 'generation-match': 'ifGenerationMatch', 'metageneration-match': 'ifMetagenerationMatch' };
  for (const [header, name] of Object.entries(names)) {
    const value = headerOf(headers, prefix + header);
    if (value !== undefined) query.set(name, value);
  }
  return readConditions(query, 'if', prefix === 'x-goog-if-' ? headers : {});
}

/** An ETag, where one is given, speaks for the whole condition. */
function checkTimes(headers: IncomingHttpHeaders, row: ObjectRow): void {
  const changed = Math.floor(Date.parse(row.updated) / 1000) * 1000;
  const since = Date.parse(headerOf(headers, 'if-modified-since') ?? '');
  const unless = Date.parse(headerOf(headers, 'if-unmodified-since') ?? '');
  if (headers['if-match'] === undefined && changed > unless) throw conditionNotMet();
  if (headers['if-none-match'] === undefined && changed <= since) throw notModified();
}
