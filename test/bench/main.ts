/**
 * npm run bench -- [suite ...] [--scale short|usual|full] [--seed N] [--objects N] [--rounds N] [--keys N,N]
 *   [--concurrency N] [--from s3://BUCKET --to gs://BUCKET] [--out folder] [--record] [--profile] [--gate]
 * Without a suite: all of them; with --from and --to `providers`, between these two. The report is
 * bench-results/report.md. --record: and a copy to be committed, in bench-results/recorded.
 * --gate: only what a build is held to, and ends with 1 when a ratio is beyond the bound of a build; seconds never are.
 */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { fail, whole } from '../samples/arguments.ts';
import { type Pair, readEnd } from './ends.ts';
import { keepRun } from './history.ts';
import { rcloneVersion } from './rclone.ts';
import { isMet, passesGate, type Run, type SuiteResult } from './result.ts';
import { SCALES, type Scale } from './scales.ts';
import { rounded } from './statistics.ts';
import { GATED, SUITES } from './suites.ts';

const ROOT = join(import.meta.dirname, '..', '..');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scale: { type: 'string', default: 'usual' },
    seed: { type: 'string', default: '1' },
    objects: { type: 'string' },
    rounds: { type: 'string' },
    keys: { type: 'string' },
    concurrency: { type: 'string' },
    from: { type: 'string' },
    to: { type: 'string' },
    out: { type: 'string', default: 'bench-results' },
    profile: { type: 'boolean', default: false },
    record: { type: 'boolean', default: false },
    gate: { type: 'boolean', default: false },
  },
});

const chosen = SCALES[values.scale];
if (chosen === undefined) fail(`--scale ${values.scale}: expected one of ${Object.keys(SCALES).join(', ')}`);
const pair = readPair(values.from, values.to);
const usual = pair !== null ? ['providers'] : values.gate ? GATED : Object.keys(SUITES);
const names = positionals.length > 0 ? positionals : usual;
for (const name of names)
  if (!(name in SUITES)) fail(`there is no suite ${name}: expected any of ${Object.keys(SUITES).join(', ')}`);

const out = resolve(ROOT, values.out);
const seed = whole('seed', values.seed);
const scale: Scale = {
  ...(chosen as Scale),
  ...(values.objects !== undefined && { objects: whole('objects', values.objects) }),
  ...(values.rounds !== undefined && { rounds: whole('rounds', values.rounds) }),
  ...(values.concurrency !== undefined && { concurrency: whole('concurrency', values.concurrency) }),
  ...(values.keys !== undefined && { keys: values.keys.split(',').map((it) => whole('keys', it)) }),
};
const startedAt = new Date().toISOString();
const [loadBefore = 0] = loadavg();
const suites: SuiteResult[] = [];
const took: Record<string, number> = {};
for (const name of names) {
  const began = performance.now();
  const say = (line: string) => console.log(line);
  const profiles = values.profile ? { profiles: join(out, 'profiles') } : {};
  suites.push(
    await (SUITES[name] as (typeof SUITES)[string])({
      scale,
      seed,
      say,
      isGate: values.gate,
      ...profiles,
      ...(pair && { pair }),
    }),
  );
  took[name] = Math.round((performance.now() - began) / 1000);
  for (const line of suites.at(-1)?.notRun ?? []) console.log(line);
}
const run: Run = { startedAt, scale: values.scale, seed, machine: machine(), versions: await versions(), took, suites };
console.log(`\n${keepRun(out, run, values.record)}`);
let broken = 0;
for (const target of suites.flatMap(({ targets }) => targets)) {
  const { what, value, kind, bound, unit, gate } = target;
  const held = gate === undefined || !values.gate ? '' : `; a build ${kind} ${rounded(gate)}`;
  if (!passesGate(target)) broken += 1;
  const verdict = values.gate && !passesGate(target) ? 'BROKEN' : isMet(target) ? 'met   ' : 'missed';
  console.log(`${verdict} ${what}: ${rounded(value)} ${unit}, wanted ${kind} ${rounded(bound)}${held}`);
}
process.exitCode = values.gate && broken > 0 ? 1 : 0;

function readPair(from: string | undefined, to: string | undefined): Pair | null {
  if (from === undefined && to === undefined) return null;
  if (from === undefined || to === undefined) return fail('--from and --to go together');
  try {
    return { from: readEnd(from, process.env), to: readEnd(to, process.env) };
  } catch (error) {
    return fail((error as Error).message);
  }
}

function machine(): Run['machine'] {
  return {
    system: `${process.platform} ${process.arch}`,
    cores: availableParallelism(),
    processor: cpus()[0]?.model ?? 'unknown',
    'memory in GiB': Math.round(totalmem() / 2 ** 30),
    'load at the start': Number(loadBefore.toFixed(1)),
  };
}

async function versions(): Promise<Run['versions']> {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const git = spawnSync('git', ['describe', '--always', '--dirty'], { cwd: ROOT }).stdout?.toString().trim();
  return {
    triplicate: git ? `${version} (${git})` : version,
    node: process.version,
    rclone: (await rcloneVersion()) ?? 'not installed',
  };
}
