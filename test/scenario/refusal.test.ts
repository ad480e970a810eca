/** What is not believed: defective rows and messages, workers of an older epoch. Each is said aloud, and stops nothing else. */
import { describe, expect, it } from 'vitest';
import { fault } from '#shared/model/fault.ts';
import { sweep } from '#shared/replicate/sweep.ts';
import { openScene, type Scene } from './world.ts';

const KEY = 'docs/a.txt';

/** Writes of any kind since the count began. */
function written(scene: Scene): readonly string[] {
  const reading = ['get', 'head', 'versions', 'list', 'listKeys', 'listDue', 'getRecord', 'listRecords', 'receive'];
  return scene.calls.filter(({ op }) => !reading.includes(op)).map(({ place, op }) => `${place} ${op}`);
}

describe('a ledger row that is no item', () => {
  /** The row of a key that clients go on changing. */
  async function broken(change: object): Promise<Scene> {
    const scene = await openScene();
    scene.put('aws', KEY, 'one');
    await scene.drain();
    const row = { ...(await scene.item(KEY)), ...change };
    scene.plantRow(KEY, JSON.stringify({ ...row, rev: (row.rev ?? 0) + 1 }));
    scene.now += 5_000;
    scene.calls.length = 0;
    return scene;
  }

  it.each<[field: string, change: object]>([
    ['item.frontier', { frontier: undefined }],
    ['item.frontier[0]', { frontier: ['aws:1'] }],
    ['item.dots.aws', { dots: { aws: 'many' } }],
    ['item.versions', { versions: [] }],
    ['item.due', { due: 'soon' }],
  ])(
    'is refused by the name of the field %s: nothing is written, and its message is put aside',
    async (field, change) => {
      const scene = await broken(change);
      scene.put('az', KEY, 'two');
      await scene.drain();
      expect(written(scene)).toEqual(['queue settle']);
      expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'two']);
      const [letter, ...others] = await scene.deadLetters();
      expect(others).toEqual([]);
      expect(letter?.reason).toContain(`the ledger row of "${KEY}" cannot be read: ${field}: expected `);
      await expect(scene.item(KEY)).rejects.toMatchObject({
        name: 'Fault',
        kind: 'invalid',
        details: { field, key: KEY },
      });
    },
  );

  it('is still there, and does not stop other keys', async () => {
    const scene = await broken({ frontier: undefined });
    scene.put('gcp', KEY, 'two');
    scene.put('aws', 'docs/b.txt', 'other');
    await scene.rest();
    expect(await scene.readAll('docs/b.txt')).toEqual(['other', 'other', 'other']);
    await expect(scene.item(KEY)).rejects.toThrow('item.frontier');
  });

  it('is told of by the sweep that comes across it', async () => {
    const scene = await openScene();
    scene.before = ({ place }) => {
      if (place === 'az') throw fault('unreachable', 'as the test wants');
    };
    scene.put('aws', KEY, 'one');
    await scene.drain();
    scene.before = () => {};
    expect((await scene.item(KEY))?.due).not.toBeNull();
    scene.plantRow(KEY, '{"schema":1}');
    scene.now += scene.world.topology.limits.leaseMs + 1;
    expect(await sweep(scene.world, 10)).toEqual({ done: 0, later: 0, waiting: 0, failed: 1 });
    expect(scene.notices).toContainEqual(expect.objectContaining({ what: 'refused-row', severity: 'alarm', key: KEY }));
  });
});

describe('a message that is no change', () => {
  it.each([
    ['change: expected JSON, got "what?"', 'what?'],
    ['change.site: expected a site id, got undefined', '{}'],
    ['change.key: expected a string, got undefined', '{"site":"aws"}'],
    ['change.kind: expected put, delete or metadata, got undefined', '{"site":"aws","key":"k"}'],
  ])('is put aside with the reason: %s', async (reason, body) => {
    const scene = await openScene();
    await scene.queue.send(body);
    scene.put('aws', KEY, 'one');
    await scene.drain();
    expect(await scene.deadLetters()).toEqual([expect.objectContaining({ body, reason, attempts: 1 })]);
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
    expect(await scene.queue.depth()).toEqual({ waiting: 0, inFlight: 0, dead: 1 });
  });
});

describe('a worker of an older epoch', () => {
  it('changes nothing in the ledger any more, and the write it was at is not lost', async () => {
    const scene = await openScene();
    const swaps = () => scene.calls.filter(({ op }) => op === 'compareAndSet');
    scene.before = async ({ place, op }) => {
      if (place === 'gcp' && op === 'put') expect(await scene.world.ledger.advanceEpoch(1)).toBe(true);
    };
    scene.put('aws', KEY, 'one');
    await scene.drain();
    const told = swaps().map(({ args, answer }) => `${(args[1] as { epoch: number }).epoch} ${answer}`);
    expect(told).toEqual(['1 done', '1 fenced', '2 done']);
    expect(await scene.item(KEY)).toMatchObject({ epoch: 2, due: null, outbox: [] });
    expect(await scene.readAll(KEY)).toEqual(['one', 'one', 'one']);
    expect(scene.writes()).toEqual([`gcp put ${KEY}`, `az put ${KEY}`]);
  });
});
