/** A program on Google Cloud, by the SDK for Cloud Storage. */

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type File, type FileMetadata, Storage } from '@google-cloud/storage';
import type { LocalConfig } from '../../../local/config.ts';
import { type About, type App, headersOf, type Kept, OURS, unlessMissing, withoutMarker } from './app.ts';

export function openGcpApp({ gcp }: LocalConfig): App {
  const { storageEndpoint, projectId, bucket } = gcp;
  const box = new Storage({ apiEndpoint: storageEndpoint, projectId }).bucket(bucket);

  async function written(file: File): Promise<string> {
    return file.metadata.generation === undefined ? physOf((await file.getMetadata())[0]) : physOf(file.metadata);
  }

  return {
    site: 'gcp',
    async put(name, bytes, about = {}) {
      const file = box.file(name);
      const body = typeof bytes === 'string' ? bytes : Buffer.from(bytes);
      // What the SDK guesses from the name would not be what this program said.
      await file.save(body, { resumable: false, metadata: { contentType: 'text/plain', ...toMetadata(about) } });
      return written(file);
    },
    async upload(name, body) {
      const file = box.file(name);
      await pipeline(body, file.createWriteStream({ resumable: true, metadata: { contentType: 'text/plain' } }));
      return written(file);
    },
    async patch(name, about) {
      const [metadata] = await box.file(name).setMetadata(toMetadata(about));
      return physOf(metadata as FileMetadata);
    },
    async copy(from, to) {
      const [file] = await box.file(from).copy(box.file(to));
      return physOf((await file.getMetadata())[0]);
    },
    async remove(name) {
      await box.file(name).delete();
    },
    async head(name) {
      const found = await unlessMissing(box.file(name).getMetadata(), statusOf);
      if (found === null) return null;
      const [metadata] = found;
      const { contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl } = metadata;
      return {
        phys: physOf(metadata),
        sizeBytes: Number(metadata.size),
        headers: headersOf({ contentType, contentEncoding, contentLanguage, contentDisposition, cacheControl }),
        ...withoutMarker(metadata.metadata as Readonly<Record<string, string>> | undefined),
      };
    },
    // What is stored packed is wanted packed.
    open: async (name) => Readable.from(box.file(name).createReadStream({ decompress: false })),
    async list() {
      const [files] = await box.getFiles();
      return new Map(ownOf(files).map(({ name, metadata }) => [name, physOf(metadata)]));
    },
    async history() {
      const [files] = await box.getFiles({ versions: true });
      return ownOf(files).map(({ name, metadata }): Kept => ({ name, phys: physOf(metadata), isDelete: false }));
    },
    close: () => {},
  };
}

function ownOf(files: readonly File[]): readonly File[] {
  return files.filter(({ name }) => !name.startsWith(OURS));
}

function physOf({ generation, metageneration }: Pick<FileMetadata, 'generation' | 'metageneration'>): string {
  return `g:${generation}.${metageneration}`;
}

function toMetadata({ headers = {}, user }: About): FileMetadata {
  return { ...headers, ...(user !== undefined && { metadata: { ...user } }) };
}

function statusOf(error: unknown): unknown {
  return (error as { code?: number }).code;
}
