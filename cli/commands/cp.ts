/** `triplicate cp`: copies between any two of the clouds and files, checked, and nothing overwritten by accident. */

import { fault, isFault } from '../../shared/model/fault.ts';
import { checkKey } from '../../shared/model/key-map.ts';
import { openStore } from '../../shared/store/open.ts';
import type { ObjectStore, WriteCondition } from '../../shared/store/store.ts';
import type { Access } from '../../shared/world/open.ts';
import { openSystemClock, openSystemRandom } from '../../shared/world/system.ts';
import { CONFIG_OPTION, type Command, type Context, EXIT, type Given, JSON_OPTION, Mistake } from '../command.ts';
import { type Address, readAddress, toText } from '../cp/address.ts';
import { type Copied, copy, type Target } from '../cp/copy.ts';
import { fileSource, filesBelow, objectSource, objectsBelow, pathBelow, type Source } from '../cp/ends.ts';
import { toSentence } from '../dispatch.ts';
import { openProgress, type Progress } from '../progress.ts';
import { readAccess } from '../settings.ts';
import { bytes, count, name } from '../words.ts';

export const cp: Command = {
  name: 'cp',
  summary: 'copy between any two of s3://, gs://, az:// and files, checked',
  takes: 'SRC DST',
  about: [
    'Addresses are s3://BUCKET/KEY, gs://BUCKET/KEY, az://ACCOUNT/CONTAINER/KEY, file:///PATH, or a path that begins with',
    '/, ./ or ../. A DST that ends in / is a folder: the copy goes into it under the name of SRC.',
    '',
    'Content type and user metadata go along between clouds; files have none. Bytes are compared with the checksums that',
    'the source keeps, before the copy is complete, and with those of the copy. Within one bucket the service copies by',
    'itself. What stands at DST is not overwritten, unless --force or --if-token allows it.',
    '',
    'To a bucket that Triplicate replicates, this is a client as any other: what it writes goes to the other sites.',
  ],
  examples: [
    ['triplicate cp ./cat.jpg s3://triplicate/photos/', 'one file, to s3://triplicate/photos/cat.jpg'],
    ['triplicate cp --recursive gs://triplicate/photos/ az://account/container/photos/', 'all keys below photos/'],
    ['triplicate cp az://devstoreaccount1/triplicate/a.txt ./', 'an object to this folder'],
  ],
  options: [
    CONFIG_OPTION,
    JSON_OPTION,
    { name: 'recursive', about: 'SRC and DST are folders: copy all that is below SRC' },
    { name: 'force', about: 'overwrite what stands at DST' },
    { name: 'if-token', takes: 'TOKEN', about: 'overwrite DST only if it still has this ETag or generation' },
    { name: 'content-type', takes: 'TYPE', about: 'of a file that becomes an object' },
    { name: 'region', takes: 'REGION', about: 'of an S3 bucket that the configuration does not name (AWS_REGION)' },
    { name: 'concurrency', takes: 'N', about: 'copies at once with --recursive (8)' },
    { name: 'dry-run', about: 'tell what would be copied, and copy nothing' },
  ],
  run,
};

interface Job {
  readonly from: Address;
  readonly to: Address;
  readonly sizeBytes: number;
}

type Result = Job & ({ readonly copied: Copied } | { readonly error: string });

async function run(given: Given, context: Context): Promise<number> {
  const [src = '', dst = ''] = given.words;
  const from = readAddress(src, context.folder);
  const to = readAddress(dst, context.folder);
  const token = given.text('if-token');
  if (token !== undefined && (given.has('recursive') || given.has('force') || to.kind === 'file'))
    throw new Mistake('--if-token is for one object at DST, without --recursive and --force.');
  const concurrency = given.count('concurrency', 8, { min: 1, max: 256 });
  const stores = await openStores(given, context);
  try {
    const jobs = given.has('recursive') ? await jobsBelow(stores, from, to) : [await oneJob(stores, from, to, given)];
    if (given.has('dry-run')) return tellPlan(given, context, jobs);
    const condition: WriteCondition =
      token !== undefined ? { kind: 'if-token', token } : { kind: given.has('force') ? 'always' : 'if-absent' };
    const progress = openProgress(
      context,
      jobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    );
    const results = await copyAll(stores, jobs, { condition, concurrency, progress, given });
    progress.end();
    return tell(given, context, results);
  } finally {
    stores.close();
  }
}

interface Stores {
  of(address: Extract<Address, { kind: 'object' }>): Promise<ObjectStore>;
  close(): void;
}

/** Each bucket is opened once, with the rights of the configuration, or those that the SDKs find. */
async function openStores(given: Given, context: Context): Promise<Stores> {
  const { access, regions } = await readAccess(context, given.text('config'));
  const how = { clock: openSystemClock(), random: openSystemRandom(), timer: context.timer };
  const opened = new Map<string, ReturnType<typeof openStore>>();
  const closing: Array<() => void> = [];
  return {
    async of({ cloud, bucket }) {
      const id = `${cloud} ${bucket}`;
      let opening = opened.get(id);
      if (opening === undefined) {
        const { env } = context;
        const region = given.text('region') ?? regions[id] ?? env.AWS_REGION ?? env.AWS_DEFAULT_REGION ?? 'us-east-1';
        opening = openStore({ id: cloud, cloud, region, bucket, mode: 'active' }, withoutProbe(access, bucket), how);
        opened.set(id, opening);
      }
      const { store, close } = await opening;
      if (!closing.includes(close)) closing.push(close);
      return store;
    },
    close: () => {
      for (const close of closing) close();
    },
  };
}

/** What only the past of an object would need, this needs not: nothing is written to find it out. */
function withoutProbe(access: Access, bucket: string): Access {
  const [account = ''] = bucket.split('/');
  const known = access.azure?.[account] ?? { url: `https://${account}.blob.core.windows.net` };
  return { ...access, azure: { ...access.azure, [account]: { ...known, history: 'current' } } };
}

async function oneJob(stores: Stores, from: Address, to: Address, given: Given): Promise<Job> {
  const source = await sourceAt(stores, from, given);
  if (source === null) {
    const hint = await folderHint(stores, from);
    throw fault('not-found', `${toText(from)} is not there${hint}`);
  }
  return { from, to: into(to, source.name), sizeBytes: source.sizeBytes };
}

async function folderHint(stores: Stores, from: Address): Promise<string> {
  if (from.kind !== 'object') return '';
  const prefix = from.key === '' || from.key.endsWith('/') ? from.key : `${from.key}/`;
  const { objects } = await (await stores.of(from)).list({ prefix, limit: 1 });
  return objects.length > 0 ? '; it is a folder, which --recursive copies' : '';
}

function into(to: Address, file: string): Address {
  if (to.kind === 'file') return to.isFolder ? { ...to, path: pathBelow(to.path, file), isFolder: false } : to;
  return to.key === '' || to.key.endsWith('/') ? { ...to, key: to.key + file } : to;
}

async function jobsBelow(stores: Stores, from: Address, to: Address): Promise<readonly Job[]> {
  const root = asFolder(from);
  const goal = asFolder(to);
  const found =
    root.kind === 'file' ? await filesBelow(root.path) : await objectsBelow(await stores.of(root), root.key);
  if (found.length === 0) throw fault('not-found', `nothing is below ${toText(root)}`);
  return found.map(({ name: below, sizeBytes }) => ({
    from: root.kind === 'file' ? { ...root, path: pathBelow(root.path, below) } : { ...root, key: root.key + below },
    // Whether such a file can be is told when it is its turn, so that the others are copied.
    to: goal.kind === 'file' ? { ...goal, path: `${goal.path}/${below}` } : { ...goal, key: goal.key + below },
    sizeBytes,
  }));
}

function asFolder(address: Address): Address {
  if (address.kind === 'file') return { ...address, path: address.path.replace(/(?<=.)\/$/, ''), isFolder: true };
  return address.key === '' || address.key.endsWith('/') ? address : { ...address, key: `${address.key}/` };
}

async function sourceAt(stores: Stores, from: Address, given: Given): Promise<Source | null> {
  if (from.kind === 'file') return fileSource(from.path, given.text('content-type'));
  return objectSource(await stores.of(from), checkKey(from.key));
}

async function targetAt(stores: Stores, to: Address): Promise<Target> {
  if (to.kind === 'object') return { kind: 'object', store: await stores.of(to), key: checkKey(to.key) };
  return { kind: 'file', path: pathBelow('/', to.path.slice(1)) };
}

async function copyAll(
  stores: Stores,
  jobs: readonly Job[],
  how: {
    readonly condition: WriteCondition;
    readonly concurrency: number;
    readonly progress: Progress;
    readonly given: Given;
  },
): Promise<readonly Result[]> {
  const { condition, concurrency, progress, given } = how;
  const results: Result[] = [];
  const { id: nextId } = openSystemRandom();
  let next = 0;
  const work = async () => {
    for (let at = next++; at < jobs.length; at = next++) {
      const job = jobs[at] as Job;
      results[at] = { ...job, ...(await attempt(job)) };
    }
  };
  const attempt = async ({ from, to }: Job): Promise<{ copied: Copied } | { error: string }> => {
    try {
      const target = await targetAt(stores, to);
      const source = await sourceAt(stores, from, given);
      if (source === null) return { error: 'it is gone' };
      return { copied: await copy(source, target, { condition, nextId, onBytes: progress.add }) };
    } catch (error) {
      if (isFault(error, 'precondition'))
        return {
          error:
            condition.kind === 'if-token'
              ? 'what stands there has another token'
              : 'something stands there: --force overwrites it',
        };
      if (isFault(error) || (error instanceof Error && 'code' in error)) return { error: toSentence(error as Error) };
      throw error;
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, jobs.length) }, work));
  return results;
}

function tellPlan(given: Given, context: Context, jobs: readonly Job[]): number {
  const plan = jobs.map(({ from, to, sizeBytes }) => ({ from: toText(from), to: toText(to), sizeBytes }));
  if (given.has('json')) context.out(JSON.stringify({ wouldCopy: plan }, null, 2));
  else for (const { from, to, sizeBytes } of plan) context.out(`${name(from)} -> ${name(to)} (${bytes(sizeBytes)})`);
  return EXIT.fine;
}

const LINES_MAX = 20;

function tell(given: Given, context: Context, results: readonly Result[]): number {
  const done = results.flatMap((it) => ('copied' in it ? [it] : []));
  const failed = results.flatMap((it) => ('error' in it ? [it] : []));
  if (given.has('json')) {
    const copied = done.map(({ from, to, copied: it }) => ({ from: toText(from), to: toText(to), ...it }));
    const errors = failed.map(({ from, to, error }) => ({ from: toText(from), to: toText(to), error }));
    context.out(JSON.stringify({ copied, failed: errors }, null, 2));
    return failed.length === 0 ? EXIT.fine : EXIT.found;
  }
  for (const { to, copied } of done.slice(0, LINES_MAX)) {
    const crc = copied.crc32c ?? copied.crc64nvme;
    const sum = crc === null ? '' : `, ${copied.crc32c === null ? 'CRC-64' : 'CRC-32C'} ${crc}`;
    context.out(`${name(toText(to))}: ${bytes(copied.sizeBytes)}, ${copied.how}${sum}`);
  }
  if (done.length > LINES_MAX) context.out(`and ${count(done.length - LINES_MAX, 'more', 'more')}`);
  for (const { to, error } of failed.slice(0, LINES_MAX)) context.err(`${name(toText(to))}: not copied: ${error}`);
  if (results.length > 1) {
    const total = bytes(done.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    context.out(
      `${count(done.length, 'object')} copied, ${total}${failed.length > 0 ? `; ${failed.length} not copied` : ''}.`,
    );
  }
  return failed.length === 0 ? EXIT.fine : EXIT.found;
}
