/** New objects out of others, without moving a byte: copy, rewrite, compose. */

import { randomUUID } from 'node:crypto';
import { combineCrc32c, readCrc32c, toCrc32cText } from '#shared/model/crc.ts';
import type { Cloud } from '../../service.ts';
import { findBucket, isUniform } from './buckets.ts';
import { type Answer, type Call, isJson, isTrue, type Json, readJson, readNumber } from './call.ts';
import { checkConditions, readConditions } from './conditions.ts';
import { invalidValue, Refusal, required } from './errors.ts';
import { newFields, type ObjectFields, readFields } from './fields.ts';
import type { Bytes } from './ingest.ts';
import { checkObjectName } from './names.ts';
import { deleteObject, findObject, readStorageClass, writeObject } from './objects.ts';
import { pickFields, toObject } from './resource.ts';
import type { ObjectRow } from './tables.ts';
import { checkAcl, checkKeys } from './uploads.ts';

const SOURCES_MAX = 32;
const MIB = 1024 * 1024;

export function copyHandlers(cloud: Cloud) {
  const { db, bodies } = cloud.state;

  /** Path: source bucket and object, target bucket and object. */
  function copyNow(call: Call, json: Json): ObjectRow {
    const { path, query, headers, base } = call;
    const [sourceBucket = '', sourceName = '', bucket = '', name = ''] = path;
    return db.transaction(() => {
      const source = findSource(call, { bucket: sourceBucket, name: sourceName });
      const target = findBucket(cloud, bucket);
      checkAcl(isUniform(target), query);
      checkKeys(headers, query);
      const { fields, storageClass } = copiedFields(source, json);
      return writeObject(cloud, {
        bucket,
        name,
        bytes: source,
        components: source.components,
        fields,
        storageClass: storageClass ?? (bucket === sourceBucket ? source.storage_class : undefined),
        conditions: readConditions(query),
        base,
      });
    });
  }

  function findSource({ query }: Call, place: { bucket: string; name: string }): ObjectRow {
    const generation = query.get('sourceGeneration');
    const source = findObject(cloud, place, generation === null ? null : readNumber('sourceGeneration', generation));
    checkConditions(source, readConditions(query, 'ifSource'));
    return source;
  }

  return {
    async copy(call: Call): Promise<Answer> {
      const row = copyNow(call, await readJson(call.body));
      return { status: 200, json: pickFields(toObject(row, call.base), call.query.get('fields')) };
    },

    /** One request does it, except where the client limits the bytes of a call that has to move them. */
    async rewrite(call: Call): Promise<Answer> {
      const { path, query, base } = call;
      const json = await readJson(call.body);
      const [sourceBucket = '', sourceName = '', bucket = ''] = path;
      const limit = readLimit(query);
      const token = query.get('rewriteToken');
      return db.transaction(() => {
        const source = findSource(call, { bucket: sourceBucket, name: sourceName });
        const moves = isMoving(source, bucket, readStorageClass(json.storageClass));
        const what = JSON.stringify([path, json]);
        const before = token === null ? 0 : takeToken(token, what, source.generation);
        const rewritten = moves && limit !== null ? Math.min(source.size, before + limit) : source.size;
        const told = {
          kind: 'storage#rewriteResponse',
          totalBytesRewritten: String(rewritten),
          objectSize: String(source.size),
          done: rewritten === source.size,
        };
        if (!told.done) {
          // Refused now rather than after the last byte.
          findBucket(cloud, bucket);
          const rewriteToken = randomUUID();
          const sql = 'INSERT INTO gcs_rewrites (token, call, generation, rewritten) VALUES (?, ?, ?, ?)';
          db.run(sql, rewriteToken, what, source.generation, rewritten);
          return { status: 200, json: pickFields({ ...told, rewriteToken }, query.get('fields')) };
        }
        const resource = toObject(copyNow(call, json), base);
        return { status: 200, json: pickFields({ ...told, resource }, query.get('fields')) };
      });
    },

    async compose(call: Call): Promise<Answer> {
      const { path, query, headers, base } = call;
      const [bucket = '', name = ''] = path;
      const json = await readJson(call.body);
      const destination = isJson(json.destination) ? json.destination : {};
      const row = db.transaction(() => {
        checkAcl(isUniform(findBucket(cloud, bucket)), query);
        checkKeys(headers, query);
        checkObjectName(name);
        const sources = readSources(json).map((source) => findComponent(bucket, source));
        const written = writeObject(cloud, {
          bucket,
          name,
          bytes: joined(sources),
          components: sources.reduce((sum, { components }) => sum + (components ?? 1), 0),
          // Nothing comes from the sources, the content type neither: github.com/googleapis/nodejs-storage/issues/166
          fields: newFields(destination),
          storageClass: readStorageClass(destination.storageClass),
          conditions: readConditions(query),
          base,
        });
        if (isTrue(query.get('deleteSourceObjects')))
          for (const source of sources)
            if (source.name !== name) deleteObject(cloud, source, { generation: null, conditions: {}, base });
        return written;
      });
      return { status: 200, json: pickFields(toObject(row, base), query.get('fields')) };
    },
  };

  function isMoving(source: ObjectRow, bucket: string, storageClass: string | undefined): boolean {
    const from = JSON.parse(findBucket(cloud, source.bucket).fields) as Json;
    const to = JSON.parse(findBucket(cloud, bucket).fields) as Json;
    return from.location !== to.location || (storageClass ?? source.storage_class) !== source.storage_class;
  }

  function takeToken(token: string, call: string, generation: number): number {
    const sql = 'SELECT rewritten FROM gcs_rewrites WHERE token = ? AND call = ? AND generation = ?';
    const row = db.get<{ rewritten: number }>(sql, token, call, generation);
    if (row === undefined) throw invalidValue('Invalid argument: the rewrite token is of another rewrite.');
    db.run('DELETE FROM gcs_rewrites WHERE token = ?', token);
    return row.rewritten;
  }

  function findComponent(bucket: string, { name, generation, generationMatch }: Source): ObjectRow {
    const row = findObject(cloud, { bucket, name }, generation);
    checkConditions(row, generationMatch === null ? {} : { generationMatch });
    return row;
  }

  function joined(sources: readonly ObjectRow[]): Bytes {
    let crc = 0;
    let size = 0;
    for (const source of sources) {
      crc = combineCrc32c(crc, readCrc32c(source.crc32c), source.size);
      size += source.size;
    }
    return { body: bodies.join(sources.map(({ body }) => body)), size, md5: null, crc32c: toCrc32cText(crc) };
  }
}

/**
 * A request that says nothing of the object copies what the source says of itself; one that says anything replaces it
 * all: github.com/googleapis/java-storage-nio/pull/1538 shows the real service losing the content type so. A storage
 * class alone is no such saying: that is how the documentation changes it in place.
 */
export function copiedFields(
  source: ObjectRow,
  json: Json,
): { readonly fields: ObjectFields; readonly storageClass: string | undefined } {
  const { set, cleared } = readFields(json);
  const says = Object.keys(set).length + cleared.length > 0;
  const { temporaryHold: _, eventBasedHold: __, ...own } = JSON.parse(source.fields) as ObjectFields;
  return { fields: says ? newFields(json) : own, storageClass: readStorageClass(json.storageClass) };
}

interface Source {
  readonly name: string;
  readonly generation: bigint | null;
  readonly generationMatch: string | null;
}

function readSources({ sourceObjects }: Json): readonly Source[] {
  if (!Array.isArray(sourceObjects) || sourceObjects.length === 0)
    throw required('You must provide at least one source component.');
  if (sourceObjects.length > SOURCES_MAX)
    throw invalidValue(`The number of source components provided (${sourceObjects.length} > ${SOURCES_MAX})`);
  return sourceObjects.map((source: unknown) => {
    if (!isJson(source) || typeof source.name !== 'string') throw required('Required parameter: sourceObjects[].name');
    const { generation, objectPreconditions } = source;
    const match = isJson(objectPreconditions) ? objectPreconditions.ifGenerationMatch : undefined;
    const told = (value: unknown) => value !== undefined && value !== null;
    return {
      name: source.name,
      generation: told(generation) ? readNumber('generation', String(generation)) : null,
      generationMatch: told(match) ? String(readNumber('ifGenerationMatch', String(match))) : null,
    };
  });
}

function readLimit(query: URLSearchParams): number | null {
  const text = query.get('maxBytesRewrittenPerCall');
  if (text === null) return null;
  const limit = Number(readNumber('maxBytesRewrittenPerCall', text));
  if (limit < MIB || limit % MIB !== 0)
    throw new Refusal(400, 'invalid', 'maxBytesRewrittenPerCall must be an integral multiple of 1 MiB.');
  return limit;
}
