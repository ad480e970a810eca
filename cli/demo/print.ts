/** What happens while the story is told, as aligned text for people or as JSON lines for programs. */

import type { Notice } from '../../shared/world/world.ts';
import { count, wrap } from '../words.ts';

/** One thing that happened. Under --json every one of them is a line; its fields are read by programs. */
export type Told =
  | {
      readonly kind: 'start';
      readonly configuration: string;
      readonly folder: string;
      readonly sites: readonly SiteTold[];
    }
  /** `ok` is what the buckets answered when they were asked; `found` is their answer when it was not the expected one. */
  | {
      readonly kind: 'check';
      readonly step: string;
      readonly ok: boolean;
      readonly text: string;
      readonly found?: string;
    }
  | { readonly kind: 'not-run'; readonly step: string; readonly text: string }
  | ({ readonly kind: 'notice' } & Notice)
  | ({ readonly kind: 'end' } & Totals);

export interface SiteTold {
  readonly id: string;
  readonly service: string;
  readonly bucket: string;
  readonly region: string;
  readonly mode: string;
}

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly notRun: number;
  /** What clients did. */
  readonly writes: number;
  readonly deletes: number;
  /** What Triplicate did. */
  readonly replicaWrites: number;
  readonly replicaDeletes: number;
  readonly parts: number;
  /** Told by the buckets, ours and those of clients. */
  readonly notifications: number;
}

const COLUMNS = 100;
const STEP_COLUMNS = 10;
const MARK_COLUMNS = 8;

/** Answers the text of each event, without its last line end. */
export function openPrinter(json: boolean): (told: Told) => string {
  let lastStep = '';
  return (told) => {
    if (json) return JSON.stringify(told);
    const step = 'step' in told ? told.step : told.kind;
    const isNew = step !== lastStep;
    lastStep = step;
    return toText(told, isNew ? step : '');
  };
}

function toText(told: Told, step: string): string {
  switch (told.kind) {
    case 'start':
      return toStartText(told);
    case 'check':
      return toLine(
        step,
        told.ok ? 'ok' : 'FAILED',
        told.found === undefined ? told.text : `${told.text} Found: ${told.found}`,
      );
    case 'not-run':
      return toLine(step, 'not run', told.text);
    case 'notice':
      return toLine(
        step,
        told.severity,
        [told.what, told.site, told.key, told.detail].filter((it) => it !== undefined).join(' '),
      );
    case 'end':
      return toEndText(told);
  }
}

function toStartText({ configuration, folder, sites }: Extract<Told, { kind: 'start' }>): string {
  const rows = sites.map(({ id, service, bucket, region, mode }) => [id, service, bucket, region, mode]);
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return [
    `Triplicate, with the sites of ${configuration}:`,
    '',
    ...rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ')}`.trimEnd()),
    '',
    ...wrap("These buckets are stand-ins in memory, each with its service's rules; no cloud is contacted."),
    ...wrap(`Ledger and queue: ${folder}, new each run as the buckets start empty.`),
    '',
  ].join('\n');
}

function toEndText(end: Totals): string {
  const { passed, failed, notRun, writes, deletes, replicaWrites, replicaDeletes, parts, notifications } = end;
  const clients = [count(writes, 'write'), count(deletes, 'delete')];
  const triplicate = [count(replicaWrites, 'write'), count(replicaDeletes, 'delete'), count(parts, 'part')];
  return [
    '',
    `Clients:    ${clients.join(', ')}`,
    `Triplicate: ${triplicate.join(', ')}, ${count(notifications, 'notification')} handled`,
    `${count(passed, 'check')} passed, ${failed} failed${notRun > 0 ? `, ${notRun} not run` : ''}`,
  ].join('\n');
}

function toLine(step: string, mark: string, text: string): string {
  const [first = '', ...rest] = wrap(text, { columns: COLUMNS, indent: STEP_COLUMNS + MARK_COLUMNS });
  return [`${step.padEnd(STEP_COLUMNS)}${mark.padEnd(MARK_COLUMNS)}${first.trimStart()}`, ...rest].join('\n');
}
