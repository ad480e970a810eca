/** A large copy under way: what is read from where, into which stage object, and which parts are done. Kept as ledger records. */

import { createHash } from 'node:crypto';
import { invalid } from './fault.ts';
import type { ObjectMetadata } from './object.ts';
import type { SiteId } from './site.ts';

export interface CopyJob {
  readonly key: string;
  readonly vid: string;
  readonly site: SiteId;
  readonly source: { readonly site: SiteId; readonly key: string; readonly phys: string };
  readonly metadata: ObjectMetadata;
  /** Checksums that the source's service stores for the whole object. */
  readonly stored: { readonly crc32c?: string; readonly crc64nvme?: string };
  readonly sizeBytes: number;
  readonly partBytes: number;
  readonly upload: string;
  readonly createdAt: number;
  /** The stage object, once complete. */
  readonly staged: { readonly phys: string; readonly crc32c: string; readonly crc64nvme: string } | null;
  /** How far the copy of the stage object to its place is, in words of the driver, and the write it was begun as. */
  readonly publishing: { readonly wid: string; readonly progress: string } | null;
}

/** What is left of an ended job for a while, so that a revision is never used twice. */
export interface ClosedJob {
  readonly closedAt: number;
}

export type CopyPart =
  | { readonly kind: 'leased'; readonly token: string; readonly until: number }
  | {
      readonly kind: 'done';
      readonly receipt: string;
      readonly sizeBytes: number;
      readonly crc32c: string;
      readonly crc64nvme: string;
    };

export const JOB_PREFIX = 'job/';
const STAGE_PREFIX = '.triplicate/stage/';
/** Below the 10,000 of S3 and GCS, so that a part size rounded up still fits. */
const PARTS_AIMED = 8_000;
const MIB = 1024 * 1024;

export function jobName(key: string, vid: string, site: SiteId): string {
  return `${createHash('sha256').update(key).digest('hex').slice(0, 32)}-${vid.replace(':', '-')}-${site}`;
}

export function jobId(name: string): string {
  return `${JOB_PREFIX}${name}`;
}

/** Of one upload: a worker that wakes up late cannot touch the parts of the job that followed. */
export function partId(name: string, upload: string, part: number): string {
  return `${partsPrefix(name)}${createHash('sha256').update(upload).digest('hex').slice(0, 16)}/${String(part).padStart(5, '0')}`;
}

export function partsPrefix(name: string): string {
  return `part/${name}/`;
}

export function stageKey(name: string): string {
  return `${STAGE_PREFIX}${name}`;
}

/** The wished size, or as much as the object needs to stay within the number of parts every cloud allows. */
export function partBytesFor(sizeBytes: number, wishedBytes: number): number {
  const least = Math.ceil(sizeBytes / PARTS_AIMED);
  return least <= wishedBytes ? wishedBytes : Math.ceil(least / (8 * MIB)) * 8 * MIB;
}

export function partCount(sizeBytes: number, partBytes: number): number {
  return Math.max(1, Math.ceil(sizeBytes / partBytes));
}

export function readCopyJob(text: string): CopyJob | ClosedJob {
  const fields = parse(text, 'job');
  if ('closedAt' in fields) {
    if (!Number.isSafeInteger(fields.closedAt)) throw invalid('job.closedAt', fields.closedAt, 'an integer');
    return fields as unknown as ClosedJob;
  }
  const job = fields as unknown as CopyJob;
  for (const field of ['key', 'vid', 'site', 'upload'] as const)
    if (typeof job[field] !== 'string') throw invalid(`job.${field}`, job[field], 'a string');
  for (const field of ['sizeBytes', 'partBytes', 'createdAt'] as const)
    if (!Number.isSafeInteger(job[field])) throw invalid(`job.${field}`, job[field], 'an integer');
  if (typeof job.source?.phys !== 'string') throw invalid('job.source', job.source, 'a physical version');
  if (typeof job.stored !== 'object' || job.stored === null) throw invalid('job.stored', job.stored, 'checksums');
  if (typeof job.metadata?.user !== 'object') throw invalid('job.metadata', job.metadata, 'metadata');
  if (job.staged !== null && typeof job.staged?.phys !== 'string')
    throw invalid('job.staged', job.staged, 'a stage object or null');
  // Left out by those who did not know of it.
  if (job.publishing === undefined) return { ...job, publishing: null };
  if (job.publishing !== null && typeof job.publishing.progress !== 'string')
    throw invalid('job.publishing', job.publishing, 'the progress of a copy or null');
  return job;
}

export function readCopyPart(text: string): CopyPart {
  const part = parse(text, 'part') as unknown as CopyPart;
  if (part.kind === 'leased' && typeof part.token === 'string' && Number.isSafeInteger(part.until)) return part;
  if (part.kind === 'done' && typeof part.receipt === 'string' && Number.isSafeInteger(part.sizeBytes)) return part;
  throw invalid('part', part, 'a leased or a done part');
}

function parse(text: string, field: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // told below, with the text
  }
  throw invalid(field, text, 'a JSON object');
}
