/** Chance under a seed: the same seed gives the same run, on every machine. */

export interface Chance {
  /** At least 0, less than 1. */
  unit(): number;
  /** A whole number, both ends possible. */
  int(from: number, to: number): number;
  /** True with this probability. */
  hit(probability: number): boolean;
  pick<T>(from: readonly T[]): T;
  shuffle<T>(items: readonly T[]): T[];
  id(): string;
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** sfc32, by Chris Doty-Humphrey. */
export function openChance(seed: number): Chance {
  let a = 0x9e3779b9 ^ seed;
  let b = 0x243f6a88 ^ Math.imul(seed, 0x85ebca6b);
  let c = 0xb7e15162 ^ Math.floor(seed / 2 ** 32);
  let d = 1;

  function next(): number {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return t >>> 0;
  }
  for (let i = 0; i < 15; i++) next();

  const unit = () => next() / 2 ** 32;
  const int = (from: number, to: number) => from + Math.floor(unit() * (to - from + 1));
  return {
    unit,
    int,
    hit: (probability) => unit() < probability,
    pick: (from) => from[int(0, from.length - 1)] as (typeof from)[number],
    shuffle(items) {
      const all = [...items];
      for (let i = all.length - 1; i > 0; i--) {
        const j = int(0, i);
        [all[i], all[j]] = [all[j] as (typeof all)[number], all[i] as (typeof all)[number]];
      }
      return all;
    },
    // The first letter of 22 carries 6 bits of 132: 16 bytes leave the last four bits zero.
    id: () => `${Array.from({ length: 21 }, () => LETTERS[next() & 63]).join('')}${'AQgw'[next() & 3]}`,
  };
}
