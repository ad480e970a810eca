/** The bench that the conformance tests of an object store work at: what is given to each, and shorthand for it. */

import { expect } from 'vitest';
import { crc32c, crc64nvme, toCrc32cText, toCrc64nvmeText } from '#shared/model/crc.ts';
import { Fault, type FaultKind } from '#shared/model/fault.ts';
import type { ObjectMetadata, ObjectVersion } from '#shared/model/object.ts';
import type { ObjectStore, PutOptions, StoreCapabilities, WriteCondition } from '#shared/store/store.ts';

export interface StoreClient {
  /** Other metadata under the same bytes; the marker entry stays. */
  patchMetadata(key: string, metadata: ObjectMetadata): Promise<unknown>;
}

export interface Bench {
  readonly store: ObjectStore;
  readonly can: StoreCapabilities;
  readonly client: StoreClient | undefined;
  /** A key nobody else uses, by default `<prefix>key`. */
  key(name?: string): string;
}

export interface Case {
  readonly test: string;
  readonly needs?: 'client';
  run(bench: Bench): Promise<void>;
}

export const ALWAYS: WriteCondition = { kind: 'always' };
export const IF_ABSENT: WriteCondition = { kind: 'if-absent' };
export const PLAIN: ObjectMetadata = { headers: { contentType: 'text/plain' }, user: { owner: 'tests' } };
export const RICH: ObjectMetadata = {
  headers: {
    contentType: 'text/html; charset=utf-8',
    contentEncoding: 'identity',
    contentLanguage: 'en-GB',
    contentDisposition: 'attachment; filename="page.html"',
    cacheControl: 'public, max-age=60',
  },
  user: { owner: 'tests', colour: 'blue and green', n1: '1' },
};

export function options(changes: Partial<PutOptions> = {}): PutOptions {
  return { condition: ALWAYS, metadata: PLAIN, ...changes };
}

export function put(
  store: ObjectStore,
  key: string,
  body: string | AsyncIterable<Uint8Array>,
  changes: Partial<PutOptions> = {},
): Promise<ObjectVersion> {
  return store.put(key, typeof body === 'string' ? encode(body) : body, options(changes));
}

export function copyOnto(
  store: ObjectStore,
  source: ObjectVersion,
  key: string,
  changes: Partial<PutOptions> = {},
): Promise<ObjectVersion> {
  return store.copy({ key: source.key, phys: source.phys }, key, options(changes));
}

export function ifToken({ token }: ObjectVersion): WriteCondition {
  if (token === null) throw new Error('a delete marker has no token');
  return { kind: 'if-token', token };
}

export async function refused(promise: Promise<unknown>, ...kinds: readonly FaultKind[]): Promise<void> {
  const outcome = await promise.then(
    () => 'an answer',
    (error: unknown) => (error instanceof Fault ? error.kind : error),
  );
  expect(kinds).toContain(outcome);
}

export async function content(store: ObjectStore, key: string, { phys }: ObjectVersion): Promise<string> {
  return text((await store.get(key, phys)).body);
}

export async function text(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

export function encode(body: string): Uint8Array {
  return new TextEncoder().encode(body);
}

export function sumsOf(bytes: Uint8Array): { readonly crc32c: string; readonly crc64nvme: string } {
  return { crc32c: toCrc32cText(crc32c(bytes)), crc64nvme: toCrc64nvmeText(crc64nvme(bytes)) };
}

export async function uploadWhole(store: ObjectStore, key: string, body: string): Promise<ObjectVersion> {
  const upload = await store.createUpload(key);
  const part = await store.putPart(key, upload, 1, encode(body));
  return store.completeUpload(key, upload, [part]);
}
