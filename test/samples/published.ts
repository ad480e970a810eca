/** Judges what Triplicate publishes by the schemas it publishes with it. */

import { readdirSync, readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';

const SCHEMAS = new URL('../../events/published/schemas/', import.meta.url);

interface Schema {
  readonly $id: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

export interface Judge {
  /** What is wrong with it; an empty list: nothing. */
  (event: unknown): readonly string[];
  readonly names: readonly string[];
}

export function openJudge(): Judge {
  const files = readdirSync(SCHEMAS);
  const schemas = files.map((file) => JSON.parse(readFileSync(new URL(file, SCHEMAS), 'utf8')) as Schema);
  const properties = new Map(schemas.map((schema) => [schema.$id, Object.keys(schema.properties)]));
  const ajv = new Ajv2020({ schemas, allErrors: true, strict: true, strictRequired: false });
  const validate = ajv.getSchema('urn:triplicate:schema:event.v1');
  if (validate === undefined) throw new Error('there is no schema of the envelope');
  const judge = (event: unknown) => {
    if (!validate(event))
      return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
    // Readers must leave alone what they do not know; what we write is known.
    const { dataschema, data } = event as { readonly dataschema: string; readonly data: object };
    const known = properties.get(dataschema) ?? [];
    return Object.keys(data).flatMap((name) => (known.includes(name) ? [] : [`/data/${name} is in no schema`]));
  };
  const names = files.map((file) => file.replace(/\.v1\.json$/, '')).filter((name) => name !== 'event');
  return Object.assign(judge, { names });
}
