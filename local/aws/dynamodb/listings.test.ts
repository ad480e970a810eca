import type { AttributeValue, QueryCommandInput } from '@aws-sdk/client-dynamodb';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Bench,
  createThings,
  errorOf,
  openDynamoBench,
  TABLE as TableName,
} from '../../../test/samples/dynamodb.ts';

const MIB = 1024 * 1024;
const PAGES_MAX = 200;

let bench: Bench;
const client = () => bench.client;

beforeAll(async () => {
  bench = await openDynamoBench();
  await createThings(bench.client);
  for (let rank = 0; rank < 40; rank++)
    await bench.client.putItem({
      TableName,
      Item: {
        pk: { S: 'p' },
        sk: { N: `${rank - 20}.5` },
        owner: { S: rank % 2 === 0 ? 'even' : 'odd' },
        rank: { N: `${rank}` },
        label: { S: `l${rank}` },
        hidden: { BOOL: true },
      },
    });
});

afterAll(() => bench.stop());

type Row = Record<string, AttributeValue>;

async function all(
  input: Partial<QueryCommandInput>,
): Promise<{ readonly rows: readonly Row[]; readonly pages: number }> {
  const rows: Row[] = [];
  let ExclusiveStartKey: Row | undefined;
  for (let pages = 1; pages < PAGES_MAX; pages++) {
    const page = await client().query({ TableName, ...input, ...(ExclusiveStartKey && { ExclusiveStartKey }) });
    rows.push(...(page.Items ?? []));
    ExclusiveStartKey = page.LastEvaluatedKey;
    if (ExclusiveStartKey === undefined) return { rows, pages };
  }
  throw new Error('the pages do not end');
}

const p = { KeyConditionExpression: 'pk = :p', ExpressionAttributeValues: { ':p': { S: 'p' } } };
const ranksOf = (rows: readonly Row[]) => rows.map(({ rank }) => Number(rank?.N));
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

describe('a query', () => {
  test('reads a partition in the order of its sort key, and backwards', async () => {
    expect(ranksOf((await all(p)).rows)).toEqual(numbers(0, 40));
    expect(ranksOf((await all({ ...p, ScanIndexForward: false })).rows)).toEqual(numbers(0, 40).reverse());
  });

  test.each([1, 3, 39, 40, 41])('by pages of %i holds every item once, either way', async (Limit) => {
    for (const ScanIndexForward of [true, false]) {
      const { rows, pages } = await all({ ...p, Limit, ScanIndexForward });
      expect(ranksOf(rows)).toEqual(ScanIndexForward ? numbers(0, 40) : numbers(0, 40).reverse());
      // A page that is full says that there may be more, even when there is not.
      expect(pages).toBe(Math.floor(40 / Limit) + 1);
    }
  });

  test.each([
    ['sk = :a', numbers(10, 11)],
    ['sk < :a', numbers(0, 10)],
    ['sk <= :a', numbers(0, 11)],
    ['sk > :a', numbers(11, 40)],
    ['sk >= :a', numbers(10, 40)],
    [':a < sk', numbers(11, 40)],
    ['sk BETWEEN :a AND :b', numbers(10, 31)],
  ])('with %s', async (condition, ranks) => {
    const { rows } = await all({
      KeyConditionExpression: `pk = :p AND ${condition}`,
      ExpressionAttributeValues: {
        ':p': { S: 'p' },
        ':a': { N: '-10.5' },
        ...(condition.includes(':b') ? { ':b': { N: '1.05e1' } } : {}),
      },
    });
    expect(ranksOf(rows)).toEqual(ranks);
  });

  test('filters after it has read: the page is counted by what was read', async () => {
    const page = await client().query({
      TableName,
      KeyConditionExpression: 'pk = :p',
      FilterExpression: '#owner = :o',
      ExpressionAttributeNames: { '#owner': 'owner' },
      ExpressionAttributeValues: { ':p': { S: 'p' }, ':o': { S: 'odd' } },
      Limit: 5,
    });
    expect([page.Count, page.ScannedCount]).toEqual([2, 5]);
    expect(page.LastEvaluatedKey).toEqual({ pk: { S: 'p' }, sk: { N: '-16.5' } });
  });

  test('ends a page at a megabyte', async () => {
    const Items = numbers(0, 9).map((sk) => ({ pk: { S: 'fat' }, sk: { N: `${sk}` }, x: { S: 'x'.repeat(MIB / 4) } }));
    for (const Item of Items) await client().putItem({ TableName, Item });
    const fat = { KeyConditionExpression: 'pk = :p', ExpressionAttributeValues: { ':p': { S: 'fat' } } };
    const { rows, pages } = await all({ ...fat, ProjectionExpression: 'sk' });
    expect([rows.length, pages]).toEqual([9, 3]);
    const { ConsumedCapacity } = await client().query({
      TableName,
      ...fat,
      ReturnConsumedCapacity: 'TOTAL',
      ConsistentRead: true,
    });
    expect(ConsumedCapacity?.CapacityUnits).toBe(257);
  });
});

describe('an index', () => {
  const odd = {
    IndexName: 'by-owner',
    KeyConditionExpression: '#owner = :o',
    ExpressionAttributeNames: { '#owner': 'owner' },
    ExpressionAttributeValues: { ':o': { S: 'odd' } },
  };

  test('shows what it projects, in its own order, by pages of any size', async () => {
    for (const Limit of [1, 7, 100]) {
      const { rows } = await all({ ...odd, Limit });
      expect(ranksOf(rows)).toEqual(numbers(0, 20).map((it) => it * 2 + 1));
      expect(Object.keys(rows[0] as Row).sort()).toEqual(['label', 'owner', 'pk', 'rank', 'sk']);
    }
  });

  test('forgets an item that loses an attribute of its key', async () => {
    const Key = { pk: { S: 'sparse' }, sk: { N: '1' } };
    const find = async () =>
      (await all({ ...odd, ExpressionAttributeValues: { ':o': { S: 'sparse' } } })).rows.map(({ rank }) => rank?.N);
    await client().putItem({ TableName, Item: { ...Key, owner: { S: 'sparse' }, rank: { N: '5' } } });
    expect(await find()).toEqual(['5']);
    const update = (UpdateExpression: string) =>
      client().updateItem({ TableName, Key, UpdateExpression, ExpressionAttributeNames: { '#rank': 'rank' } });
    await update('REMOVE #rank');
    expect(await find()).toEqual([]);
  });

  test('is filled when it is added to a table that has items', async () => {
    await client().updateTable({
      TableName,
      AttributeDefinitions: [{ AttributeName: 'label', AttributeType: 'S' }],
      GlobalSecondaryIndexUpdates: [
        {
          Create: {
            IndexName: 'by-label',
            KeySchema: [{ AttributeName: 'label', KeyType: 'HASH' }],
            Projection: { ProjectionType: 'ALL' },
          },
        },
      ],
    });
    const { Items } = await client().query({
      TableName,
      IndexName: 'by-label',
      KeyConditionExpression: 'label = :l',
      ExpressionAttributeValues: { ':l': { S: 'l7' } },
    });
    expect(Items).toMatchObject([{ rank: { N: '7' }, hidden: { BOOL: true } }]);
  });

  test('is not read consistently, and gives nothing that it does not have', async () => {
    expect(await errorOf(client().query({ TableName, ...odd, ConsistentRead: true }))).toBe('ValidationException');
    expect(await errorOf(client().query({ TableName, ...odd, Select: 'ALL_ATTRIBUTES' }))).toBe('ValidationException');
    expect(await errorOf(client().query({ TableName, ...odd, IndexName: 'none' }))).toBe('ValidationException');
  });
});

test('a global index that lags shows the past for a while, and never both', async () => {
  const lagging = await openDynamoBench({ indexLagMs: 150 });
  await createThings(lagging.client);
  const put = (rank: number) =>
    lagging.client.putItem({
      TableName,
      Item: { pk: { S: 'p' }, sk: { N: '1' }, owner: { S: 'o' }, rank: { N: `${rank}` } },
    });
  const look = async () => {
    const { Items } = await lagging.client.query({
      TableName,
      IndexName: 'by-owner',
      KeyConditionExpression: '#owner = :o',
      ExpressionAttributeNames: { '#owner': 'owner' },
      ExpressionAttributeValues: { ':o': { S: 'o' } },
    });
    return ranksOf(Items ?? []);
  };
  await put(1);
  expect(await look()).toEqual([]);
  await expect.poll(look).toEqual([1]);
  await put(2);
  expect(await look()).toEqual([1]);
  await expect.poll(look).toEqual([2]);
  await lagging.stop();
});

describe('a scan', () => {
  test('finds every item once, in segments and by pages', async () => {
    const keys = numbers(0, 60).map((index) => `scan ${index}`);
    for (const pk of keys) await client().putItem({ TableName, Item: { pk: { S: pk }, sk: { N: '1' } } });
    for (const TotalSegments of [1, 3]) {
      const found: string[] = [];
      for (let Segment = 0; Segment < TotalSegments; Segment++) {
        let ExclusiveStartKey: Row | undefined;
        for (let pages = 0; pages < PAGES_MAX; pages++) {
          const page = await client().scan({
            TableName,
            Segment,
            TotalSegments,
            Limit: 7,
            ...(ExclusiveStartKey && { ExclusiveStartKey }),
          });
          found.push(...(page.Items ?? []).map(({ pk }) => pk?.S ?? '').filter((pk) => pk.startsWith('scan')));
          ExclusiveStartKey = page.LastEvaluatedKey;
          if (ExclusiveStartKey === undefined) break;
        }
      }
      expect(found.sort()).toEqual([...keys].sort());
    }
  });

  test('comes in no order that anybody could rely on', async () => {
    const { Items = [] } = await client().scan({ TableName, ProjectionExpression: 'pk' });
    const names = Items.map(({ pk }) => pk?.S).filter((pk) => pk?.startsWith('scan'));
    expect(names).not.toEqual([...names].sort());
  });
});

test('sort keys of any type come in the order that their values have', async () => {
  const anyNumber = fc.oneof(
    fc.integer().map(String),
    fc.tuple(fc.integer({ min: -999, max: 999 }), fc.integer({ min: -100, max: 100 })).map(([n, e]) => `${n}e${e}`),
    fc
      .double({ noNaN: true, noDefaultInfinity: true, min: -1e100, max: 1e100 })
      .filter((n) => n === 0 || Math.abs(n) > 1e-100)
      .map((n) => `${n}`),
  );
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(anyNumber, { maxLength: 12, selector: Number }), async (given) => {
      const pk = { S: `sorted ${runs++}` };
      for (const n of given) await client().putItem({ TableName, Item: { pk, sk: { N: n } } });
      const { rows } = await all({ KeyConditionExpression: 'pk = :p', ExpressionAttributeValues: { ':p': pk } });
      expect(rows.map(({ sk }) => Number(sk?.N))).toEqual(given.map((it) => Number(it) + 0).sort((a, b) => a - b));
    }),
    { numRuns: 40 },
  );
});
