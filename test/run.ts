/**
 * `npm test`: types, lint, every vitest test and the simulation, one after the other, closed by one line of counts.
 * `--with-benchmark`: the ratios a build is held to as well, which takes a minute or two.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConformanceReport, isUpToDate } from './compatibility.ts';

interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The part of vitest's json report that is counted here. */
interface Report extends ConformanceReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: ReadonlyArray<ConformanceReport['testResults'][number] & { readonly status: string }>;
}

const root = join(import.meta.dirname, '..');
const simulation = 'test/sim/main.ts';
const benchmark = ['test/bench/main.ts', '--scale', 'short', '--gate'];
const stepMinutesMax = 30;

const counts = [
  step('types', () => asOneTest(npm('types'))),
  step('lint', () => asOneTest(npm('lint'))),
  step('tests', vitest),
  step('simulation', simulate),
  ...(process.argv.includes('--with-benchmark') ? [step('benchmark', () => asOneTest(node(benchmark)))] : []),
];
console.log(
  '\nnot run here: suites that need other software (command lines, emulators, servers); npm run stronger names them',
);
const total = counts.reduce(add);
console.log(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ''}`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

function step(name: string, run: () => Count): Count {
  console.log(`\n== ${name}`);
  const startedAt = performance.now();
  const count = run();
  console.log(`== ${name}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  return count;
}

/** Once the simulation exists it is mandatory; before that its absence is said aloud. */
function simulate(): Count {
  if (existsSync(join(root, simulation))) return asOneTest(node([simulation, '--runs', '20000', '--from', '1']));
  console.log(`not run: simulation, needs ${simulation}`);
  return { passed: 0, failed: 0, skipped: 0 };
}

/** Counts from the json report; a file that failed outside its tests, or a run without a report, counts as a failure. */
function vitest(): Count {
  const folder = mkdtempSync(join(tmpdir(), 'triplicate-test-'));
  const report = join(folder, 'report.json');
  const runner = 'node_modules/vitest/vitest.mjs';
  try {
    const ok = node([runner, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`]);
    if (!existsSync(report)) return asOneTest(false);
    const shown: Report = JSON.parse(readFileSync(report, 'utf8'));
    const upToDate = isUpToDate(shown);
    if (!upToDate) console.error('docs/compatibility.md is out of date: npm run compatibility writes it anew');
    const count = add(countOf(shown), asOneTest(upToDate));
    return ok || count.failed > 0 ? count : { ...count, failed: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function countOf(report: Report): Count {
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

function npm(script: string): boolean {
  return succeeds('npm', ['run', '--silent', script], process.platform === 'win32');
}

function node(args: readonly string[]): boolean {
  return succeeds(process.execPath, args);
}

function succeeds(command: string, args: readonly string[], shell = false): boolean {
  const timeout = stepMinutesMax * 60_000;
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', timeout, shell });
  if (error) console.error(`${command} ${args.join(' ')}: ${error.message}`);
  return status === 0;
}

function asOneTest(passed: boolean): Count {
  return { passed: passed ? 1 : 0, failed: passed ? 0 : 1, skipped: 0 };
}

function add(left: Count, right: Count): Count {
  return {
    passed: left.passed + right.passed,
    failed: left.failed + right.failed,
    skipped: left.skipped + right.skipped,
  };
}
