import { RULES, type RuleName } from '#shared/decide/rules.ts';
import { runSeed } from './run.ts';
const max = Number(process.argv[2] ?? 600);
const only = process.argv.slice(3);
for (const rule of Object.keys(RULES) as RuleName[]) {
  if (only.length && !only.includes(rule)) continue;
  let found = '';
  let hits = 0;
  const inv = new Map<string, number>();
  let seed = 1;
  for (; seed <= max; seed++) {
    const { violations } = await runSeed(seed, { without: rule });
    if (violations.length) { hits++; for (const v of violations) inv.set(v.invariant, (inv.get(v.invariant) ?? 0) + 1); if (!found) found = `first ${seed}: ${violations[0]!.invariant} ${violations[0]!.text.slice(0, 90)}`; if (hits >= 3) break; }
  }
  console.log(rule.padEnd(26), hits ? `${hits} hits by ${seed}` : `NOT CAUGHT in ${max}`, [...inv.keys()].join(), found);
}
