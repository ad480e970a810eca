/** Where something is to be copied from or to: `s3://bucket/key`, `gs://bucket/key`, `az://account/container/key`, a file. */

import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Cloud } from '../../shared/model/site.ts';
import { Mistake } from '../command.ts';

export type Address =
  | {
      readonly kind: 'object';
      readonly cloud: Cloud;
      /** On Azure `account/container`. */
      readonly bucket: string;
      /** Empty, or ending in `/`: a folder. */
      readonly key: string;
    }
  | { readonly kind: 'file'; readonly path: string; readonly isFolder: boolean };

const SCHEMES = { s3: 'aws', gs: 'gcp', az: 'azure' } as const;
const SCHEME_OF = { aws: 's3', gcp: 'gs', azure: 'az' } as const;
const SHAPES = { s3: 's3://BUCKET/KEY', gs: 'gs://BUCKET/KEY', az: 'az://ACCOUNT/CONTAINER/KEY' } as const;

/** Keys are taken as they are written: nothing in them is decoded. Throws a Mistake. */
export function readAddress(text: string, folder: string): Address {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/s.exec(text) ?? [];
  if (Object.hasOwn(SCHEMES, scheme)) return readObject(scheme as keyof typeof SCHEMES, rest, text);
  if (scheme === 'file') return { kind: 'file', path: toPath(text), isFolder: text.endsWith('/') };
  if (scheme === '' && /^\.{0,2}\/|^\.{1,2}$/.test(text))
    return { kind: 'file', path: resolve(folder, text), isFolder: /\/$|^\.{1,2}$/.test(text) };
  const shapes = [...Object.values(SHAPES), 'file:///PATH', './PATH'].join(', ');
  throw new Mistake(`${text} is no address that can be copied from or to. Expected one of ${shapes}.`);
}

export function toText(address: Address): string {
  if (address.kind === 'file') return address.path;
  return `${SCHEME_OF[address.cloud]}://${address.bucket}/${address.key}`;
}

function readObject(scheme: keyof typeof SCHEMES, rest: string, text: string): Address {
  const segments = rest.split('/');
  const depth = scheme === 'az' ? 2 : 1;
  const bucket = segments.slice(0, depth).join('/');
  if (segments.length < depth || bucket.split('/').some((it) => it === ''))
    throw new Mistake(`${text}: expected ${SHAPES[scheme]}.`);
  return { kind: 'object', cloud: SCHEMES[scheme], bucket, key: segments.slice(depth).join('/') };
}

function toPath(text: string): string {
  try {
    return fileURLToPath(text);
  } catch (error) {
    throw new Mistake(`${text}: expected file:/// and an absolute path; ${(error as Error).message}.`);
  }
}
