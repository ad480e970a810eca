import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Bench,
  createThings,
  errorOf,
  openDynamoBench,
  TABLE as TableName,
} from '../../../test/samples/dynamodb.ts';

const RACERS = 64;
const KIB = 1024;

let bench: Bench;
const client = () => bench.client;
const Key = (pk: string, sk = 1) => ({ pk: { S: pk }, sk: { N: `${sk}` } });
const read = async (pk: string, sk = 1) => (await client().getItem({ TableName, Key: Key(pk, sk) })).Item;

beforeAll(async () => {
  bench = await openDynamoBench();
  await createThings(bench.client);
});

afterAll(() => bench.stop());

describe('a conditional write', () => {
  test(`of ${RACERS} who create one item at once one does`, async () => {
    const race = Array.from({ length: RACERS }, (_, racer) =>
      errorOf(
        client().putItem({
          TableName,
          Item: { ...Key('raced'), racer: { N: `${racer}` } },
          ConditionExpression: 'attribute_not_exists(pk)',
        }),
      ),
    );
    const answers = await Promise.all(race);
    expect(answers.filter((answer) => answer === 'ConditionalCheckFailedException')).toHaveLength(RACERS - 1);
    expect(await read('raced')).toMatchObject({ racer: { N: `${answers.findIndex((it) => typeof it === 'object')}` } });
  });

  test('that fails tells what stands there when asked, and changes nothing', async () => {
    const Item = { ...Key('stands'), note: { S: 'first' } };
    await client().putItem({ TableName, Item });
    const again = {
      TableName,
      Item: Key('stands'),
      ConditionExpression: 'attribute_not_exists(pk)',
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
    };
    await expect(client().putItem(again)).rejects.toMatchObject({ name: 'ConditionalCheckFailedException', Item });
    expect(await read('stands')).toEqual(Item);
  });

  test('on what is not there is judged as on an item without attributes', async () => {
    const update = (ConditionExpression: string) =>
      errorOf(client().updateItem({ TableName, Key: Key('none'), UpdateExpression: 'REMOVE x', ConditionExpression }));
    expect(await update('attribute_exists(pk)')).toBe('ConditionalCheckFailedException');
    expect(await read('none')).toBeUndefined();
    expect(await update('attribute_not_exists(pk)')).toMatchObject({ answer: {} });
    expect(await read('none')).toEqual(Key('none'));
  });

  test('counts up without losing one', async () => {
    const add = () =>
      client().updateItem({
        TableName,
        Key: Key('counter'),
        UpdateExpression: 'ADD hits :one',
        ExpressionAttributeValues: { ':one': { N: '0.1' } },
      });
    await Promise.all(Array.from({ length: RACERS }, add));
    expect(await read('counter')).toMatchObject({ hits: { N: '6.4' } });
  });
});

describe('a write answers', () => {
  test('with the parts that were updated, before or after', async () => {
    await client().putItem({ TableName, Item: { ...Key('parts'), a: { N: '1' }, b: { S: 'x' }, c: { S: 'kept' } } });
    const update = (ReturnValues: 'UPDATED_OLD' | 'UPDATED_NEW', a: string) =>
      client().updateItem({
        TableName,
        Key: Key('parts'),
        UpdateExpression: 'SET a = :a REMOVE b',
        ExpressionAttributeValues: { ':a': { N: a } },
        ReturnValues,
      });
    expect((await update('UPDATED_OLD', '2')).Attributes).toEqual({ a: { N: '1' }, b: { S: 'x' } });
    expect((await update('UPDATED_NEW', '3')).Attributes).toEqual({ a: { N: '3' } });
  });

  test('with what was deleted or replaced', async () => {
    const Item = { ...Key('old'), a: { N: '1' } };
    expect(await client().putItem({ TableName, Item, ReturnValues: 'ALL_OLD' })).not.toHaveProperty('Attributes');
    const replaced = await client().putItem({ TableName, Item: Key('old'), ReturnValues: 'ALL_OLD' });
    expect(replaced.Attributes).toEqual(Item);
    const gone = await client().deleteItem({ TableName, Key: Key('old'), ReturnValues: 'ALL_OLD' });
    expect(gone.Attributes).toEqual(Key('old'));
  });

  test('with what it cost: an index costs when what it shows changes, twice when the item moves in it', async () => {
    const put = async (more: object) => {
      const Item = { ...Key('cost'), owner: { S: 'o' }, rank: { N: '1' }, label: { S: 'l' }, ...more };
      const { ConsumedCapacity: cost } = await client().putItem({ TableName, Item, ReturnConsumedCapacity: 'INDEXES' });
      return [cost?.Table?.CapacityUnits, cost?.GlobalSecondaryIndexes?.['by-owner']?.CapacityUnits];
    };
    expect(await put({})).toEqual([1, 1]);
    expect(await put({})).toEqual([1, undefined]);
    expect(await put({ unseen: { S: 'x' } })).toEqual([1, undefined]);
    expect(await put({ label: { S: 'other' } })).toEqual([1, 1]);
    expect(await put({ label: { S: 'other' }, rank: { N: '2' } })).toEqual([1, 2]);
    expect(await put({ unseen: { S: 'x'.repeat(3 * KIB) }, rank: { N: '2' } })).toEqual([4, 1]);
    expect(await put({ rank: { N: '2' } })).toEqual([4, undefined]);
  });

  test('with twice that in a transaction', async () => {
    const put = (pk: string, bytes: number) => ({
      Put: { TableName, Item: { ...Key(pk), x: { S: 'x'.repeat(bytes) } } },
    });
    const { ConsumedCapacity } = await client().transactWriteItems({
      TransactItems: [
        put('t1', 10),
        put('t2', 1500),
        { ConditionCheck: { TableName, Key: Key('t3'), ConditionExpression: 'attribute_not_exists(pk)' } },
      ],
      ReturnConsumedCapacity: 'TOTAL',
    });
    expect(ConsumedCapacity).toEqual([{ TableName, CapacityUnits: 8, WriteCapacityUnits: 8 }]);
  });
});

describe('what is too large is refused', () => {
  const cases: readonly (readonly [what: string, item: object, name: string])[] = [
    ['an item of more than 400 KB', { ...Key('big'), x: { S: 'x'.repeat(400 * KIB) } }, 'ValidationException'],
    ['a partition key of more than 2048 bytes', Key('é'.repeat(1025)), 'ValidationException'],
    ['an empty key', Key(''), 'ValidationException'],
    ['a key of the wrong type', { pk: { N: '1' }, sk: { N: '1' } }, 'ValidationException'],
    ['an item without its key', { pk: { S: 'x' } }, 'ValidationException'],
    ['an index key of the wrong type', { ...Key('x'), owner: { N: '1' } }, 'ValidationException'],
  ];
  test.each(cases)('%s', async (_what, Item, name) => {
    expect(await errorOf(client().putItem({ TableName, Item: Item as never }))).toBe(name);
  });

  test('but an item of 400 KB to the byte is kept', async () => {
    const rest = 400 * KIB - 'pk'.length - 'full'.length - 'sk'.length - 2 - 'x'.length;
    const Item = { ...Key('full'), x: { S: 'x'.repeat(rest) } };
    await client().putItem({ TableName, Item });
    expect(await read('full')).toEqual(Item);
    expect(await errorOf(client().putItem({ TableName, Item: { ...Item, x: { S: `${Item.x.S}x` } } }))).toBe(
      'ValidationException',
    );
  });
});

describe('a batch', () => {
  test('writes and reads many items at once', async () => {
    const keys = Array.from({ length: 25 }, (_, sk) => Key('batch', sk));
    const puts = keys.map((Item) => ({ PutRequest: { Item } }));
    expect(await client().batchWriteItem({ RequestItems: { [TableName]: puts } })).toMatchObject({
      UnprocessedItems: {},
    });
    const { Responses } = await client().batchGetItem({
      RequestItems: { [TableName]: { Keys: [...keys, Key('absent')] } },
    });
    expect(Responses?.[TableName]).toHaveLength(25);
  });

  test('of which one makes no sense writes nothing', async () => {
    const puts = [Key('half'), { pk: { S: 'half' } }].map((Item) => ({ PutRequest: { Item } }));
    expect(await errorOf(client().batchWriteItem({ RequestItems: { [TableName]: puts as never } }))).toBe(
      'ValidationException',
    );
    expect(await read('half')).toBeUndefined();
  });
});

describe('a transaction', () => {
  const put = (pk: string, more = {}) => ({ Put: { TableName, Item: { ...Key(pk), ...more } } });

  test('that is cancelled writes nothing and gives a reason for each of its parts', async () => {
    await client().putItem({ TableName, Item: Key('there') });
    const check = { TableName, Key: Key('there'), ConditionExpression: 'attribute_not_exists(pk)' };
    const update = { TableName, Key: Key('there', 2), UpdateExpression: 'SET a = b' };
    const call = client().transactWriteItems({
      TransactItems: [
        put('cancelled'),
        { ConditionCheck: { ...check, ReturnValuesOnConditionCheckFailure: 'ALL_OLD' } },
        { Update: update },
      ],
    });
    await expect(call).rejects.toMatchObject({
      name: 'TransactionCanceledException',
      CancellationReasons: [
        { Code: 'None' },
        { Code: 'ConditionalCheckFailed', Item: Key('there') },
        { Code: 'ValidationError' },
      ],
    });
    expect(await read('cancelled')).toBeUndefined();
  });

  test('that is sent twice with one token happens once', async () => {
    const Update = {
      TableName,
      Key: Key('token'),
      UpdateExpression: 'ADD hits :one',
      ExpressionAttributeValues: { ':one': { N: '1' } },
    };
    const call = { TransactItems: [{ Update }], ClientRequestToken: 'the same' };
    await client().transactWriteItems(call);
    await client().transactWriteItems(call);
    expect(await read('token')).toMatchObject({ hits: { N: '1' } });
    const other = { ...call, TransactItems: [put('token')] };
    expect(await errorOf(client().transactWriteItems(other))).toBe('IdempotentParameterMismatchException');
  });

  test(`of ${RACERS} who move between two items at once nothing is lost or doubled`, async () => {
    await client().putItem({ TableName, Item: { ...Key('left'), sum: { N: `${RACERS / 2}` } } });
    await client().putItem({ TableName, Item: { ...Key('right'), sum: { N: '0' } } });
    const move = () =>
      errorOf(
        client().transactWriteItems({
          TransactItems: (['left', 'right'] as const).map((pk) => ({
            Update: {
              TableName,
              Key: Key(pk),
              UpdateExpression: 'SET #sum = #sum + :by',
              ExpressionAttributeNames: { '#sum': 'sum' },
              ...(pk === 'left'
                ? {
                    ConditionExpression: '#sum > :none',
                    ExpressionAttributeValues: { ':by': { N: '-1' }, ':none': { N: '0' } },
                  }
                : { ExpressionAttributeValues: { ':by': { N: '1' } } }),
            },
          })),
        }),
      );
    const answers = await Promise.all(Array.from({ length: RACERS }, move));
    expect(answers.filter((it) => it === 'TransactionCanceledException')).toHaveLength(RACERS / 2);
    const { Responses } = await client().transactGetItems({
      TransactItems: ['left', 'right'].map((pk) => ({ Get: { TableName, Key: Key(pk) } })),
    });
    expect(Responses?.map(({ Item }) => Item?.sum)).toEqual([{ N: '0' }, { N: `${RACERS / 2}` }]);
  });

  test('with two parts for one item, or with none, is refused', async () => {
    expect(await errorOf(client().transactWriteItems({ TransactItems: [put('same'), put('same')] }))).toBe(
      'ValidationException',
    );
    expect(await errorOf(client().transactWriteItems({ TransactItems: [] }))).toBe('ValidationException');
  });
});
