import { afterEach, describe, expect, it } from 'vitest';
import { fault } from '../../shared/model/fault.ts';
import { readObjectChange, toObjectChangeText } from '../../shared/model/object-change.ts';
import { openMemoryQueue } from '../../shared/queue/memory.ts';
import type { Queue } from '../../shared/queue/queue.ts';
import type { Source } from '../../shared/replicate/consume.ts';
import { openSystemTimer } from '../../shared/world/system.ts';
import { until } from '../../test/samples/until.ts';
import { openScene, type Scene } from '../../test/scenario/world.ts';
import { type RunningWorker, startWorker, type WorkerOptions } from './worker.ts';

const timer = openSystemTimer();
const running: RunningWorker[] = [];

afterEach(async () => {
  for (const worker of running.splice(0)) await worker.stop();
});

function start({ world }: Scene, queues: readonly Queue[], options: Partial<WorkerOptions> = {}): RunningWorker {
  const sources = queues.map((queue): Source => ({ queue, read: ({ body }) => [readObjectChange(body)] }));
  const worker = startWorker(world, sources, { timer, ...options });
  running.push(worker);
  return worker;
}

describe('a worker', () => {
  it('carries what several queues tell, until nothing is left', async () => {
    const scene = await openScene();
    const other = openMemoryQueue({ now: () => scene.now });
    for (let i = 0; i < 30; i++) scene.put('aws', `k${i}`, `text ${i}`);
    scene.deaf = true;
    scene.put('gcp', 'elsewhere', 'told by another queue');
    await other.send(toObjectChangeText({ site: 'gcp', key: 'elsewhere', kind: 'put' }));
    start(scene, [scene.queue, other], { concurrency: 4 });
    await until(
      async () => (await scene.read('az', 'k29')) !== null && (await scene.read('aws', 'elsewhere')) !== null,
    );
    await until(async () => (await scene.queue.depth()).waiting === 0);
    for (let i = 0; i < 30; i++) expect(await scene.readAll(`k${i}`)).toEqual(Array(3).fill(`text ${i}`));
  });

  it('works on a key one message at a time', async () => {
    const scene = await openScene();
    const keys = new Set<string>();
    let most = 0;
    let open = 0;
    scene.before = async ({ place, op, args }) => {
      if (op !== 'put' || place === 'ledger' || String(args[0]).startsWith('.triplicate')) return;
      keys.add(String(args[0]));
      open += 1;
      most = Math.max(most, open);
      await new Promise((resolve) => timer.after(5, () => resolve(undefined)));
      open -= 1;
    };
    scene.put('aws', 'one', 'first');
    scene.put('aws', 'one', 'second');
    scene.put('aws', 'one', 'third');
    const worker = start(scene, [scene.queue]);
    await until(() => worker.state.received >= 3 && worker.state.underWay === 0);
    expect(await scene.readAll('one')).toEqual(['third', 'third', 'third']);
    expect(keys).toEqual(new Set(['one']));
    // One run writes to both other sites at once; a second run over the same key never writes beside it.
    expect(most).toBeLessThanOrEqual(2);
  });

  it('keeps a message hidden for as long as it takes', async () => {
    const scene = await openScene();
    scene.put('aws', 'slow', 'takes its time');
    let extended = 0;
    const queue: Queue = {
      ...scene.queue,
      extend: (receipt, visibilityMs) => {
        extended += 1;
        return scene.queue.extend(receipt, visibilityMs);
      },
    };
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    scene.before = ({ place, op }) => (place !== 'ledger' && op === 'get' ? held : undefined);
    const worker = start(scene, [queue], { visibilityMs: 40 });
    await until(() => extended >= 3);
    release();
    await until(() => worker.state.underWay === 0);
    const after = extended;
    await new Promise((resolve) => timer.after(100, () => resolve(undefined)));
    expect(extended).toBeLessThanOrEqual(after + 1);
    expect(await scene.read('gcp', 'slow')).toBe('takes its time');
  });

  it('puts what it cannot read with the dead letters, and says why', async () => {
    const scene = await openScene();
    await scene.queue.send('{"site":');
    start(scene, [scene.queue]);
    await until(async () => (await scene.deadLetters()).length === 1);
    expect((await scene.deadLetters())[0]?.reason).toMatch(/^change: expected JSON/);
  });

  it('goes on when its queue comes back', async () => {
    const scene = await openScene();
    let failures = 2;
    const queue: Queue = {
      ...scene.queue,
      receive: (options) => {
        if (failures-- > 0) throw fault('unreachable', 'no connection to the queue');
        return scene.queue.receive(options);
      },
    };
    scene.put('aws', 'late', 'but there');
    start(scene, [queue]);
    await until(async () => (await scene.read('az', 'late')) === 'but there');
    expect(scene.notices.filter(({ what }) => what === 'queue-down')).toHaveLength(2);
  });

  it('survives a bug, tells of it, and leaves the message to come again', async () => {
    const scene = await openScene();
    let bugs = 1;
    scene.before = ({ place, op }) => {
      if (place === 'ledger' && op === 'compareAndSet' && bugs-- > 0)
        throw new TypeError('undefined is not a function');
    };
    scene.put('aws', 'first', 'meets the bug');
    const worker = start(scene, [scene.queue]);
    await until(() => worker.state.received === 1 && worker.state.underWay === 0);
    expect(scene.notices).toContainEqual(expect.objectContaining({ severity: 'alarm', what: 'bug' }));
    expect((await scene.queue.depth()).inFlight).toBe(1);
    scene.now += 60_001;
    await until(async () => (await scene.read('az', 'first')) === 'meets the bug');
  });

  it('ends what is under way before it stops, and takes nothing new', async () => {
    const scene = await openScene();
    scene.put('aws', 'last', 'words');
    const worker = start(scene, [scene.queue]);
    await until(() => worker.state.received === 1);
    await worker.stop();
    expect(worker.state.underWay).toBe(0);
    scene.put('aws', 'afterwards', 'nobody takes it');
    await new Promise((resolve) => timer.after(60, () => resolve(undefined)));
    expect(worker.state.received).toBe(1);
    expect(await scene.readAll('last')).toEqual(['words', 'words', 'words']);
  });
});
