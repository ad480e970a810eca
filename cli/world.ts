/** The world that a command is about, open while it runs. */

import { openPublisher } from '../functions/publisher.ts';
import type { Fault } from '../shared/model/fault.ts';
import { isFault } from '../shared/model/fault.ts';
import type { SiteId } from '../shared/model/site.ts';
import { inTime } from '../shared/world/in-time.ts';
import { type OpenWorld, openWorld } from '../shared/world/open.ts';
import type { Notice } from '../shared/world/world.ts';
import { type Context, type Given, Mistake } from './command.ts';
import { type Configured, LOCAL, readConfigured } from './settings.ts';
import { name } from './words.ts';

export interface Opened extends OpenWorld, Configured {
  /** Sites that could not be opened, and why. */
  readonly down: ReadonlyMap<SiteId, Fault>;
}

/** Looking must not take long, least of all when something is wrong. */
export const LOOK_MS = 5_000;
const CLOSE_MS = 1_000;

export interface OpenOptions {
  /** A site that does not answer is told of, and the others are gone on with. */
  readonly withoutDown?: boolean;
  /** The same, and a site that takes longer than LOOK_MS for an answer counts as one that does not. */
  readonly looks?: boolean;
  /** Takes the lines of what is published. */
  readonly events?: (line: string) => void;
}

/** Opens it, runs, and closes it again whatever happens. */
export async function withWorld(
  given: Given,
  context: Context,
  run: (opened: Opened) => Promise<number>,
  { looks = false, withoutDown = looks, events }: OpenOptions = {},
): Promise<number> {
  const configured = await readConfigured(context, given.text('config'));
  const down = new Map<SiteId, Fault>();
  const settings = {
    ...configured.settings,
    report: (notice: Notice) => context.err(toNoticeText(notice)),
    ...(events === undefined ? {} : { publish: openPublisher(configured.settings.topology, events) }),
    ...(looks ? { lookMs: LOOK_MS } : {}),
    ...(withoutDown ? { onSiteDown: (site: SiteId, fault: Fault) => void down.set(site, fault) } : {}),
  };
  let opened: OpenWorld;
  try {
    opened = await openWorld(settings);
  } catch (error) {
    throw isFault(error, 'unreachable') && configured.isLocal ? gone(configured.where, error) : error;
  }
  try {
    const [first, ...others] = down.values();
    const isGone =
      configured.isLocal && others.length > 0 && [...down.values()].every((it) => isFault(it, 'unreachable'));
    if (first !== undefined && isGone) throw gone(configured.where, first);
    return await run({ ...opened, ...configured, down });
  } finally {
    // A connection that does not answer may not be closed either.
    if (looks) await inTime(context.timer, CLOSE_MS, 'closing', () => opened.close()).catch(() => {});
    else await opened.close();
  }
}

function gone(where: string, { message }: Fault): Mistake {
  const why = where === LOCAL ? ' If it was killed, start it again with triplicate local.' : '';
  return new Mistake(`${where} tells of a local world that does not answer: ${message}.${why}`);
}

export function toNoticeText({ severity, what, site, key, detail }: Notice): string {
  const where = [site, key === undefined ? undefined : name(key)].filter((it) => it !== undefined).join(' ');
  return `${severity}: ${what}${where === '' ? '' : ` (${where})`}: ${detail}`;
}
