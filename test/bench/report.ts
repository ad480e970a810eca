/** A run as Markdown that needs nobody to explain it: targets first, then each suite with its settings, tables and charts. */

import { type Chart, type Figure, isMet, type Run, type SuiteResult, type Table, type Target } from './result.ts';
import { said } from './said.ts';
import { rounded } from './statistics.ts';

/** Less than this is what a busy machine does to any figure. */
const NOTEWORTHY = 0.1;

/** `before`: by suite, the last run of the same scale on the same machine. */
export function toMarkdown(run: Run, before: ReadonlyMap<string, Run> = new Map()): string {
  const { machine, versions, took, suites } = run;
  const targets = suites.flatMap((suite) => suite.targets.map((target) => ({ suite: suite.name, target })));
  const names = suites.map(({ name }) => name).join(' ');
  return [
    '# How fast Triplicate is',
    '',
    said(
      `Measured ${timeOf(run)} UTC, scale \`${run.scale}\`,`,
      `seed ${run.seed}. Again: \`npm run bench -- ${names} --scale ${run.scale} --seed ${run.seed}\`.`,
    ),
    '',
    said(
      'Triplicate, its peers and three local clouds share one machine, so **only what stands',
      'side by side can be compared**: absolute figures say more about the machine than about',
      'anything else. Ratios come from runs that took turns.',
    ),
    '',
    `Machine: ${pairs(machine)}. Versions: ${pairs(versions)}. Seconds it took: ${pairs(took)}.`,
    '',
    ...(targets.length === 0 ? [] : ['## Targets', '', ...tableOf(targetTable(targets)), '']),
    ...(before.size === 0 ? [] : comparison(run, before)),
    ...suites.flatMap(section),
  ].join('\n');
}

function targetTable(targets: ReadonlyArray<{ readonly suite: string; readonly target: Target }>): Table {
  return {
    title: '',
    columns: ['suite', 'what', 'found', 'wanted', ''],
    rows: targets.map(({ suite, target }) => [
      suite,
      target.what,
      `${rounded(target.value)} ${target.unit}`,
      `${target.kind} ${rounded(target.bound)} ${target.unit}`,
      isMet(target) ? 'met' : '**missed**',
    ]),
  };
}

function section({ title, how, tables, charts, notRun }: SuiteResult): readonly string[] {
  return [
    `## ${title}`,
    '',
    ...how.flatMap((sentence) => [sentence, '']),
    ...notRun.flatMap((line) => [`${line}.`, '']),
    ...charts.flatMap((chart) => [`![${chart.title}](${fileOf(chart)})`, '']),
    ...tables.flatMap((table) => [`### ${table.title}`, '', ...tableOf(table), '']),
  ];
}

function tableOf({ columns, rows }: Table): readonly string[] {
  const right = columns.map((_, index) => rows.some((row) => typeof row[index] === 'number'));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(columns),
    line(columns.map((_, index) => (right[index] ? '---:' : '---'))),
    ...rows.map((row) => line(row.map(toCell))),
  ];
}

/** What a word means to Markdown, it means to nobody here. */
function toCell(cell: string | number | null): string {
  if (typeof cell === 'number') return Number.isInteger(cell) ? cell.toLocaleString('en') : rounded(cell);
  return (cell ?? '').replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('|', '\\|');
}

/** Where a suite is better or worse than the last time by more than a machine's mood. */
function comparison({ suites }: Run, before: ReadonlyMap<string, Run>): readonly string[] {
  const rows = suites.flatMap(({ name, figures }) => {
    const run = before.get(name);
    const old = run?.suites.find((suite) => suite.name === name)?.figures ?? [];
    const then = new Map(old.map((it) => [it.name, it] as const));
    return figures.flatMap((now) => {
      const it = then.get(now.name);
      return it === undefined || run === undefined ? [] : changeOf(now, it, timeOf(run));
    });
  });
  const times = [...new Set([...before.values()].map(timeOf))].sort();
  const title = `## Against the last time (${times.join(', ')})`;
  if (rows.length === 0) return [title, '', `Nothing changed by more than ${NOTEWORTHY * 100} %.`, ''];
  const columns = ['figure', 'when', 'then', 'now', '', ''];
  return [title, '', ...tableOf({ title: '', columns, rows }), ''];
}

function timeOf({ startedAt }: Run): string {
  return startedAt.slice(0, 16).replace('T', ' ');
}

function changeOf(now: Figure, then: Figure, when: string): ReadonlyArray<readonly string[]> {
  const change = now.value / then.value - 1;
  if (!Number.isFinite(change) || Math.abs(change) < NOTEWORTHY) return [];
  const better = change > 0 === (now.better === 'more');
  const percent = `${change > 0 ? '+' : ''}${(change * 100).toFixed(0)} %`;
  const cells = [now.name, when, `${rounded(then.value)} ${then.unit}`, `${rounded(now.value)} ${now.unit}`, percent];
  return [[...cells, better ? 'better' : 'worse']];
}

export function fileOf({ name }: Chart): string {
  return `charts/${name}.svg`;
}

function pairs(entries: Readonly<Record<string, string | number>>): string {
  return Object.entries(entries)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}
