/** Multipart uploads of the XML API: parts in any order and at once, laid end to end when the upload completes. */

import { randomUUID } from 'node:crypto';
import { XMLParser } from 'fast-xml-parser';
import { combineCrc32c, readCrc32c, toCrc32cText } from '#shared/model/crc.ts';
import type { Cloud } from '../../service.ts';
import type { Body } from '../../state/bodies.ts';
import { findBucket } from './buckets.ts';
import { type Answer, type Call, readBytes } from './call.ts';
import { invalidValue, Refusal, xmlText } from './errors.ts';
import type { ObjectFields } from './fields.ts';
import { type Bytes, checkBytes, expectedIn, ingest, withBytes } from './ingest.ts';
import { checkObjectName } from './names.ts';
import { placeOf } from './object-calls.ts';
import { readStorageClass, writeObject } from './objects.ts';
import { timeText } from './tables.ts';
import { checkKeys } from './uploads.ts';
import { writtenHeaders, xmlFields } from './xml.ts';

/** https://cloud.google.com/storage/quotas#requests */
const PART_BYTES_MIN = 5 * 1024 * 1024;
const PARTS_MAX = 10_000;
const LIST_BYTES_MAX = 2 * 1024 * 1024;
const HEAD = "<?xml version='1.0' encoding='UTF-8'?>";

interface Upload {
  readonly id: string;
  readonly bucket: string;
  readonly name: string;
  readonly fields: string;
  readonly storage_class: string | null;
  readonly created: string;
}

interface Part {
  readonly upload: string;
  readonly part: number;
  readonly size: number;
  readonly md5: string;
  readonly crc32c: string;
  readonly body: Body;
  readonly modified: string;
}

export function xmlUploadHandlers(cloud: Cloud) {
  const { db, bodies } = cloud.state;
  return {
    create(call: Call): Answer {
      const { bucket, name } = placeOf(call);
      findBucket(cloud, bucket);
      checkObjectName(name);
      checkKeys(call.headers, call.query);
      const id = randomUUID();
      db.run(
        'INSERT INTO gcs_uploads (id, bucket, name, fields, storage_class, created) VALUES (?, ?, ?, ?, ?, ?)',
        id,
        bucket,
        name,
        JSON.stringify(xmlFields(call.headers)),
        readStorageClass(call.headers['x-goog-storage-class']) ?? null,
        timeText(cloud.now()),
      );
      const inside = `${placeXml(bucket, name)}<UploadId>${id}</UploadId>`;
      return { status: 200, xml: `${HEAD}<InitiateMultipartUploadResult>${inside}</InitiateMultipartUploadResult>` };
    },

    async putPart(call: Call): Promise<Answer> {
      const { query, headers, body } = call;
      const { id } = find(call);
      const part = Number(query.get('partNumber'));
      if (!/^\d{1,5}$/.test(query.get('partNumber') ?? '') || part < 1 || part > PARTS_MAX)
        throw invalidValue(`partNumber must be from 1 to ${PARTS_MAX}.`);
      const expected = expectedIn(headers);
      const bytes = await ingest(cloud, body);
      withBytes(cloud, bytes, () => {
        checkBytes(bytes, expected);
        db.transaction(() => {
          find(call);
          removePart(id, part);
          bodies.keep(bytes.body);
          db.run(
            'INSERT INTO gcs_parts (upload, part, size, md5, crc32c, body, modified) VALUES (?, ?, ?, ?, ?, ?, ?)',
            id,
            part,
            bytes.size,
            String(bytes.md5),
            bytes.crc32c,
            bytes.body,
            timeText(cloud.now()),
          );
        });
      });
      const hash = `crc32c=${bytes.crc32c},md5=${bytes.md5}`;
      return { status: 200, headers: { etag: `"${hex(String(bytes.md5))}"`, 'x-goog-hash': hash } };
    },

    /**
     * "Preconditions are not supported in the requests", says the documentation of XML multipart uploads, and a lost
     * race overwrites: so none is looked at here either.
     */
    async complete(call: Call): Promise<Answer> {
      const listed = readList(await readBytes(call.body, LIST_BYTES_MAX));
      const { bucket, name, fields, storage_class, id } = find(call);
      const row = db.transaction(() => {
        find(call);
        const parts = listed.map((it) => findPart(id, it));
        if (parts.slice(0, -1).some(({ size }) => size < PART_BYTES_MIN))
          throw refusal('EntityTooSmall', 'A part other than the last one is smaller than the minimum size.');
        const written = writeObject(cloud, {
          bucket,
          name,
          bytes: joined(parts),
          fields: JSON.parse(fields) as ObjectFields,
          storageClass: storage_class ?? undefined,
          conditions: {},
          base: call.base,
        });
        remove(id);
        return written;
      });
      const location = `<Location>${xmlText(`${call.base}/${bucket}/${encodeURIComponent(name)}`)}</Location>`;
      const etag = `<ETag>${xmlText(String(writtenHeaders(row).etag))}</ETag>`;
      const xml = `<CompleteMultipartUploadResult>${location}${placeXml(bucket, name)}${etag}</CompleteMultipartUploadResult>`;
      return { status: 200, headers: writtenHeaders(row), xml: HEAD + xml };
    },

    abort(call: Call): Answer {
      const { id } = find(call);
      db.transaction(() => remove(id));
      return { status: 204 };
    },

    listParts(call: Call): Answer {
      const { id, bucket, name } = find(call);
      const max = bounded(call.query.get('max-parts'));
      const after = Number(call.query.get('part-number-marker') ?? 0) || 0;
      const sql = 'SELECT * FROM gcs_parts WHERE upload = ? AND part > ? ORDER BY part LIMIT ?';
      const rows = db.all<Part>(sql, id, after, max + 1);
      const parts = rows.slice(0, max).map(({ part, modified, md5, size }) => {
        const etag = `<ETag>&quot;${hex(md5)}&quot;</ETag>`;
        const time = `<LastModified>${modified}</LastModified>`;
        return `<Part><PartNumber>${part}</PartNumber>${time}${etag}<Size>${size}</Size></Part>`;
      });
      const next = rows.length > max ? `<NextPartNumberMarker>${rows[max - 1]?.part}</NextPartNumberMarker>` : '';
      const told = `<MaxParts>${max}</MaxParts><IsTruncated>${rows.length > max}</IsTruncated>${next}`;
      const inside = `${placeXml(bucket, name)}<UploadId>${id}</UploadId>${told}${parts.join('')}`;
      return { status: 200, xml: `${HEAD}<ListPartsResult>${inside}</ListPartsResult>` };
    },

    listUploads({ path: [bucket = ''] }: Call): Answer {
      findBucket(cloud, bucket);
      const rows = db.all<Upload>('SELECT * FROM gcs_uploads WHERE bucket = ? ORDER BY name, created, id', bucket);
      const uploads = rows.map(({ id, name, created }) => {
        const inside = `<Key>${xmlText(name)}</Key><UploadId>${id}</UploadId><Initiated>${created}</Initiated>`;
        return `<Upload>${inside}</Upload>`;
      });
      const inside = `<Bucket>${xmlText(bucket)}</Bucket><IsTruncated>false</IsTruncated>${uploads.join('')}`;
      return { status: 200, xml: `${HEAD}<ListMultipartUploadsResult>${inside}</ListMultipartUploadsResult>` };
    },
  };

  function find(call: Call): Upload {
    const { bucket, name } = placeOf(call);
    const id = call.query.get('uploadId') ?? '';
    const sql = 'SELECT * FROM gcs_uploads WHERE id = ? AND bucket = ? AND name = ?';
    const upload = db.get<Upload>(sql, id, bucket, name);
    if (upload === undefined) throw refusal('NoSuchUpload', 'The requested upload was not found.', 404);
    return upload;
  }

  function findPart(upload: string, { part, etag }: ListedPart): Part {
    const row = db.get<Part>('SELECT * FROM gcs_parts WHERE upload = ? AND part = ?', upload, part);
    if (row === undefined || (etag !== hex(row.md5) && etag !== row.md5))
      throw refusal('InvalidPart', `Part ${part} was not uploaded, or its ETag is another one.`);
    return row;
  }

  function removePart(upload: string, part: number): void {
    const old = db.get<Part>('SELECT * FROM gcs_parts WHERE upload = ? AND part = ?', upload, part);
    if (old === undefined) return;
    db.run('DELETE FROM gcs_parts WHERE upload = ? AND part = ?', upload, part);
    bodies.drop(old.body);
  }

  function remove(upload: string): void {
    for (const { body } of db.all<Part>('SELECT * FROM gcs_parts WHERE upload = ?', upload)) bodies.drop(body);
    db.run('DELETE FROM gcs_parts WHERE upload = ?', upload);
    db.run('DELETE FROM gcs_uploads WHERE id = ?', upload);
  }

  /** An MD5 of the whole is not known then, and none is stored: as in the cloud. */
  function joined(parts: readonly Part[]): Bytes {
    let crc = 0;
    let size = 0;
    for (const part of parts) {
      crc = combineCrc32c(crc, readCrc32c(part.crc32c), part.size);
      size += part.size;
    }
    return { body: bodies.join(parts.map(({ body }) => body)), size, md5: null, crc32c: toCrc32cText(crc) };
  }
}

interface ListedPart {
  readonly part: number;
  readonly etag: string;
}

function readList(bytes: Buffer): readonly ListedPart[] {
  const wrong = () => refusal('MalformedXML', 'The XML you provided was not well-formed or did not validate.');
  let read: { CompleteMultipartUpload?: { Part?: unknown } };
  try {
    // Entities are not expanded beyond the five of XML itself: no document can grow while it is read.
    const parser = new XMLParser({ parseTagValue: false, isArray: (name) => name === 'Part' });
    read = parser.parse(bytes.toString(), true) as typeof read;
  } catch {
    throw wrong();
  }
  const parts = read.CompleteMultipartUpload?.Part;
  if (!Array.isArray(parts) || parts.length > PARTS_MAX) throw wrong();
  const listed = parts.map((it: { PartNumber?: unknown; ETag?: unknown } | string) => {
    if (typeof it !== 'object' || !/^\d{1,5}$/.test(String(it.PartNumber)) || typeof it.ETag !== 'string')
      throw wrong();
    return {
      part: Number(it.PartNumber),
      etag: it.ETag.trim()
        .replaceAll('&quot;', '"')
        .replace(/^"(.*)"$/, '$1'),
    };
  });
  if (listed.some(({ part }, index) => index > 0 && part <= listed[index - 1]!.part))
    throw refusal('InvalidPartOrder', 'The list of parts was not in ascending order.');
  return listed;
}

function bounded(text: string | null): number {
  const asked = Number(text ?? 1000);
  return Number.isInteger(asked) && asked > 0 ? Math.min(asked, 1000) : 1000;
}

const placeXml = (bucket: string, name: string) => `<Bucket>${xmlText(bucket)}</Bucket><Key>${xmlText(name)}</Key>`;
const hex = (base64: string) => Buffer.from(base64, 'base64').toString('hex');
const refusal = (xmlCode: string, message: string, status = 400) =>
  new Refusal(status, 'invalid', message, { xmlCode });
