/** Writes docs/compatibility.md out of what the conformance suites showed: `npm run compatibility`, or `npm test`, which only compares. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Shown } from './conformance/cases.ts';

/** The part of vitest's json report that is read here. */
export interface ConformanceReport {
  readonly testResults: readonly {
    /** The file. */
    readonly name: string;
    readonly assertionResults: readonly { readonly status: string; readonly meta?: { readonly shown?: Shown } }[];
  }[];
}

interface Driver {
  readonly name: string;
  readonly capabilities: Readonly<Record<string, unknown>> | undefined;
  passed: number;
  readonly failed: string[];
  readonly skipped: Map<string, string>;
}

const FILE = join(import.meta.dirname, '..', 'docs', 'compatibility.md');
const CONTRACTS: readonly Shown['contract'][] = ['object store', 'ledger', 'queue'];

const HEAD = `# What each driver can do

This page is made by \`npm run compatibility\` from the conformance suites (\`test/conformance\`), and \`npm test\` fails when it
is out of date. A driver runs every case of its contract, or says here why not. What other services showed, which need
software of their own, is recorded in [targets.md](targets.md).

"Needs" names what the tests of a driver do not offer: a client that patches metadata in place, or opening a queue again.
`;

export function toCompatibility({ testResults }: ConformanceReport): string {
  // Those beside the suites run against software that is not always there: docs/targets.md tells of them.
  const usual = testResults.filter(({ name }) => !name.replaceAll('\\', '/').includes('/test/conformance/'));
  const shown = usual.flatMap(({ assertionResults }) =>
    assertionResults.flatMap(({ status, meta }) => (meta?.shown === undefined ? [] : [{ status, ...meta.shown }])),
  );
  const parts = CONTRACTS.flatMap((contract) => {
    const drivers = new Map<string, Driver>();
    for (const { driver, status, test, reason, capabilities } of shown.filter((it) => it.contract === contract)) {
      const known = drivers.get(driver) ?? open(driver, capabilities);
      drivers.set(driver, known);
      if (status === 'passed') known.passed += 1;
      else if (status === 'failed') known.failed.push(test);
      else known.skipped.set(test, reason ?? 'no reason given');
    }
    return describe(
      contract,
      [...drivers.values()].sort((a, b) => rankOf(a) - rankOf(b) || (a.name < b.name ? -1 : 1)),
    );
  });
  return [HEAD, ...parts].join('\n');
}

/** Services first, then what lives on this machine, then stand-ins. */
function rankOf({ name }: Driver): number {
  return name.startsWith('memory') ? 2 : /^(files|sqlite)/.test(name) ? 1 : 0;
}

function open(name: string, capabilities: object | undefined): Driver {
  return {
    name,
    capabilities: capabilities as Driver['capabilities'],
    passed: 0,
    failed: [],
    skipped: new Map(),
  };
}

function describe(contract: Shown['contract'], drivers: readonly Driver[]): readonly string[] {
  const cases = new Set(drivers.map(({ passed, failed, skipped }) => passed + failed.length + skipped.size));
  const all = cases.size === 1 ? `all ${[...cases][0]} cases` : 'all cases';
  const title = `${contract.charAt(0).toUpperCase()}${contract.slice(1)}s`;
  const rows = drivers.map(({ name, passed, failed, skipped }) => {
    const fine = failed.length === 0 && skipped.size === 0;
    const but = [
      ...failed.map((test) => `fails: ${test}`),
      skipped.size > 0 ? `${passed} cases; ${skipped.size} not run, see below` : '',
    ];
    return `| ${name} | ${fine ? all : but.filter((it) => it !== '').join('; ')} |`;
  });
  const reasons = drivers.flatMap(({ name, skipped }) =>
    [...skipped].map(([test, reason]) => `- ${name}: *${test}*: ${reason}.`),
  );
  return [
    `## ${title}\n`,
    `| driver | passes |\n| --- | --- |\n${rows.join('\n')}\n`,
    ...(reasons.length > 0 ? [`Not run:\n\n${reasons.join('\n')}\n`] : []),
    ...capabilitiesOf(drivers),
  ];
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

function capabilitiesOf(drivers: readonly Driver[]): readonly string[] {
  const told = drivers.filter(({ capabilities }) => capabilities !== undefined);
  const names = [...new Set(told.flatMap(({ capabilities }) => Object.keys(capabilities ?? {})))];
  if (names.length === 0) return [];
  const head = `| drivers | ${names.join(' | ')} |\n| --- |${' --- |'.repeat(names.length)}`;
  const alike = new Map<string, string[]>();
  for (const { name, capabilities } of told) {
    const cells = names.map((it) => toCell(it, capabilities?.[it])).join(' | ');
    alike.set(cells, [...(alike.get(cells) ?? []), name]);
  }
  const rows = [...alike].map(([cells, those]) => `| ${those.join('; ')} | ${cells} |`);
  return [
    `What each says of itself (\`capabilities\` in \`shared/store/store.ts\`):\n`,
    `${head}\n${rows.join('\n')}\n`,
  ];
}

function toCell(name: string, value: unknown): string {
  if (Array.isArray(value)) return value.join(', ') || 'none';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value !== 'number' || !name.includes('ytes')) return String(value ?? '');
  if (!Number.isFinite(value)) return 'no limit';
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${Math.floor((value / 1024 ** power) * 10) / 10} ${UNITS[power]}`;
}

/** Whether the page says what the report shows. */
export function isUpToDate(report: ConformanceReport): boolean {
  return existsSync(FILE) && readFileSync(FILE, 'utf8') === toCompatibility(report);
}

if (import.meta.main) {
  const [reportFile] = process.argv.slice(2);
  if (reportFile === undefined) throw new Error('usage: compatibility.ts REPORT.json, as vitest writes it');
  writeFileSync(FILE, toCompatibility(JSON.parse(readFileSync(reportFile, 'utf8'))));
  console.log('docs/compatibility.md is written');
}
