/** `triplicate doctor`: asks whether everything is as Triplicate needs it, and says what to do where it is not. */

import { isFault } from '../../shared/model/fault.ts';
import { openSystemRandom } from '../../shared/world/system.ts';
import { CONFIG_OPTION, type Command, type Context, EXIT, JSON_OPTION } from '../command.ts';
import { type Asking, type Check, checkLedger, checkQueue, checkSite, refusal, summary } from '../doctor/checks.ts';
import { openPaint, wrap } from '../words.ts';
import { withWorld } from '../world.ts';

export const doctor: Command = {
  name: 'doctor',
  summary: 'check buckets, ledger and queues, and say what to do',
  takes: '',
  about: [
    'Opens every bucket as a worker would; writes, looks at and deletes a probe below .triplicate/probe/; compares clocks;',
    'looks for keys and sizes that another site cannot hold; writes to the ledger; asks the queues; and waits for the',
    'notification of a probe. Messages of others that it meets meanwhile are put back at once.',
    '',
    'Exit code 1 says that there is a problem. A note is worth reading, and what is not known may be either.',
  ],
  examples: [
    ['triplicate doctor', 'before the first worker starts, and whenever something is odd'],
    ['triplicate doctor --plant-sentinels', 'once, when new buckets join: says that these are the right ones'],
  ],
  options: [
    CONFIG_OPTION,
    JSON_OPTION,
    { name: 'plant-sentinels', about: 'write the sentinel where it is missing' },
    { name: 'keys', takes: 'N', about: 'look at the names of so many objects of each bucket (1000)' },
    { name: 'wait', takes: 'SECONDS', about: 'for the notification of a probe; 0 leaves that out (5)' },
  ],
  async run(given, context) {
    const asking: Asking = {
      now: context.now,
      timer: context.timer,
      nextId: openSystemRandom().id,
      plantSentinels: given.has('plant-sentinels'),
      keysMax: given.count('keys', 1_000, { min: 1, max: 10_000_000 }),
      notificationMs: given.count('wait', 5, { min: 0, max: 600 }) * 1_000,
    };
    const tell = (checks: readonly Check[]) => {
      if (given.has('json')) context.out(JSON.stringify({ checks }, null, 2));
      else for (const line of toLines(checks, context)) context.out(line);
      return checks.some(({ state }) => state === 'problem') ? EXIT.found : EXIT.fine;
    };
    try {
      return await withWorld(
        given,
        context,
        async (opened) => {
          const { sites } = opened.world.topology;
          const atSites = await Promise.all(sites.map((site) => checkSite(opened, site, asking)));
          const atQueues = await Promise.all(sites.map(({ id }) => checkQueue(opened, id, asking)));
          return tell([...atSites.flat(), ...(await checkLedger(opened, asking)), ...atQueues.flat()]);
        },
        { looks: true },
      );
    } catch (error) {
      if (isFault(error)) return tell([refusal(error)]);
      throw error;
    }
  },
};

const MARKS = { ok: 'good', note: 'doubtful', problem: 'bad', unknown: 'doubtful' } as const;
const INDENT = 28;

function toLines(checks: readonly Check[], { colours, columns: wide }: Context): readonly string[] {
  const paint = openPaint(colours);
  const columns = Math.min(wide, 100);
  const lines = checks.flatMap(({ what, site, state, text, advice = '' }) => {
    const place = `${what === 'site' || site === null ? '' : `${site} `}${what === 'site' ? (site ?? '') : what}`;
    const [first = '', ...rest] = wrap(text, { columns, indent: INDENT });
    const todo = advice === '' || state === 'ok' ? [] : wrap(`-> ${advice}`, { columns, indent: INDENT });
    return [`${paint(MARKS[state], state.padEnd(8))}${place.padEnd(INDENT - 8)}${first.trimStart()}`, ...rest, ...todo];
  });
  return [...lines, '', summary(checks)];
}
