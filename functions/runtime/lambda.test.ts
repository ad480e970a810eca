import { describe, expect, it } from 'vitest';
import { fault } from '../../shared/model/fault.ts';
import type { Delivery } from '../../shared/queue/queue.ts';
import { openSystemTimer } from '../../shared/world/system.ts';
import type { Timer } from '../../shared/world/world.ts';
import { openScene, type Scene } from '../../test/scenario/world.ts';
import { openSource } from '../replicator.ts';
import { type BatchAnswer, type LambdaHandlers, openLambda } from './lambda.ts';

const timer = openSystemTimer();

/** Handlers over a scene whose queue is the one that Lambda polls. */
function open(scene: Scene, clock: Timer = timer): LambdaHandlers {
  const { world, queue } = scene;
  const source = openSource('aws', queue, world.topology);
  return openLambda({ open: async () => ({ world, sources: { changes: source } }), timer: clock });
}

/** As S3 tells of it. */
function told(key: string): string {
  const s3 = { bucket: { name: 'bucket-aws' }, object: { key } };
  return JSON.stringify({
    Records: [{ eventSource: 'aws:s3', eventVersion: '2.1', eventName: 'ObjectCreated:Put', s3 }],
  });
}

function toRecord({ id, body, attempt, sentAt, receipt }: Delivery) {
  return {
    messageId: id,
    receiptHandle: receipt,
    body,
    attributes: { ApproximateReceiveCount: String(attempt), SentTimestamp: String(sentAt), SenderId: 'AIDA' },
    messageAttributes: { other: { stringValue: 'text', dataType: 'String' } },
    md5OfBody: '',
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:changes',
    awsRegion: 'us-east-1',
  };
}

function withTime(ms: number) {
  return { getRemainingTimeInMillis: () => ms };
}

/** What the poller of Lambda does with one batch: what is not among the failures it removes. */
async function poll(scene: Scene, handlers: LambdaHandlers, ms = 60_000): Promise<BatchAnswer> {
  const deliveries = await scene.queue.receive({ max: 10, visibilityMs: 600_000 });
  const answer = await handlers.changes({ Records: deliveries.map(toRecord) }, withTime(ms));
  const failed = new Set(answer.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
  for (const { id, receipt } of deliveries) if (!failed.has(id)) await scene.queue.settle(receipt, { kind: 'done' });
  return answer;
}

async function openDeaf(): Promise<Scene> {
  const scene = await openScene();
  scene.deaf = true;
  return scene;
}

describe('a Lambda function', () => {
  it('carries what a batch tells, and forgets it', async () => {
    const scene = await openDeaf();
    for (let i = 0; i < 8; i++) {
      scene.put('aws', `k${i}`, `text ${i}`);
      await scene.queue.send(told(`k${i}`));
    }
    expect(await poll(scene, open(scene))).toEqual({ batchItemFailures: [] });
    for (let i = 0; i < 8; i++) expect(await scene.readAll(`k${i}`)).toEqual(Array(3).fill(`text ${i}`));
    expect(await scene.queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 0 });
  });

  it('tells apart what is done, what comes again later, and what nobody can read', async () => {
    const scene = await openDeaf();
    scene.put('aws', 'good', 'arrives');
    scene.put('aws', 'bad', 'arrives later');
    for (const body of [told('bad'), '{"Records":', told('good')]) await scene.queue.send(body);
    let outage = true;
    scene.before = ({ place, args }) => {
      if (outage && place === 'ledger' && args[0] === 'bad') throw fault('unavailable', 'the ledger is away');
    };
    const handlers = open(scene);
    expect(await poll(scene, handlers)).toEqual({ batchItemFailures: [] });
    expect(await scene.readAll('good')).toEqual(['arrives', 'arrives', 'arrives']);
    expect(await scene.deadLetters()).toMatchObject([
      { body: '{"Records":', reason: expect.stringMatching(/^body: expected JSON/) },
    ]);
    expect(await scene.queue.depth()).toEqual({ waiting: 1, inFlight: 0, dead: 1 });
    outage = false;
    scene.now += 1_000;
    expect(await poll(scene, handlers)).toEqual({ batchItemFailures: [] });
    expect(await scene.read('gcp', 'bad')).toBe('arrives later');
  });

  it('gives back what it could not settle, and the rest of the batch does not suffer', async () => {
    const scene = await openDeaf();
    scene.put('aws', 'good', 'arrives');
    for (const body of ['nonsense', told('good')]) await scene.queue.send(body);
    const [poisoned] = await scene.queue.receive({ max: 1, visibilityMs: 1 });
    scene.now += 1;
    const settle = scene.queue.settle.bind(scene.queue);
    scene.queue.settle = async (receipt, settlement) => {
      if (settlement.kind === 'dead') throw fault('unavailable', 'the shelf is away');
      return settle(receipt, settlement);
    };
    expect(await poll(scene, open(scene))).toEqual({ batchItemFailures: [{ itemIdentifier: poisoned?.id }] });
    expect(await scene.read('az', 'good')).toBe('arrives');
    expect(scene.notices).toContainEqual(expect.objectContaining({ what: 'queue-down', detail: 'the shelf is away' }));
    expect(await scene.queue.depth()).toEqual({ waiting: 0, inFlight: 1, dead: 0 });
  });

  it('survives a bug in one message, and tells of it', async () => {
    const scene = await openDeaf();
    scene.put('aws', 'good', 'arrives');
    for (const body of [told('bug'), told('good')]) await scene.queue.send(body);
    scene.before = ({ args }) => {
      if (args[0] === 'bug') throw new TypeError('undefined is not a function');
    };
    const { batchItemFailures } = await poll(scene, open(scene));
    expect(batchItemFailures).toHaveLength(1);
    expect(scene.notices).toContainEqual(expect.objectContaining({ severity: 'alarm', what: 'bug' }));
    expect(await scene.read('az', 'good')).toBe('arrives');
  });

  it('begins nothing for which there is no time', async () => {
    const scene = await openDeaf();
    for (const key of ['a', 'b']) await scene.queue.send(told(key));
    expect((await poll(scene, open(scene), 900)).batchItemFailures).toHaveLength(2);
    expect(scene.calls).toEqual([]);
  });

  it('answers in time, and gives back what has not ended', async () => {
    const scene = await openDeaf();
    scene.put('aws', 'quick', 'arrives');
    scene.put('aws', 'stuck', 'does not');
    for (const key of ['stuck', 'quick']) await scene.queue.send(told(key));
    scene.before = ({ place, op, args }) =>
      place !== 'ledger' && op === 'get' && args[0] === 'stuck' ? new Promise(() => {}) : undefined;
    const rings: Array<() => void> = [];
    const asked: number[] = [];
    const polled = poll(
      scene,
      open(scene, {
        after(ms, run) {
          asked.push(ms);
          rings.push(run);
          return () => {};
        },
      }),
    );
    while ((await scene.read('gcp', 'quick')) === null)
      await new Promise((resolve) => timer.after(1, () => resolve(null)));
    for (const ring of rings) ring();
    expect((await polled).batchItemFailures).toHaveLength(1);
    // Two seconds of the minute are kept for the answer.
    expect(asked).toEqual([58_000, 58_000]);
  });

  it('gives back what was cut off while it was copied, and another invocation goes on with it', async () => {
    const scene = await openDeaf();
    scene.put('aws', 'stuck', 'text');
    await scene.queue.send(told('stuck'));
    const copying = Promise.withResolvers<void>();
    scene.before = ({ place, op, args }) => {
      if (place !== 'gcp' || op !== 'put' || args[0] !== 'stuck') return undefined;
      copying.resolve();
      return new Promise(() => {});
    };
    let ring = () => {};
    const after: Timer['after'] = (_ms, run) => {
      ring = run;
      return () => {};
    };
    const polled = poll(scene, open(scene, { after }));
    await copying.promise;
    ring();
    expect((await polled).batchItemFailures).toHaveLength(1);
    expect(await scene.item('stuck')).toMatchObject({ unlisted: true });
    expect(await scene.listed()).toEqual([]);
    scene.before = () => {};
    scene.now += scene.world.topology.limits.leaseMs + 1;
    expect(await poll(scene, open(scene))).toEqual({ batchItemFailures: [] });
    expect(await scene.readAll('stuck')).toEqual(['text', 'text', 'text']);
    expect(await scene.item('stuck')).toMatchObject({ due: null });
    expect(await scene.queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 0 });
  });

  it('copies a large object over as many invocations as it takes', async () => {
    const text = 'one object of five parts and a little more';
    const scene = await openScene({ sites: { aws: 's3', gcp: 'gcs' }, limits: { stageOverBytes: 16, partBytes: 8 } });
    scene.deaf = true;
    scene.before = ({ op }) => {
      if (op === 'putPart') scene.now += 20_000;
    };
    scene.put('aws', 'video.bin', text);
    await scene.queue.send(told('video.bin'));
    const handlers = open(scene);
    let invocations = 0;
    while ((await scene.read('gcp', 'video.bin')) === null && ++invocations < 10) {
      await poll(scene, handlers, 60_000);
      scene.now += 1_000;
    }
    expect(invocations).toBe(2);
    expect(await scene.read('gcp', 'video.bin')).toBe(text);
    expect(scene.calls.filter(({ op }) => op === 'putPart')).toHaveLength(6);
    expect(await scene.queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 0 });
  });

  it('opens its world once, and tries again when that failed', async () => {
    const scene = await openDeaf();
    const source = openSource('aws', scene.queue, scene.world.topology);
    let opened = 0;
    const handlers = openLambda({
      open: async () => {
        if (++opened === 1) throw fault('unreachable', 'no such host');
        return { world: scene.world, sources: { changes: source } };
      },
      timer,
    });
    await expect(poll(scene, handlers)).rejects.toThrow('no such host');
    await Promise.all([poll(scene, handlers), poll(scene, handlers)]);
    expect(opened).toBe(2);
  });

  it('opens its world anew when a site was away, and once for all who come then', async () => {
    const scene = await openDeaf();
    const { world } = scene;
    const source = openSource('aws', scene.queue, world.topology);
    let opened = 0;
    const open = async () => {
      const sources = { changes: source };
      return ++opened === 1 ? { world, sources, reopenAt: scene.now + 60_000 } : { world, sources };
    };
    const handlers = openLambda({ open, timer });
    await poll(scene, handlers);
    scene.now += 59_999;
    await poll(scene, handlers);
    expect(opened).toBe(1);
    scene.now += 1;
    await Promise.all([poll(scene, handlers), poll(scene, handlers), poll(scene, handlers)]);
    await poll(scene, handlers);
    expect(opened).toBe(2);
  });

  it('refuses what is not a batch of SQS, by the place in the event', async () => {
    const handlers = open(await openDeaf());
    await expect(handlers.changes({ detail: {} }, withTime(1_000))).rejects.toThrow('event.Records: expected an array');
    const record = { messageId: 'm', body: 'b', attributes: {} };
    await expect(handlers.changes({ Records: [record] }, withTime(1_000))).rejects.toThrow(
      'event.Records[0].receiptHandle: expected',
    );
  });

  it('sweeps on a schedule until nothing is due', async () => {
    const scene = await openScene();
    scene.put('aws', 'late', 'arrives');
    scene.before = ({ place, op }) => {
      if (place === 'gcp' && op === 'put') throw fault('unavailable', 'gcp is away');
    };
    await scene.drain();
    scene.before = () => {};
    scene.now += scene.world.topology.limits.leaseMs + 1;
    await open(scene).sweep({ 'detail-type': 'Scheduled Event' }, withTime(60_000));
    expect(await scene.read('gcp', 'late')).toBe('arrives');
  });

  it('passes over everything on a schedule', async () => {
    const scene = await openDeaf();
    scene.put('aws', 'unheard', 'found');
    await open(scene).pass({}, withTime(60_000));
    scene.count();
    await open(scene).verify({}, withTime(60_000));
    expect(Object.keys(scene.count())).toEqual(expect.arrayContaining(['ledger listKeys']));
    expect(await scene.readAll('unheard')).toEqual(['found', 'found', 'found']);
  });
});
