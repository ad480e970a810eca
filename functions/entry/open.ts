/** Opens what the functions of one cloud work with, and writes what people should hear of to the platform's log. */

import { fault } from '../../shared/model/fault.ts';
import type { Cloud } from '../../shared/model/site.ts';
import { openWorld, type Settings } from '../../shared/world/open.ts';
import type { Notice } from '../../shared/world/world.ts';
import { openPublisher } from '../publisher.ts';
import { openSource } from '../replicator.ts';
import type { FunctionWorld } from '../runtime/invocation.ts';
import type { Told } from './environment.ts';

/** A site that was away when the world was opened is tried again after so long. */
const REOPEN_AFTER_MS = 60_000;

/** The queues of this cloud by the sites whose notifications arrive there; there must be one. */
export function queuesOf(cloud: Cloud, { topology, queues }: Told): Readonly<Record<string, string>> {
  const sites = topology.sites.filter((site) => site.cloud === cloud).map(({ id }) => id);
  const own = Object.fromEntries(
    sites.flatMap((id) => (queues[id] === undefined ? [] : [[id, nameOf(queues[id])] as const])),
  );
  if (Object.keys(own).length > 0) return own;
  const names = sites.map((id) => `TRIPLICATE_QUEUE_${id.toUpperCase()}`).join(' or ');
  const field = names || 'TRIPLICATE_CONFIG';
  throw fault('invalid', `${field}: expected ${names ? 'an address' : `a site in ${cloud}`}, got none`, { field });
}

/**
 * One cloud that is away must not keep the functions from working for the others. Rights that one cloud gives for another
 * without a key are added to `access` here.
 */
export async function openFunctionWorld(cloud: Cloud, told: Told): Promise<FunctionWorld> {
  const names = queuesOf(cloud, told);
  const own = Object.fromEntries(Object.entries(told.queues).filter(([site]) => names[site] !== undefined));
  let isWhole = true;
  const { world, queues } = await openWorld({
    ...told,
    queues: own,
    ...outlets(told),
    onSiteDown(site, error) {
      // A bucket that does not exist is a mistake in the configuration, and will not come back.
      if (error.retry === 'never') throw error;
      report({ severity: 'alarm', what: 'site-down', site, detail: error.message });
      isWhole = false;
    },
  });
  const sources = Object.entries(queues).map(
    ([site, queue]) => [names[site] as string, openSource(cloud, queue, world.topology)] as const,
  );
  const opened = { world, sources: Object.fromEntries(sources) };
  return isWhole ? opened : { ...opened, reopenAt: world.clock.now() + REOPEN_AFTER_MS };
}

/** Where notices and events go: lines on the standard output, which every platform keeps. */
export function outlets({ events, topology }: Told): Pick<Settings, 'report' | 'publish'> {
  return events === undefined ? { report } : { report, publish: openPublisher(topology, writeLine) };
}

/** One line of JSON for each, whose severity Cloud Logging understands; CloudWatch and Application Insights search it. */
function report(notice: Notice): void {
  const { severity, what, detail, ...where } = notice;
  const line = { severity: severity === 'alarm' ? 'ALERT' : 'WARNING', what, ...where, message: detail };
  writeLine(JSON.stringify(line));
}

function writeLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The last part of an address: as the cloud calls the queue. */
function nameOf(address: string): string {
  return address.slice(Math.max(address.lastIndexOf('/'), address.indexOf(':')) + 1);
}
