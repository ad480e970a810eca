/**
 * npm run sim -- --seed S: one run, told line by line. npm run sim -- --runs N --from S: many, and their verdict.
 * npm run sim -- --mutations --runs N: for each safety rule, the first of N seeds that notices its absence.
 */

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import { RULES, type RuleName } from '#shared/decide/rules.ts';
import { fail, whole } from '../samples/arguments.ts';
import { runSeed } from './run.ts';
import { readScenario, type SimSite } from './scenario.ts';
import type { Batch, BatchResult } from './worker.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    runs: { type: 'string' },
    from: { type: 'string' },
    without: { type: 'string' },
    quiet: { type: 'boolean' },
    mutations: { type: 'boolean' },
    wire: { type: 'string' },
  },
});

if (values.without !== undefined && !(values.without in RULES))
  fail(`--without ${values.without}: expected one of ${Object.keys(RULES).join(', ')}`);
if (values.wire !== undefined && values.wire !== 'own' && values.wire !== 'clouds')
  fail(`--wire ${values.wire}: expected own or clouds`);
const wire = values.wire ?? 'clouds';
const without = values.without as RuleName | undefined;
if (values.mutations === true) await prove(whole('runs', values.runs ?? '20000'));
else if (values.seed !== undefined) await tell(whole('seed', values.seed));
else if (values.runs !== undefined) await many(whole('runs', values.runs), whole('from', values.from ?? '1'));
else fail('usage: npm run sim -- --seed S | --runs N [--from S] [--without RULE] | --mutations [--runs N]');

async function tell(seed: number): Promise<void> {
  const { sites, keys, topology } = readScenario(seed);
  const [route] = topology.routes;
  console.log(`seed ${seed}: ${sites.map(describe).join(', ')}`);
  console.log(
    `keys ${keys.join(', ')}; policy ${JSON.stringify(route?.policy)}, ${route?.deletes};`,
    `staged over ${topology.limits.stageOverBytes} bytes`,
  );
  console.log(' step  time in ms who          what');
  const { violations, digest } = await runSeed(seed, {
    wire,
    ...(without && { without }),
    ...(values.quiet ? {} : { trace: (line: string) => console.log(line) }),
  });
  for (const { invariant, step, text } of violations) console.log(`VIOLATION ${invariant} at step ${step}: ${text}`);
  console.log(`seed ${seed}: ${violations.length} violations, digest ${digest}`);
  process.exitCode = violations.length > 0 ? 1 : 0;
}

function describe({ site, flavour, versioned }: SimSite): string {
  const marks = [versioned && '+versions', site.mode === 'passive' && ' passive', site.expiresAfterMs && ' expires'];
  return `${site.id}=${flavour}${marks.filter(Boolean).join('')}`;
}

async function many(runs: number, from: number): Promise<void> {
  const started = performance.now();
  const count = Math.min(availableParallelism(), 8, runs);
  const results = await Promise.all(
    Array.from({ length: count }, (_, i) =>
      inWorker({ first: from + i, step: count, last: from + runs - 1, without, wire }),
    ),
  );
  const failing = results.flatMap(({ failures }) => failures).sort((a, b) => a.seed - b.seed);
  for (const { seed, violations } of failing.slice(0, 20)) {
    for (const { invariant, step, text } of violations.slice(0, 3))
      console.log(`seed ${seed} step ${step} ${invariant}: ${text}`);
  }
  const sum = (field: 'writes' | 'versions' | 'crashes' | 'steps') =>
    results.reduce((total, result) => total + result.counts[field], 0);
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `${runs} runs from seed ${from}: ${failing.length} with violations; ${sum('versions')} versions,`,
    `${sum('writes')} bucket writes, ${sum('crashes')} crashes, ${sum('steps')} steps;`,
    `${seconds.toFixed(1)} s, ${Math.round(runs / seconds)} runs/s`,
  );
  if (failing.length > 0) {
    console.log(`replay with: npm run sim -- --seed ${failing[0]?.seed}${without ? ` --without ${without}` : ''}`);
    process.exitCode = 1;
  }
}

/** One line per rule, as test/sim/mutations.ts has them. */
async function prove(most: number): Promise<void> {
  const open = (Object.keys(RULES) as RuleName[]).filter((rule) => without === undefined || rule === without);
  async function take(): Promise<void> {
    for (let rule = open.shift(); rule !== undefined; rule = open.shift()) {
      const { failures } = await inWorker({ first: 1, step: 1, last: most, without: rule, wire, untilFailure: true });
      const [first] = failures;
      if (first === undefined) console.log(`  // ${rule}: not noticed in ${most} seeds`);
      else console.log(`  { rule: '${rule}', seed: ${first.seed}, invariant: '${first.violations[0]?.invariant}' },`);
    }
  }
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), 8) }, take));
}

function inWorker(batch: Batch): Promise<BatchResult> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: batch });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}
