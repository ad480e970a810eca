/** What Firestore refuses as a name, and how large a document may be. */

import { grpcError } from '../grpc.ts';
import type { Fields, Value } from './wire.ts';

const ID_BYTES_MAX = 1_500;
const NAME_BYTES_MAX = 6 * 1024;
const DOCUMENT_BYTES_MAX = 1_048_576;
const DEPTH_MAX = 20;
const DATABASE = /^projects\/[^/]+\/databases\/[^/]+$/;

function refused(text: string) {
  return grpcError('INVALID_ARGUMENT', text);
}

export function checkDatabase(name: string): void {
  if (!DATABASE.test(name)) throw refused(`Invalid database name: ${JSON.stringify(name)}`);
}

/** The segments behind `documents`, all of them good. */
function segmentsOf(name: string): readonly string[] {
  const [projects, project, databases, database, documents, ...segments] = name.split('/');
  const fits = projects === 'projects' && project && databases === 'databases' && database && documents === 'documents';
  if (!fits)
    throw refused(`Document name ${JSON.stringify(name)} lacks "projects" at index 0 or what has to follow it.`);
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw refused(`A name may have at most ${NAME_BYTES_MAX} bytes.`);
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..' || /^__.*__$/s.test(segment))
      throw refused(`Resource id ${JSON.stringify(segment)} is invalid because it is empty or reserved.`);
    if (Buffer.byteLength(segment) > ID_BYTES_MAX)
      throw refused(`Resource id is invalid because it has more than ${ID_BYTES_MAX} bytes.`);
  }
  return segments;
}

export function checkDocumentName(name: string): void {
  const { length } = segmentsOf(name);
  if (length === 0 || length % 2 !== 0)
    throw refused(`Document name ${JSON.stringify(name)} has an odd number of segments or none behind "documents".`);
}

/** A document, or the database's root. */
export function checkParent(name: string): void {
  if (segmentsOf(name).length % 2 !== 0) throw refused(`Parent ${JSON.stringify(name)} is no document.`);
}

export function checkCollectionId(id: string): void {
  if (id === '' || id.includes('/')) throw refused(`Collection id ${JSON.stringify(id)} is invalid.`);
}

/** Counts as Firestore says that it does. */
export function checkSize(name: string, fields: Fields): void {
  const bytes = Buffer.byteLength(name) + 32 + sizeOfFields(fields, 1);
  if (bytes > DOCUMENT_BYTES_MAX)
    throw refused(
      `Document '${name}' cannot be written because its size (${bytes.toLocaleString('en')} bytes) exceeds the maximum ` +
        `allowed size of ${DOCUMENT_BYTES_MAX.toLocaleString('en')} bytes.`,
    );
}

function sizeOfFields(fields: Fields, depth: number): number {
  if (depth > DEPTH_MAX) throw refused(`A document may be nested ${DEPTH_MAX} levels deep, not more.`);
  return Object.entries(fields).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + 1 + sizeOf(value, depth),
    0,
  );
}

function sizeOf(value: Value, depth: number): number {
  if (value.stringValue !== undefined) return Buffer.byteLength(value.stringValue) + 1;
  if (value.referenceValue !== undefined) return Buffer.byteLength(value.referenceValue) + 1;
  if (value.bytesValue !== undefined) return value.bytesValue.length;
  if (value.geoPointValue !== undefined) return 16;
  if (value.arrayValue !== undefined) {
    if (value.arrayValue.values.some((it) => it.arrayValue !== undefined))
      throw refused('Cannot convert an array value in an array value.');
    return value.arrayValue.values.reduce((sum, each) => sum + sizeOf(each, depth + 1), 0);
  }
  if (value.mapValue !== undefined) return sizeOfFields(value.mapValue.fields, depth + 1);
  return value.nullValue !== undefined || value.booleanValue !== undefined ? 1 : 8;
}
