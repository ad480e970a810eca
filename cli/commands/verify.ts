/** `triplicate verify`: looks at every copy, trusting neither ledger nor events, and has what is not sound made good. */

import { CONFIG_OPTION, type Command, EXIT, JSON_OPTION, Mistake } from '../command.ts';
import { count, name, table } from '../words.ts';
import { withWorld } from '../world.ts';

const SHOWN = 50;

export const verify: Command = {
  name: 'verify',
  summary: 'check every copy against what it should be, and repair what is not',
  takes: '[PREFIX]',
  about: [
    'Asks every bucket for size, checksum and metadata of every key, and reads the bytes of a share of them. What is lost,',
    'cut short, changed or tampered with is copied again from a site where it is sound. Keys that are under way are left',
    'out. Exit code 1 says that something is not sound and could not be made good.',
  ],
  examples: [
    ['triplicate verify --deep 0.01', 'and read the bytes of one key in a hundred, others each day'],
    ['triplicate verify photos/ --deep 1 --dry-run', 'read everything below photos/, and tell only'],
  ],
  options: [
    CONFIG_OPTION,
    JSON_OPTION,
    { name: 'deep', takes: 'SHARE', about: 'of the keys, from 0 to 1: read their bytes too (0)' },
    { name: 'dry-run', about: 'tell what is not sound, and repair nothing' },
  ],
  async run(given, context) {
    const deepShare = Number(given.text('deep') ?? 0);
    if (!(deepShare >= 0 && deepShare <= 1))
      throw new Mistake(`--deep ${given.text('deep')}: expected a share from 0 to 1.`);
    const { verify: verifyAll } = await import('../../functions/verifier.ts');
    return withWorld(given, context, async ({ world }) => {
      const wrong: Array<{ key: string; outcome: string; findings: readonly object[] }> = [];
      const rows: string[][] = [];
      const [prefix = ''] = given.words;
      const totals = await verifyAll(world, {
        prefix,
        deepShare,
        round: Math.floor(context.now() / DAY_MS),
        dryRun: given.has('dry-run'),
        tell({ key, outcome, findings }) {
          const odd = findings.filter(({ kind }) => kind !== 'sound');
          if (odd.length === 0) return;
          wrong.push({ key, outcome, findings: odd });
          for (const it of odd)
            rows.push([
              name(key),
              it.site,
              it.kind,
              'what' in it ? it.what : '',
              outcome === 'repaired' ? 'repaired' : 'left',
            ]);
        },
      });
      if (given.has('json')) context.out(JSON.stringify({ ...totals, wrong }, null, 2));
      else {
        for (const line of table(['KEY', 'AT', 'WHAT', '', ''], rows.slice(0, SHOWN))) context.out(line);
        if (rows.length > SHOWN) context.out(`and ${count(rows.length - SHOWN, 'more', 'more')}`);
        if (rows.length > 0) context.out('');
        const { keys, sound, deep, repaired, left, unknown } = totals;
        context.out(
          `${count(keys, 'key')}, ${deep} of them read in full: ${sound} sound, ${repaired} repaired, ${left} not sound, ` +
            `${unknown} under way and not judged.`,
        );
      }
      return totals.left === 0 ? EXIT.fine : EXIT.found;
    });
  },
};

const DAY_MS = 86_400_000;
