/** What goes wrong on purpose: rules as data, set by tests and over the control API, met by every endpoint. */

import { randomUUID } from 'node:crypto';

export type CloudName = 'aws' | 'gcp' | 'azure';

/** Chosen evenly between two bounds, or around a median with a long tail. */
export type Spread =
  | { readonly kind: 'even'; readonly min: number; readonly max: number }
  | { readonly kind: 'tail'; readonly median: number; readonly p99: number };

/** Whom a rule strikes. Everything left out matches all. */
export interface FaultScope {
  readonly cloud?: CloudName;
  /** s3, sqs, sns, dynamodb, gcs, pubsub, firestore, blob, servicebus, eventgrid. */
  readonly service?: string;
  /** The cloud's own name of the call, such as PutObject. */
  readonly operation?: string;
  /** Part of the caller's user agent: one link of a partition. */
  readonly from?: string;
  readonly keyPrefix?: string;
}

export type RequestEffect =
  /** The connection is cut at once. */
  | { readonly kind: 'outage' }
  /** The connection stays open and silent: a partition. */
  | { readonly kind: 'silence' }
  /** The cloud's own error for this status; nothing happens. */
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'wait'; readonly ms: Spread }
  /** The request happens; then the connection is cut instead of an answer. */
  | { readonly kind: 'lost-answer' }
  /** The answer breaks off after so many bytes. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number };

export type Effect =
  | RequestEffect
  /** Notifications come late, more than once, or never. Replaces the usual delivery of the clouds it names. */
  | { readonly kind: 'delivery'; readonly ms: Spread; readonly twice: number; readonly never: number }
  /** The cloud's clock is off. */
  | { readonly kind: 'clock'; readonly aheadMs: number };

export interface FaultRule {
  readonly id: string;
  readonly scope: FaultScope;
  readonly effect: Effect;
  /** Of the matching calls, from 0 to 1. */
  readonly share: number;
  /** Gone after striking so often. */
  readonly times?: number;
}

export interface Call {
  readonly cloud: CloudName;
  readonly service: string;
  readonly operation: string;
  readonly from?: string;
  readonly key?: string;
}

export interface Faults {
  add(rule: {
    readonly scope?: FaultScope;
    readonly effect: Effect;
    readonly share?: number;
    readonly times?: number;
  }): FaultRule;
  /** Answers whether there was such a rule. */
  remove(id: string): boolean;
  clear(): void;
  list(): readonly FaultRule[];
  /** What strikes this call, in the order in which the rules were set. */
  meet(call: Call): readonly RequestEffect[];
  /** When the next notification of this cloud arrives, once for each delivery; none: it is lost. Milliseconds from now. */
  deliveries(cloud: CloudName, service: string): readonly number[];
  /** What the clock of this cloud is ahead. */
  aheadMs(cloud: CloudName): number;
  draw(spread: Spread): number;
}

/** What the clouds do on a good day: soon, out of order, now and then twice. */
const USUAL: Extract<Effect, { kind: 'delivery' }> = {
  kind: 'delivery',
  ms: { kind: 'tail', median: 8, p99: 60 },
  twice: 0.01,
  never: 0,
};

/** The same seed and the same calls meet the same faults. */
export function openFaults(seed: number): Faults {
  const random = openRandom(seed);
  let rules: FaultRule[] = [];

  function strikes(rule: FaultRule): boolean {
    if (rule.share < 1 && random() >= rule.share) return false;
    if (rule.times === undefined) return true;
    const left = rule.times - 1;
    rules = rules.flatMap((it) => (it.id !== rule.id ? [it] : left > 0 ? [{ ...it, times: left }] : []));
    return true;
  }

  const draw = (spread: Spread): number => {
    if (spread.kind === 'even') return spread.min + random() * (spread.max - spread.min);
    // Log-normal: 2.326 is how many deviations lie below the 99th percentile.
    const deviation = Math.log(Math.max(spread.p99 / spread.median, 1)) / 2.326;
    const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    return spread.median * Math.exp(deviation * normal);
  };

  return {
    add({ scope = {}, effect, share = 1, times }) {
      const rule = { id: randomUUID(), scope, effect, share, ...(times === undefined ? {} : { times }) };
      rules.push(rule);
      return rule;
    },
    remove(id) {
      const before = rules.length;
      rules = rules.filter((rule) => rule.id !== id);
      return rules.length < before;
    },
    clear() {
      rules = [];
    },
    list: () => rules,
    meet: (call) =>
      rules.flatMap((rule) => {
        const { effect } = rule;
        if (effect.kind === 'delivery' || effect.kind === 'clock') return [];
        return matches(rule.scope, call) && strikes(rule) ? [effect] : [];
      }),
    deliveries(cloud, service) {
      const call = { cloud, service, operation: 'deliver' };
      let how = USUAL;
      for (const rule of rules)
        if (rule.effect.kind === 'delivery' && matches(rule.scope, call) && strikes(rule)) how = rule.effect;
      if (random() < how.never) return [];
      return Array.from({ length: random() < how.twice ? 2 : 1 }, () => Math.max(0, draw(how.ms)));
    },
    aheadMs: (cloud) =>
      rules.reduce((sum, { scope, effect }) => {
        const here = effect.kind === 'clock' && (scope.cloud ?? cloud) === cloud;
        return sum + (here ? effect.aheadMs : 0);
      }, 0),
    draw,
  };
}

function matches(scope: FaultScope, call: Call): boolean {
  return (
    (scope.cloud === undefined || scope.cloud === call.cloud) &&
    (scope.service === undefined || scope.service === call.service) &&
    (scope.operation === undefined || scope.operation === call.operation) &&
    (scope.from === undefined || (call.from ?? '').includes(scope.from)) &&
    (scope.keyPrefix === undefined || (call.key ?? '').startsWith(scope.keyPrefix))
  );
}

/** Mulberry32: small, and good enough for choosing who is struck. */
function openRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
