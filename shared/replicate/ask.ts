/** Asks a user's own conflict policy, and puts merged bytes where they can be copied from before anyone refers to them. */

import { createHash } from 'node:crypto';
import type { CustomAnswer, Decision } from '../decide/decide.ts';
import { openChecksums } from '../model/crc.ts';
import { isFault } from '../model/fault.ts';
import type { Holder } from '../model/key-item.ts';
import { metaDigest } from '../model/metadata.ts';
import type { ObjectMetadata } from '../model/object.ts';
import type { SiteId } from '../model/site.ts';
import type { ObjectStore, PutOptions } from '../store/store.ts';
import type { Sibling, World } from '../world/world.ts';
import { readVersion } from './read.ts';
import type { Run } from './run.ts';

/** Larger siblings are not handed to a function in memory: the key waits for an operator. */
const SIBLING_BYTES_MAX = 16 * 1024 * 1024;

export async function askPolicy(world: World, run: Run, { ask }: Decision): Promise<void> {
  if (ask === null) return;
  const vids = ask.siblings.map(({ vid }) => vid);
  const answer = await consult(world, run, ask);
  if (answer === null) {
    run.patience -= 1;
    return;
  }
  if (answer.kind === 'defer')
    world.report({ severity: 'alarm', what: 'unresolved', key: run.key, detail: answer.reason });
  run.customAnswer = { siblings: vids, ...answer } as CustomAnswer;
}

type Answer = CustomAnswer extends infer A ? (A extends CustomAnswer ? Omit<A, 'siblings'> : never) : never;

async function consult(world: World, run: Run, ask: NonNullable<Decision['ask']>): Promise<Answer | null> {
  const resolver = world.resolvers[ask.name];
  if (resolver === undefined)
    return { kind: 'defer', reason: `policy custom: no function is called ${JSON.stringify(ask.name)}` };
  const large = ask.siblings.find(({ sizeBytes }) => sizeBytes > SIBLING_BYTES_MAX);
  if (large !== undefined)
    return { kind: 'defer', reason: `${large.vid} has ${large.sizeBytes} bytes, more than a custom policy is given` };

  const siblings: Sibling[] = [];
  for (const version of ask.siblings) {
    const whole = await readVersion(world, run, version);
    if (whole === null) {
      if (Object.keys(version.holders).length === 0)
        return { kind: 'defer', reason: `no site has the bytes of ${version.vid}` };
      return null;
    }
    siblings.push({ version, metadata: whole.version.metadata, bytes: whole.bytes });
  }
  try {
    const said = resolver(siblings);
    if (said.kind === 'pick' && !siblings.some(({ version }) => version.vid === said.vid))
      return {
        kind: 'defer',
        reason: `policy ${ask.name} picked ${JSON.stringify(said.vid)}, which is not among the siblings`,
      };
    return said.kind === 'merge' ? await stage(world, run, said) : said;
  } catch (error) {
    if (isFault(error)) throw error;
    return {
      kind: 'defer',
      reason: `policy ${ask.name} threw: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

/** Named by content: made twice, it is the same object. */
async function stage(
  world: World,
  run: Run,
  { bytes, metadata }: { readonly bytes: Uint8Array; readonly metadata: ObjectMetadata },
): Promise<Answer | null> {
  const sums = openChecksums();
  sums.update(bytes);
  const { crc32c, crc64nvme } = sums.result();
  const digest = metaDigest(metadata);
  const key = `.triplicate/merge/${createHash('sha256').update(bytes).update(digest).digest('hex')}`;
  const holders: Record<SiteId, Holder> = {};
  for (const site of run.route.sites) {
    if (run.down.has(site)) continue;
    try {
      holders[site] = {
        phys: await putOnce(world.stores[site] as ObjectStore, key, bytes, {
          condition: { kind: 'if-absent' },
          metadata,
          checksums: { crc32c, crc64nvme },
        }),
        key,
      };
    } catch (error) {
      if (!isFault(error)) throw error;
      run.down.add(site);
    }
    if (Object.keys(holders).length === 2) break;
  }
  if (Object.keys(holders).length === 0) return null;
  return { kind: 'merge', content: { sizeBytes: bytes.length, crc32c, crc64nvme, metaDigest: digest, holders } };
}

async function putOnce(store: ObjectStore, key: string, bytes: Uint8Array, options: PutOptions): Promise<string> {
  try {
    return (await store.put(key, bytes, options)).phys;
  } catch (error) {
    if (!isFault(error, 'precondition')) throw error;
    const found = await store.head(key);
    if (found === null) throw error;
    return found.phys;
  }
}
