/** A line that tells how far a copy is, drawn a few times a second where somebody looks. */

import type { Context } from './command.ts';
import { bytes } from './words.ts';

const EVERY_MS = 100;
const BAR_COLUMNS = 24;

export interface Progress {
  add(bytes: number): void;
  end(): void;
}

export function openProgress({ draw, now }: Context, totalBytes: number): Progress {
  const startedAt = now();
  let drawnAt = 0;
  let done = 0;
  return {
    add(more) {
      done += more;
      const at = now();
      if (at - drawnAt < EVERY_MS) return;
      drawnAt = at;
      draw(toLine(done, totalBytes, at - startedAt));
    },
    end: () => draw(''),
  };
}

export function toLine(done: number, total: number, tookMs: number): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const full = Math.floor(share * BAR_COLUMNS);
  const bar = '#'.repeat(full) + '.'.repeat(BAR_COLUMNS - full);
  const rate = tookMs > 0 ? `, ${bytes(Math.round((done / tookMs) * 1000))}/s` : '';
  return `[${bar}] ${Math.floor(share * 100)} %  ${bytes(done)} of ${bytes(total)}${rate}`;
}
