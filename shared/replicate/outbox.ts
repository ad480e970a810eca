/** Brings log entries from the item to the log; a tombstone also leaves a trace in the buckets, for a lost ledger. */

import { isFault } from '../model/fault.ts';
import type { KeyItem, LogicalVersion } from '../model/key-item.ts';
import type { LogEntry } from '../model/log-entry.ts';
import { tombstoneKey, toTombstoneText } from '../model/tombstone.ts';
import type { World } from '../world/world.ts';
import type { Run } from './run.ts';

/** Where a tombstone's trace must stand before the tombstone counts as remembered. */
const TRACES = 2;

export async function flushLog(world: World, run: Run, item: KeyItem): Promise<void> {
  for (const entry of item.outbox) {
    if (run.logged.has(entry.id)) continue;
    const vid = entry.kind === 'superseded' ? entry.by : entry.kind === 'version' ? entry.vid : undefined;
    const version = vid === undefined ? undefined : item.versions[vid];
    if (version?.kind === 'tombstone' && !(await leaveTraces(world, run, version))) continue;
    if (entry.kind === 'quarantined')
      world.report({ severity: 'alarm', what: 'quarantined', key: run.key, detail: entry.note });
    await world.ledger.appendLog(entry);
    // Before the item forgets the entry: a worker that dies in between leaves both to the next one.
    publishLogged(world, entry, item);
    run.logged.add(entry.id);
  }
}

function publishLogged({ publish }: World, entry: LogEntry, { versions, copyOf }: KeyItem): void {
  const version = versions[entry.vid ?? ''];
  publish?.({ kind: 'logged', entry, copyOf, ...(version === undefined ? {} : { version }) });
}

async function leaveTraces(world: World, run: Run, version: LogicalVersion): Promise<boolean> {
  const bytes = new TextEncoder().encode(
    toTombstoneText({ namespace: world.topology.namespace, key: run.key, version }, world.macKeys),
  );
  let traces = 0;
  for (const site of run.route.sites) {
    if (run.down.has(site)) continue;
    try {
      await world.stores[site]?.put(tombstoneKey(run.key, version.vid), bytes, {
        condition: { kind: 'always' },
        metadata: { headers: { contentType: 'application/json' }, user: {} },
      });
      traces += 1;
    } catch (error) {
      if (!isFault(error)) throw error;
      run.down.add(site);
    }
    if (traces === TRACES) return true;
  }
  return false;
}
