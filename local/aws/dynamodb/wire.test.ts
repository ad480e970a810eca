import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readAnswer, send, sign } from '../../../test/conformance/dynamodb-wire.ts';
import {
  type Bench,
  createThings,
  errorOf,
  openDynamoBench,
  TABLE as TableName,
} from '../../../test/samples/dynamodb.ts';

let bench: Bench;
const ask = (operation: string, body: unknown) => send({ url: bench.url }, operation, body);
const Key = { pk: { S: 'kept' }, sk: { N: '1' } };

beforeAll(async () => {
  bench = await openDynamoBench();
  await createThings(bench.client);
  await bench.client.putItem({ TableName, Item: Key });
});

afterAll(async () => {
  // Whatever was sent, what stood there stands.
  bench.faults.clear();
  expect((await bench.client.getItem({ TableName, Key })).Item).toEqual(Key);
  await bench.stop();
});

describe('a body that makes no sense is a SerializationException', () => {
  const bodies = [
    '',
    '{',
    'null',
    '[]',
    '"text"',
    '\ufeff',
    '['.repeat(100_000),
    '{"TableName":5}',
    `{"TableName":"${TableName}","Item":[]}`,
    `{"TableName":"${TableName}","Item":{"pk":"kept","sk":{"N":"1"}}}`,
    `{"TableName":"${TableName}","Item":{"pk":{"S":"kept"},"sk":{"N":1}}}`,
    `{"TableName":"${TableName}","Item":{"pk":{"S":"kept"},"sk":{"N":"1"},"v":{"B":"not base64"}}}`,
    `{"TableName":"${TableName}","Item":{"pk":{"S":"kept"},"sk":{"N":"1"},"v":{"BOOL":"yes"}}}`,
    `{"TableName":"${TableName}","Item":{"pk":{"S":"kept"},"sk":{"N":"1"},"v":{"L":{}}}}`,
  ];
  test.each(bodies)('%.60j', async (body) => {
    expect(await ask('PutItem', body)).toMatchObject({ status: 400, error: 'SerializationException' });
  });
});

describe('a request that may not be is a ValidationException that names what is wrong', () => {
  const cases: readonly (readonly [operation: string, input: object, message: RegExp])[] = [
    ['GetItem', { Key }, /'TableName' is required/],
    ['GetItem', { TableName: 'ab', Key }, /between 3 and 255 characters/],
    ['GetItem', { TableName: '../../etc', Key }, /'tableName' failed to satisfy constraint.*pattern/],
    ['GetItem', { TableName }, /'key' failed to satisfy constraint: Member must not be null/],
    ['GetItem', { TableName, Key: { pk: { S: 'a' } } }, /key element does not match the schema/],
    ['GetItem', { TableName, Key: { ...Key, x: { S: 'x' } } }, /key element does not match the schema/],
    ['PutItem', { TableName, Item: { ...Key, v: {} } }, /must contain exactly one of the supported datatypes/],
    ['PutItem', { TableName, Item: { ...Key, v: { S: 'a', N: '1' } } }, /more than one datatypes/],
    ['PutItem', { TableName, Item: { ...Key, v: { SS: [] } } }, /set {2}may not be empty/],
    ['PutItem', { TableName, Item: { ...Key, v: { NS: ['1', '1.0'] } } }, /contains duplicates/],
    ['PutItem', { TableName, Item: { ...Key, v: nested(33) } }, /Nesting Levels/],
    ['PutItem', { TableName, Item: Key, ReturnValues: 'WRONG' }, /enum value set: \[ALL_NEW,/],
    [
      'PutItem',
      { TableName, Item: Key, ExpressionAttributeNames: { '#a': 'a' } },
      /only be specified when using expressions/,
    ],
    ['PutItem', { TableName, Item: Key, Expected: { pk: { Exists: false } } }, /legacy parameter Expected/],
    [
      'GetItem',
      { TableName, Key, ProjectionExpression: '#a', ExpressionAttributeNames: { '#a': 'a', '#b': 'b' } },
      /unused in expressions: keys: \{#b\}/,
    ],
    ['Query', { TableName }, /KeyConditionExpression parameter must be specified/],
    ['Query', { TableName, Limit: 0 }, /'limit' failed to satisfy constraint/],
    ['Scan', { TableName, Segment: 1 }, /TotalSegments parameter is required/],
    ['BatchGetItem', { RequestItems: { [TableName]: { Keys: [Key, Key] } } }, /duplicates/],
    ['CreateTable', { TableName: 'table', KeySchema: [], AttributeDefinitions: [] }, /'keySchema' failed to satisfy/],
  ];
  test.each(cases)('%s %.80j', async (operation, input, message) => {
    const answer = await ask(operation, input);
    expect(answer).toMatchObject({ status: 400, error: 'ValidationException' });
    expect(answer.message).toMatch(message);
  });
});

test('an operation that it does not know is refused', async () => {
  for (const operation of ['NoSuchThing', 'constructor', 'DescribeStream', 'ExecuteStatement', ''])
    expect(await ask(operation, {})).toMatchObject({ status: 400, error: 'UnknownOperationException' });
});

test('names that mean something in JavaScript are names like any other', async () => {
  const Item = JSON.parse(
    '{"pk":{"S":"names"},"sk":{"N":"1"},"__proto__":{"S":"p"},"constructor":{"M":{"__proto__":{"S":"q"}}}}',
  );
  await ask('PutItem', { TableName, Item });
  const { body } = await ask('GetItem', { TableName, Key: { pk: { S: 'names' }, sk: { N: '1' } } });
  expect(JSON.stringify(body.Item)).toBe(JSON.stringify(Item));
  const check = (ConditionExpression: string, names: object) =>
    ask('DeleteItem', {
      TableName,
      Key,
      ConditionExpression,
      ExpressionAttributeNames: names,
    });
  expect(await check('attribute_exists(#c)', { '#c': 'constructor' })).toMatchObject({
    error: 'ConditionalCheckFailedException',
  });
});

describe('a signature', () => {
  test('is asked for, and must be right', async () => {
    const plain = await fetch(bench.url, {
      method: 'POST',
      body: '{}',
      headers: { 'x-amz-target': 'DynamoDB_20120810.ListTables' },
    });
    expect(await readAnswer(plain)).toMatchObject({ status: 400, error: 'MissingAuthenticationTokenException' });
    const wrong = { url: bench.url, secret: 'wrong' };
    expect(await send(wrong, 'ListTables', {})).toMatchObject({ error: 'InvalidSignatureException' });
    const stranger = { url: bench.url, accessKeyId: 'stranger' };
    expect(await send(stranger, 'ListTables', {})).toMatchObject({ error: 'UnrecognizedClientException' });
  });

  test('of another body is refused', async () => {
    const headers = sign({ url: bench.url }, 'DeleteTable', '{"TableName":"other"}');
    const response = await fetch(bench.url, { method: 'POST', headers, body: JSON.stringify({ TableName }) });
    expect(await readAnswer(response)).toMatchObject({ error: 'InvalidSignatureException' });
  });
});

test('what is no HTTP, or is cut off, harms nobody', async () => {
  const { hostname, port } = new URL(bench.url);
  const texts = [
    '\u0000\u0001\u0002\r\n\r\n',
    'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\n{"Tab',
    `POST / HTTP/1.1\r\nhost: x\r\nx-long: ${'x'.repeat(64 * 1024)}\r\n\r\n`,
  ];
  for (const text of texts)
    await new Promise((resolve) => {
      const socket = connect(Number(port), hostname, () => socket.write(text));
      socket.on('data', () => socket.end());
      socket.on('error', resolve).on('close', resolve);
      setTimeout(() => socket.destroy(), 100);
    });
  expect(await ask('ListTables', {})).toMatchObject({ status: 200 });
});

test('every answer carries the checksum that some SDKs compare', async () => {
  const response = await fetch(bench.url, {
    method: 'POST',
    body: '{}',
    headers: sign({ url: bench.url }, 'ListTables', '{}'),
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const { crc32 } = await import('node:zlib');
  expect(response.headers.get('x-amz-crc32')).toBe(`${crc32(bytes)}`);
  expect(response.headers.get('content-type')).toBe('application/x-amz-json-1.0');
});

describe('a fault', () => {
  const put = (pk: string) => errorOf(bench.client.putItem({ TableName, Item: { pk: { S: pk }, sk: { N: '1' } } }));
  const stands = async (pk: string) =>
    (await bench.client.getItem({ TableName, Key: { pk: { S: pk }, sk: { N: '1' } } })).Item !== undefined;

  test.each([
    [429, 'ProvisionedThroughputExceededException'],
    [500, 'InternalServerError'],
    [503, 'ServiceUnavailableException'],
  ])('with status %i is %s, and nothing is written', async (status, name) => {
    bench.faults.add({
      scope: { service: 'dynamodb', operation: 'PutItem' },
      effect: { kind: 'status', status },
      times: 1,
    });
    expect(await put(name)).toBe(name);
    expect(await stands(name)).toBe(false);
  });

  test('that loses the answer does not lose the write', async () => {
    bench.faults.add({ scope: { operation: 'PutItem' }, effect: { kind: 'lost-answer' }, times: 1 });
    expect(await put('lost')).not.toMatchObject({ answer: {} });
    expect(await stands('lost')).toBe(true);
  });
});

describe('a table', () => {
  const definition = {
    TableName: 'short-lived',
    BillingMode: 'PAY_PER_REQUEST' as const,
    AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' as const }],
    KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' as const }],
  };

  test('is made once, described, listed and deleted with all it has', async () => {
    const { client } = bench;
    await client.createTable(definition);
    expect(await errorOf(client.createTable(definition))).toBe('ResourceInUseException');
    await client.putItem({ TableName: definition.TableName, Item: { pk: { S: 'a' } } });
    const { Table } = await client.describeTable({ TableName: definition.TableName });
    expect(Table).toMatchObject({ TableStatus: 'ACTIVE', KeySchema: definition.KeySchema });
    expect(await client.listTables({ Limit: 1 })).toMatchObject({
      TableNames: ['short-lived'],
      LastEvaluatedTableName: 'short-lived',
    });
    await client.deleteTable({ TableName: definition.TableName });
    expect(await errorOf(client.describeTable({ TableName: definition.TableName }))).toBe('ResourceNotFoundException');
    await client.createTable(definition);
    expect((await client.scan({ TableName: definition.TableName })).Items).toEqual([]);
    await client.deleteTable({ TableName: definition.TableName });
  });

  test('that is protected is not deleted', async () => {
    const { client } = bench;
    const TableName = 'protected';
    await client.createTable({ ...definition, TableName, DeletionProtectionEnabled: true });
    expect(await errorOf(client.deleteTable({ TableName }))).toBe('ValidationException');
    await client.updateTable({ TableName, DeletionProtectionEnabled: false });
    await client.deleteTable({ TableName });
  });

  test('has a time to live, switched on and off once', async () => {
    const { client } = bench;
    const set = (Enabled: boolean) =>
      errorOf(client.updateTimeToLive({ TableName, TimeToLiveSpecification: { AttributeName: 'expires', Enabled } }));
    expect(await set(true)).toMatchObject({ answer: {} });
    expect(await set(true)).toBe('ValidationException');
    const { TimeToLiveDescription } = await client.describeTimeToLive({ TableName });
    expect(TimeToLiveDescription).toEqual({ AttributeName: 'expires', TimeToLiveStatus: 'ENABLED' });
    expect(await set(false)).toMatchObject({ answer: {} });
  });
});

function nested(levels: number): object {
  return levels === 0 ? { S: 'x' } : { L: [nested(levels - 1)] };
}
