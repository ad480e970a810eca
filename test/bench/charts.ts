/** Charts as SVG by themselves: no script, no font and no file beside them, readable on light and dark. */

import type { Chart } from './result.ts';
import { rounded } from './statistics.ts';

const WIDTH = 720;
const COLOURS = ['#2563eb', '#ea580c', '#059669', '#9333ea', '#dc2626'] as const;
/** Between the two grounds it stands on. */
const INK = '#7a828e';
/** Those that the others are held against, or that nobody can change. */
const MUTED = '#9ca3af';
const BAR = { height: 22, gap: 8, leftMin: 120, right: 130, top: 40 } as const;
/** Of a character at this size, on the wide side. */
const LETTER = 6.7;
const MARGIN = 12;
const PLOT = { left: 64, right: 24, top: 56, bottom: 48, height: 320 } as const;
const TICKS_MAX = 6;

type Bars = Extract<Chart, { kind: 'bars' }>;
type Lines = Extract<Chart, { kind: 'lines' }>;

export function toSvg(chart: Chart): string {
  return chart.kind === 'bars' ? barsOf(chart) : linesOf(chart);
}

function barsOf({ title, unit, bars }: Bars): string {
  const height = BAR.top + bars.length * (BAR.height + BAR.gap) + 12;
  const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  const longest = Math.max(...bars.map(({ label }) => label.length), 0);
  const left = Math.max(BAR.leftMin, Math.min(WIDTH / 2, longest * LETTER + MARGIN + 8));
  const rows = bars.map(({ label, value, isMuted = false }, index) => {
    const y = BAR.top + index * (BAR.height + BAR.gap);
    const width = Math.max(1, (value / most) * (WIDTH - left - BAR.right));
    const middle = y + BAR.height / 2 + 4;
    return [
      text(left - 8, middle, label, 'end'),
      `<rect x="${fixed(left)}" y="${y}" width="${fixed(width)}" height="${BAR.height}" rx="2" fill="${isMuted ? MUTED : COLOURS[0]}"/>`,
      text(left + width + 6, middle, `${rounded(value)} ${unit}`, 'start'),
    ].join('');
  });
  return frame(height, title, rows);
}

function linesOf({ title, x, y, lines, logarithmicX = false }: Lines): string {
  const points = lines.flatMap((line) => line.points);
  const place = (value: number) => (logarithmicX ? Math.log10(value) : value);
  const marks = logarithmicX ? [...new Set(points.map(([at]) => at))] : ticks(points.map(([at]) => at));
  const [least, most] = [place(Math.min(...marks)), place(Math.max(...marks))];
  const steps = ticks([0, ...points.map(([, value]) => value)]);
  const [floor, top] = [Math.min(...steps), Math.max(...steps)];
  const width = WIDTH - PLOT.left - PLOT.right;
  const toX = (at: number) => PLOT.left + ((place(at) - least) / (most - least || 1)) * width;
  const toY = (value: number) => PLOT.top + PLOT.height - ((value - floor) / (top - floor || 1)) * PLOT.height;
  const bottom = PLOT.top + PLOT.height;
  return frame(bottom + PLOT.bottom, title, [
    ...steps.flatMap((value) => {
      const at = fixed(toY(value));
      const ends = `x1="${PLOT.left}" x2="${WIDTH - PLOT.right}" y1="${at}" y2="${at}"`;
      return [
        `<line ${ends} stroke="${INK}" stroke-opacity="0.25"/>`,
        text(PLOT.left - 6, toY(value) + 4, tickText(value), 'end'),
      ];
    }),
    ...marks.map((at) => text(toX(at), bottom + 18, tickText(at), 'middle')),
    text(PLOT.left + width / 2, bottom + 38, x, 'middle'),
    text(PLOT.left, PLOT.top - 10, y, 'start'),
    ...lines.flatMap(({ label, points: own }, index) => {
      const colour = COLOURS[index % COLOURS.length];
      const path = own.map(([at, value]) => `${fixed(toX(at))},${fixed(toY(value))}`).join(' ');
      return [
        `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...own.map(([at, value]) =>
          own.length > 20 ? '' : `<circle cx="${fixed(toX(at))}" cy="${fixed(toY(value))}" r="3" fill="${colour}"/>`,
        ),
        `<rect x="${PLOT.left + 80 + index * 200}" y="${PLOT.top - 20}" width="12" height="12" fill="${colour}"/>`,
        text(PLOT.left + 98 + index * 200, PLOT.top - 10, label, 'start'),
      ];
    }),
  ]);
}

/** Round numbers at even distances, around all of these. */
function ticks(values: readonly number[]): readonly number[] {
  const finite = values.filter(Number.isFinite);
  const [low, high] = [Math.min(...finite, 0), Math.max(...finite)];
  const rough = (high - low || 1) / TICKS_MAX;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((it) => it * power >= rough) ?? 10) * power;
  const [first, last] = [Math.floor(low / step), Math.ceil(high / step)];
  return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
}

function tickText(value: number): string {
  return Number(value.toPrecision(6)).toLocaleString('en');
}

function frame(height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}"`,
    '  role="img" font-family="system-ui, sans-serif" font-size="12">',
    `<title>${escaped(title)}</title>`,
    `<text x="12" y="20" font-size="14" font-weight="600" fill="${INK}">${escaped(title)}</text>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function text(x: number, y: number, content: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${fixed(x)}" y="${fixed(y)}" text-anchor="${anchor}" fill="${INK}">${escaped(content)}</text>`;
}

function fixed(value: number): string {
  return Number.isFinite(value) ? value.toFixed(1) : '0';
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
