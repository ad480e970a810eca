/** Conformance of a queue: whatever happens to messages, each is somewhere, and a receipt is worth what it should be. */

import fc from 'fast-check';
import { expect } from 'vitest';
import type { Settlement } from '#shared/queue/queue.ts';
import { type Bench, bodiesOf, receiveAll } from './queue-bench.ts';

const CALLS_MAX = 60;

const anyMs = fc.constantFrom(0, 1, 5, 10);
const anySettlement: fc.Arbitrary<Settlement> = fc.oneof(
  fc.constant<Settlement>({ kind: 'done' }),
  anyMs.map<Settlement>((delayMs) => ({ kind: 'again', delayMs })),
  fc.constant<Settlement>({ kind: 'dead', reason: 'because' }),
);
/** Counted back from the newest one given. */
const anyReceipt = fc.nat({ max: 6 });
const anyVisibility = fc.constantFrom(1, 5, 10);

const anyCall = fc.oneof(
  fc.record({ call: fc.constant('send' as const), delayMs: fc.oneof(fc.constant(0), anyMs) }),
  fc.record({
    call: fc.constant('receive' as const),
    max: fc.integer({ min: 1, max: 4 }),
    visibilityMs: anyVisibility,
  }),
  {
    weight: 2,
    arbitrary: fc.record({ call: fc.constant('settle' as const), receipt: anyReceipt, settlement: anySettlement }),
  },
  fc.record({ call: fc.constant('extend' as const), receipt: anyReceipt, visibilityMs: anyVisibility }),
  fc.record({ call: fc.constant('redrive' as const), limit: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ call: fc.constant('advance' as const), ms: anyMs }),
);
type Call = typeof anyCall extends fc.Arbitrary<infer T> ? T : never;

export const anyCalls: fc.Arbitrary<readonly Call[]> = fc.array(anyCall, { maxLength: CALLS_MAX, size: 'max' });

interface Message {
  attempts: number;
  /** When it may be received, or, while it is held, when its receipt expires. */
  visibleAt: number;
  receipt: string | null;
  dead: boolean;
}

export async function runLikeModel({ queue, advance }: Bench, calls: readonly Call[]): Promise<void> {
  /** By body, which here no two messages share. */
  const messages = new Map<string, Message>();
  const receipts: string[] = [];
  let time = 0;
  let sent = 0;

  const isHeld = (it: Message): boolean => it.receipt !== null && it.visibleAt > time;
  const holderOf = (receipt: string) =>
    [...messages].find(([, it]) => it.receipt === receipt && isHeld(it)) ?? ([null, null] as const);

  async function receive(max: number, visibilityMs: number): Promise<void> {
    const deliveries = await queue.receive({ max, visibilityMs });
    expect(deliveries.length).toBeLessThanOrEqual(max);
    for (const { body, attempt, receipt } of deliveries) {
      const message = messages.get(body);
      expect(message, `${body} was received and is not there`).toBeDefined();
      if (message === undefined) continue;
      expect(message.dead || message.visibleAt > time, `${body} was received too early`).toBe(false);
      expect(attempt).toBe(message.attempts + 1);
      expect(receipts).not.toContain(receipt);
      Object.assign(message, { attempts: attempt, visibleAt: time + visibilityMs, receipt });
      receipts.push(receipt);
    }
  }

  async function settle(receipt: string, settlement: Settlement): Promise<void> {
    const [body, message] = holderOf(receipt);
    expect(await queue.settle(receipt, settlement)).toBe(message !== null);
    if (message === null) return;
    message.receipt = null;
    if (settlement.kind === 'done') messages.delete(body);
    if (settlement.kind === 'again') message.visibleAt = time + settlement.delayMs;
    if (settlement.kind === 'dead') message.dead = true;
  }

  /** Which ones come back only the shelf can tell. */
  async function redrive(limit: number): Promise<void> {
    const dead = [...messages].filter(([, it]) => it.dead);
    expect(await queue.redrive({ limit })).toBe(Math.min(limit, dead.length));
    const kept = new Set(bodiesOf(await queue.deadLetters({ limit: 1_000 })));
    for (const [body, message] of dead)
      if (!kept.has(body)) Object.assign(message, { dead: false, attempts: 0, visibleAt: time });
  }

  for (const call of calls) {
    const receipt = 'receipt' in call ? receipts.at(-1 - call.receipt) : undefined;
    if (call.call === 'send') {
      const body = `message ${++sent}`;
      await queue.send(body, { delayMs: call.delayMs });
      messages.set(body, { attempts: 0, visibleAt: time + call.delayMs, receipt: null, dead: false });
    } else if (call.call === 'receive') {
      await receive(call.max, call.visibilityMs);
    } else if (call.call === 'redrive') {
      await redrive(call.limit);
    } else if (call.call === 'advance') {
      await advance(call.ms);
      time += call.ms;
    } else if (receipt !== undefined && call.call === 'settle') {
      await settle(receipt, call.settlement);
    } else if (receipt !== undefined && call.call === 'extend') {
      const [, message] = holderOf(receipt);
      expect(await queue.extend(receipt, call.visibilityMs)).toBe(message !== null);
      if (message !== null) message.visibleAt = time + call.visibilityMs;
    }
    const all = [...messages.values()];
    const dead = all.filter((it) => it.dead).length;
    const inFlight = all.filter(isHeld).length;
    expect(await queue.depth()).toEqual({ waiting: all.length - dead - inFlight, inFlight, dead });
  }

  await advance(100);
  const living = [...messages].filter(([, it]) => !it.dead).map(([body]) => body);
  const dead = [...messages].filter(([, it]) => it.dead).map(([body]) => body);
  expect(bodiesOf(await receiveAll(queue))).toEqual(living.sort());
  expect(bodiesOf(await queue.deadLetters({ limit: 1_000 }))).toEqual(dead.sort());
}
