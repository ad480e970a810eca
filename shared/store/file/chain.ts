/** The versions of one key: numbered records in its folder, each published whole, by one process only. */

import { link, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fault } from '../../model/fault.ts';
import type { ObjectMetadata, ObjectVersion } from '../../model/object.ts';
import { NO_METADATA } from '../flavours.ts';
import type { WriteCondition } from '../store.ts';
import { codeOf, ifThere, makeFolder, syncFolder, writeFile } from './disk.ts';
import { foldersOf } from './names.ts';

/** What is kept beside the bytes; `id` names their file, and belongs to nothing else. */
export interface Kept {
  readonly format: 1;
  readonly key: string;
  readonly kind: 'object' | 'delete-marker';
  readonly id: string;
  readonly sizeBytes: number;
  readonly modifiedAt: number;
  readonly metadata: ObjectMetadata;
  readonly marker?: string;
  readonly checksums: { readonly crc32c?: string; readonly crc64nvme?: string };
}

export type NewKept = Omit<Kept, 'format' | 'modifiedAt'>;

export interface Entry {
  readonly version: ObjectVersion;
  readonly kept: Kept;
}

export interface Chain {
  /** Oldest first. */
  all(): Promise<readonly Entry[]>;
  newest(): Promise<Entry | null>;
  find(phys: string): Promise<Entry | null>;
  /** Where the bytes of a version are, or will be. */
  bodyOf(id: string): string;
  /** Makes the folder in which the bytes are written before they are published. */
  prepare(): Promise<void>;
  publish(kept: NewKept, condition: WriteCondition): Promise<ObjectVersion>;
}

export interface Places {
  readonly objects: string;
  readonly temp: string;
  readonly now: () => number;
}

const RECORD = /^(\d{12})\.json$/;
const PHYS = /^f:(\d+)-(.+)$/;

/** Each time somebody else was first, so that many others have got what they wanted. */
const ATTEMPTS_MAX = 1000;

export function openChain({ objects, temp, now }: Places, key: string): Chain {
  const folder = join(objects, ...foldersOf(key));

  async function numbers(): Promise<readonly number[]> {
    const names = (await ifThere(() => readdir(folder))) ?? [];
    return names
      .flatMap((name) => RECORD.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  async function read(number: number): Promise<Entry | null> {
    const text = await ifThere(() => readFile(recordOf(number), 'utf8'));
    return text === null ? null : toEntry(key, number, text);
  }

  function recordOf(number: number): string {
    return join(folder, `${String(number).padStart(12, '0')}.json`);
  }

  async function newest(): Promise<Entry | null> {
    const number = (await numbers()).at(-1);
    return number === undefined ? null : read(number);
  }

  return {
    newest,
    bodyOf: (id) => join(folder, `${id}.body`),
    prepare: () => makeFolder(folder),

    async all() {
      const entries = await Promise.all((await numbers()).map(read));
      return entries.filter((entry) => entry !== null);
    },

    async find(phys) {
      const number = PHYS.exec(phys)?.[1];
      const entry = number === undefined ? null : await read(Number(number));
      return entry?.version.phys === phys ? entry : null;
    },

    async publish(given, condition) {
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        const last = (await numbers()).at(-1) ?? 0;
        const before = last === 0 ? null : await read(last);
        check(condition, before);
        const modifiedAt = Math.max(now(), before?.version.modifiedAt ?? 0);
        const kept: Kept = { format: 1, ...given, modifiedAt };
        const number = last + 1;
        const draft = join(temp, `${given.id}-${attempt}`);
        await writeFile(draft, [Buffer.from(JSON.stringify(kept))]);
        try {
          // Fails where the name is taken: of all who saw the same newest version one is the next, in any process.
          await link(draft, recordOf(number));
        } catch (error) {
          if (codeOf(error) === 'EEXIST') continue;
          throw error;
        } finally {
          await rm(draft, { force: true });
        }
        await syncFolder(folder).catch((error: unknown) => {
          throw fault('timeout', 'published, and perhaps not for good', { cause: error });
        });
        return toVersion(key, number, kept);
      }
      throw fault('conflict', `${ATTEMPTS_MAX} times somebody else was first`);
    },
  };
}

/** Nothing stands where the newest version is a delete marker. */
export function standing(entry: Entry | null): Entry | null {
  return entry?.kept.kind === 'object' ? entry : null;
}

export function check(condition: WriteCondition, newest: Entry | null): void {
  if (condition.kind === 'always') return;
  const stands = standing(newest)?.version;
  if (condition.kind === 'if-absent' && stands) throw fault('precondition', `${stands.phys} stands here`);
  if (condition.kind === 'if-token' && stands?.token !== condition.token)
    throw fault('precondition', `${stands?.token ?? 'nothing'} stands here, not ${condition.token}`);
}

export function deletionOf(key: string, id: string): NewKept {
  return { key, kind: 'delete-marker', id, sizeBytes: 0, metadata: NO_METADATA, checksums: {} };
}

function toEntry(key: string, number: number, text: string): Entry {
  let kept: Partial<Kept>;
  try {
    kept = JSON.parse(text) as Partial<Kept>;
  } catch (error) {
    throw fault('corrupt', `record ${number} is no JSON`, { field: 'record', value: number, cause: error });
  }
  const sound = kept.format === 1 && kept.key === key && typeof kept.id === 'string';
  if (!sound) throw fault('corrupt', `record ${number} is none of this key`, { field: 'record', value: number });
  return { kept: kept as Kept, version: toVersion(key, number, kept as Kept) };
}

function toVersion(key: string, number: number, kept: Kept): ObjectVersion {
  const { kind, id, sizeBytes, modifiedAt, metadata, marker, checksums } = kept;
  const phys = `f:${number}-${id}`;
  return {
    key,
    kind,
    phys,
    token: kind === 'object' ? phys : null,
    body: phys,
    revision: 1,
    sizeBytes,
    modifiedAt,
    metadata,
    ...(marker !== undefined && { marker }),
    checksums,
  };
}
