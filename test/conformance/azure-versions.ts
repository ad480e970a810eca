/** Azure Blob with versions, which no local service has: the memory driver behind as much REST as the driver speaks. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc64nvme } from '#shared/model/crc.ts';
import { Fault } from '#shared/model/fault.ts';
import type { ObjectMetadata, ObjectVersion } from '#shared/model/object.ts';
import { openMemoryStore } from '#shared/store/memory.ts';
import type { PutOptions, WriteCondition } from '#shared/store/store.ts';

export interface AzureVersions {
  /** The blob endpoint of the account; whoever asks may do everything. */
  readonly url: string;
  /** The same container without a wire. */
  readonly inside: ReturnType<typeof openMemoryStore>;
  /** As the account has it from now on. */
  hierarchical: boolean;
  stop(): Promise<void>;
}

const PAGE = 3;
const STATUS_OF_CODE: Readonly<Record<string, number>> = { BlobAlreadyExists: 409, ConditionNotMet: 412 };
const CODE_OF_KIND: Readonly<Record<string, string>> = { 'not-found': 'BlobNotFound', precondition: 'ConditionNotMet' };
const HEADERS = {
  contentType: 'content-type',
  contentEncoding: 'content-encoding',
  contentLanguage: 'content-language',
  contentDisposition: 'content-disposition',
  cacheControl: 'cache-control',
} as const;

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly name: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
  header(name: string): string | undefined;
}

/** Pages of a list are short, so that everybody has to turn them. */
export async function startAzureVersions(): Promise<AzureVersions> {
  let count = 0;
  const start = Date.parse('2026-01-01T00:00:00Z');
  const inside = openMemoryStore({
    site: 'z',
    flavour: 'azure',
    versioned: true,
    now: () => start + count * 1000,
    nextId: () => new Date(start + ++count).toISOString().replace('Z', '0000Z'),
  });
  const names = new Set<string>();
  const blocks = new Map<string, Map<string, Buffer>>();
  const account = { hierarchical: false };

  async function put({ name, header, request, response }: Asked, bytes: Uint8Array): Promise<void> {
    const metadata: ObjectMetadata = { headers: {}, user: {} };
    for (const [field, label] of Object.entries(HEADERS)) {
      const value = header(`x-ms-blob-${label}`);
      if (value !== undefined) Object.assign(metadata.headers, { [field]: value });
    }
    const { triplicate, ...user } = Object.fromEntries(readMetadata(request));
    const options: PutOptions = {
      condition: readCondition(header),
      metadata: { ...metadata, user },
      ...(triplicate !== undefined && { marker: triplicate }),
    };
    const written = await inside.put(name, bytes, options);
    names.add(name);
    blocks.delete(name);
    answer(response, 201, toHeaders(written));
  }

  async function find({ name, query, header }: Asked): Promise<ObjectVersion> {
    const versionId = query.get('versionid');
    const all = await inside.versions(name);
    const found = versionId === null ? all.at(-1) : all.find(({ phys }) => phys.startsWith(`${versionId}:`));
    if (found?.kind !== 'object') throw new Fault('not-found', name);
    const wanted = header('if-match');
    if (wanted !== undefined && wanted !== found.token) throw new Fault('precondition', name);
    return found;
  }

  async function bytesOf(version: ObjectVersion): Promise<Buffer> {
    const pieces: Uint8Array[] = [];
    for await (const piece of (await inside.get(version.key, version.phys)).body) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async function get(asked: Asked): Promise<void> {
    const version = await find(asked);
    const bytes = await bytesOf(version);
    const range = /^bytes=(\d+)-(\d+)$/.exec(asked.header('x-ms-range') ?? '');
    if (!range) return answer(asked.response, 200, { ...toHeaders(version), ...describe(version) }, bytes);
    const [from, to] = [Number(range[1]), Math.min(Number(range[2]), bytes.length - 1)];
    if (from >= bytes.length) return answer(asked.response, 416, { 'x-ms-error-code': 'InvalidRange' });
    const headers = { ...toHeaders(version), ...describe(version) };
    const part = bytes.subarray(from, to + 1);
    answer(asked.response, 206, { ...headers, 'content-range': `bytes ${from}-${to}/${bytes.length}` }, part);
  }

  async function stage(asked: Asked): Promise<void> {
    const { name, query, header, response } = asked;
    let { body } = asked;
    const source = header('x-ms-copy-source');
    if (source !== undefined) {
      const { searchParams, pathname } = new URL(source);
      const version = await find({ ...asked, name: nameIn(pathname), query: searchParams });
      const range = /^bytes=(\d+)-(\d+)$/.exec(header('x-ms-source-range') ?? '');
      body = (await bytesOf(version)).subarray(Number(range?.[1] ?? 0), Number(range?.[2] ?? version.sizeBytes) + 1);
    }
    const sum = Buffer.alloc(8);
    sum.writeBigUInt64LE(crc64nvme(body));
    const told = header('x-ms-content-crc64');
    if (told !== undefined && told !== sum.toString('base64'))
      return answer(response, 400, { 'x-ms-error-code': 'Crc64Mismatch' });
    const waiting = blocks.get(name) ?? new Map<string, Buffer>();
    blocks.set(name, waiting.set(query.get('blockid')!, body));
    answer(response, 201, { 'x-ms-content-crc64': sum.toString('base64') });
  }

  async function commit(asked: Asked): Promise<void> {
    const waiting = blocks.get(asked.name);
    const ids = Array.from(asked.body.toString().matchAll(/<Latest>([^<]+)<\/Latest>/g), ([, id]) => id!);
    const found = ids.map((id) => waiting?.get(id));
    if (found.includes(undefined)) return answer(asked.response, 400, { 'x-ms-error-code': 'InvalidBlockList' });
    await put(asked, Buffer.concat(found as Buffer[]));
  }

  function showBlocks({ name, response }: Asked): void {
    const waiting = Array.from(blocks.get(name) ?? [], ([id, { length }]) => block(id, length)).join('');
    answer(response, 200, XML, `<BlockList><UncommittedBlocks>${waiting}</UncommittedBlocks></BlockList>`);
  }

  async function list({ query, response }: Asked): Promise<void> {
    const [prefix, from] = [query.get('prefix') ?? '', query.get('startFrom') ?? ''];
    const all = query.get('include')?.includes('versions') === true;
    const rows: string[] = [];
    for (const name of [...names].sort()) {
      if (!name.startsWith(prefix) || name < from) continue;
      const versions = await inside.versions(name);
      for (const version of versions)
        if (version.kind === 'object' && (all || version === versions.at(-1)))
          rows.push(toRow(version, all, version === versions.at(-1)));
    }
    const at = Number(query.get('marker') ?? 0);
    const end = at + Math.min(PAGE, Number(query.get('maxresults') ?? PAGE));
    const next = end < rows.length ? String(end) : '';
    const page = rows.slice(at, end).join('');
    const body = `<EnumerationResults><Blobs>${page}</Blobs><NextMarker>${next}</NextMarker></EnumerationResults>`;
    answer(response, 200, XML, body);
  }

  /** Without a version only what stands goes, and stays as a version; with one it goes for good. */
  async function remove({ name, query, header, response }: Asked): Promise<void> {
    const versionId = query.get('versionid');
    if (versionId !== null) {
      const version = (await inside.versions(name)).find(({ phys }) => phys.startsWith(`${versionId}:`));
      if (version) inside.purge(name, version.phys);
      return answer(response, version ? 202 : 404, version ? {} : { 'x-ms-error-code': 'BlobNotFound' });
    }
    const stands = await inside.head(name);
    if (!stands) throw new Fault('not-found', name);
    await inside.delete(name, readCondition(header));
    answer(response, 202, {});
  }

  const routes: Readonly<Record<string, (asked: Asked) => Promise<void> | void>> = {
    'PUT ': (asked) => put(asked, asked.body),
    'PUT block': stage,
    'PUT blocklist': commit,
    'GET blocklist': showBlocks,
    'GET list': list,
    'GET ': get,
    'HEAD ': async (asked) => {
      const version = await find(asked);
      answer(asked.response, 200, { ...toHeaders(version), ...describe(version) });
    },
    'DELETE ': remove,
    'GET properties': ({ response }) =>
      answer(response, 200, { 'x-ms-is-hns-enabled': String(account.hierarchical), 'x-ms-account-kind': 'StorageV2' }),
  };

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams: query } = new URL(request.url ?? '/', 'http://host');
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece as Buffer);
    const header = (name: string) => request.headers[name] as string | undefined;
    const asked = { request, response, name: nameIn(pathname), query, body: Buffer.concat(pieces), header };
    try {
      const route = routes[`${request.method} ${query.get('comp') ?? ''}`];
      if (!route) return answer(response, 501, { 'x-ms-error-code': 'APINotImplemented' });
      await route(asked);
    } catch (error) {
      const { kind } = error as Fault;
      const exists = kind === 'precondition' && header('if-none-match') === '*';
      const code = exists ? 'BlobAlreadyExists' : (CODE_OF_KIND[kind] ?? 'InvalidInput');
      const status = STATUS_OF_CODE[code] ?? (kind === 'not-found' ? 404 : 400);
      const body = `<Error><Code>${code}</Code><Message>${text(String(error))}</Message></Error>`;
      answer(response, status, { ...XML, 'x-ms-error-code': code }, body);
    }
  }

  // A client that breaks off gets no answer.
  const server = createServer((request, response) => void handle(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(account, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/account`,
    inside,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}

const XML = { 'content-type': 'application/xml' };

function answer(response: ServerResponse, status: number, headers: object, body: Uint8Array | string = ''): void {
  const length = response.req.method === 'HEAD' ? {} : { 'content-length': Buffer.byteLength(body) };
  response.writeHead(status, { ...headers, ...length, 'x-ms-version': '2026-02-06' }).end(body);
}

/** `/account/container/name`; of an account or a container the rest is empty. */
function nameIn(pathname: string): string {
  return decodeURIComponent(pathname.split('/').slice(3).join('/'));
}

function* readMetadata({ headers }: IncomingMessage): Generator<[string, string]> {
  const prefix = 'x-ms-meta-';
  for (const [name, value] of Object.entries(headers))
    if (name.startsWith(prefix)) yield [name.slice(prefix.length), String(value)];
}

function readCondition(header: (name: string) => string | undefined): WriteCondition {
  if (header('if-none-match') === '*') return { kind: 'if-absent' };
  const token = header('if-match');
  return token === undefined ? { kind: 'always' } : { kind: 'if-token', token };
}

function toHeaders({ token, phys, modifiedAt }: ObjectVersion): Record<string, string> {
  const versionId = phys.slice(0, phys.indexOf(':"'));
  return { etag: token!, 'last-modified': new Date(modifiedAt).toUTCString(), 'x-ms-version-id': versionId };
}

function describe({ metadata, marker, sizeBytes }: ObjectVersion): Record<string, string> {
  const headers = Object.entries(metadata.headers).map(([name, value]) => [HEADERS[name as 'contentType'], value]);
  const user = { ...metadata.user, ...(marker !== undefined && { triplicate: marker }) };
  const entries = Object.entries(user).map(([name, value]) => [`x-ms-meta-${name}`, value]);
  return { ...Object.fromEntries([...headers, ...entries]), 'content-length': String(sizeBytes) };
}

function toRow(version: ObjectVersion, all: boolean, current: boolean): string {
  const { etag, 'last-modified': modified, 'x-ms-version-id': versionId } = toHeaders(version);
  const { metadata, marker } = version;
  const properties = Object.entries(metadata.headers)
    .map(([name, value]) => [HEADERS[name as 'contentType'].replace(/(?:^|-)./g, (it) => it.toUpperCase()), value])
    .map(([name, value]) => `<${name}>${text(value!)}</${name}>`);
  const entries = Object.entries({ ...metadata.user, ...(marker !== undefined && { triplicate: marker }) });
  const ids = `<VersionId>${versionId}</VersionId>${current ? '<IsCurrentVersion>true</IsCurrentVersion>' : ''}`;
  return [
    `<Blob><Name>${text(version.key)}</Name>${all ? ids : ''}`,
    `<Properties><Last-Modified>${modified}</Last-Modified><Etag>${text(etag!.slice(1, -1))}</Etag>`,
    `<Content-Length>${version.sizeBytes}</Content-Length>${properties.join('')}</Properties>`,
    `<Metadata>${entries.map(([name, value]) => `<${name}>${text(value)}</${name}>`).join('')}</Metadata></Blob>`,
  ].join('');
}

function block(id: string, size: number): string {
  return `<Block><Name>${id}</Name><Size>${size}</Size></Block>`;
}

function text(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
