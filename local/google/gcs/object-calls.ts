/** The JSON API's calls on one object: show, download, patch, update, delete. */

import type { Cloud } from '../../service.ts';
import { type Answer, type Call, type Json, readJson, readNumber } from './call.ts';
import { checkConditions, readConditions } from './conditions.ts';
import { download } from './download.ts';
import { invalidValue } from './errors.ts';
import { type ObjectFields, patchFields, replaceFields } from './fields.ts';
import { changeFields, deleteObject, findObject, type Place, readStorageClass } from './objects.ts';
import { pickFields, toObject } from './resource.ts';
import { checkKeys } from './uploads.ts';

export function objectHandlers(cloud: Cloud) {
  async function change(call: Call, merge: (before: ObjectFields, json: Json) => ObjectFields): Promise<Answer> {
    const json = await readJson(call.body);
    const { query, headers, base } = call;
    const row = changeFields(cloud, placeOf(call), {
      generation: generationOf(query),
      conditions: readConditions(query, 'if', headers),
      base,
      change(before, { storage_class }) {
        const storageClass = readStorageClass(json.storageClass);
        if (storageClass !== undefined && storageClass !== storage_class)
          throw invalidValue('The storage class of an object is changed by rewriting it.');
        return merge(before, json);
      },
    });
    return { status: 200, json: pickFields(toObject(row, base), query.get('fields')) };
  }

  return {
    async get(call: Call): Promise<Answer> {
      const { query, headers, base, method } = call;
      checkKeys(headers, query);
      const row = findObject(cloud, placeOf(call), generationOf(query));
      checkConditions(row, readConditions(query, 'if', headers));
      if (query.get('alt') === 'media') return download(cloud, row, { headers, headOnly: method === 'HEAD' });
      return { status: 200, json: pickFields(toObject(row, base), query.get('fields')) };
    },
    patch: (call: Call) => change(call, patchFields),
    update: (call: Call) => change(call, replaceFields),
    delete(call: Call): Answer {
      const { query, headers, base } = call;
      const conditions = readConditions(query, 'if', headers);
      deleteObject(cloud, placeOf(call), { generation: generationOf(query), conditions, base });
      return { status: 204 };
    },
    /** There are no ACLs on single objects here. */
    acl(call: Call): Answer {
      findObject(cloud, placeOf(call), generationOf(call.query));
      return { status: 200, json: { kind: 'storage#objectAccessControls', items: [] } };
    },
  };
}

export function placeOf({ path: [bucket = '', name = ''] }: Call): Place {
  return { bucket, name };
}

export function generationOf(query: URLSearchParams): bigint | null {
  const text = query.get('generation');
  return text === null ? null : readNumber('generation', text);
}
