import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { isFault } from '../../shared/model/fault.ts';
import { type Environment, readEnvironment, readHealth, readTimeMs } from './environment.ts';

const YAML = `namespace: told
sites:
  - { id: fra, cloud: aws, region: eu-central-1, bucket: one-bucket }
  - { id: ams, cloud: gcp, region: europe-west4, bucket: another-bucket }
routes:
  - { prefix: "", sites: [fra, ams] }
`;
const SECRET = Buffer.alloc(16, 7);
const OLDER = Buffer.alloc(20, 8);

const GOOD: Environment = {
  TRIPLICATE_CONFIG: YAML,
  TRIPLICATE_LEDGER: 'dynamodb:eu-central-1/ledger',
  TRIPLICATE_QUEUE_FRA: 'sqs:https://sqs.eu-central-1.amazonaws.com/123/changes',
  TRIPLICATE_MAC_KEYS: `new:${SECRET.toString('base64')},old:${OLDER.toString('base64')}`,
};

function wrongWith(env: Environment): string {
  try {
    readEnvironment({ ...GOOD, ...env });
  } catch (error) {
    if (isFault(error, 'invalid')) return error.message;
    throw error;
  }
  return 'nothing';
}

describe('the environment', () => {
  it('tells everything that a world is opened with', () => {
    const settings = readEnvironment(GOOD);
    expect(settings.topology.namespace).toBe('told');
    expect(settings.ledger).toBe('dynamodb:eu-central-1/ledger');
    expect(settings.queues).toEqual({ fra: 'sqs:https://sqs.eu-central-1.amazonaws.com/123/changes' });
    expect(settings.macKeys.newest).toBe('new');
    expect(Object.entries(settings.macKeys.keys)).toEqual([
      ['new', SECRET],
      ['old', OLDER],
    ]);
    expect(settings.access).toEqual({});
  });

  it('names a file as well as it holds the text', () => {
    const folder = mkdtempSync(join(tmpdir(), 'environment-'));
    try {
      const file = join(folder, 'sites.yaml');
      writeFileSync(file, YAML);
      expect(readEnvironment({ ...GOOD, TRIPLICATE_CONFIG: file }).topology.sites).toHaveLength(2);
      writeFileSync(file, YAML.replace('aws', 'asw'));
      expect(wrongWith({ TRIPLICATE_CONFIG: file })).toContain(`${file}:3:`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('says how to reach what is not where the SDKs look', () => {
    const { access } = readEnvironment({
      ...GOOD,
      TRIPLICATE_ENDPOINT_AWS: 'http://127.0.0.1:1',
      TRIPLICATE_ENDPOINT_GCS: 'http://127.0.0.1:2',
      TRIPLICATE_ENDPOINT_PUBSUB: 'http://127.0.0.1:3',
      TRIPLICATE_ENDPOINT_FIRESTORE: 'http://127.0.0.1:4',
      TRIPLICATE_GCP_PROJECT: 'here',
      TRIPLICATE_STORAGE_ACCOUNTONE: 'AccountName=accountone;AccountKey=a2V5',
      TRIPLICATE_SERVICE_BUS: 'Endpoint=sb://127.0.0.1',
    });
    expect(access).toEqual({
      aws: { endpoint: 'http://127.0.0.1:1', forcePathStyle: true },
      gcp: { apiEndpoint: 'http://127.0.0.1:2', projectId: 'here' },
      azure: { accountone: { connectionString: 'AccountName=accountone;AccountKey=a2V5' } },
      pubsub: { apiEndpoint: 'http://127.0.0.1:3' },
      firestore: { apiEndpoint: 'http://127.0.0.1:4' },
      serviceBus: { connectionString: 'Endpoint=sb://127.0.0.1' },
    });
  });

  it.each([
    ['no configuration', { TRIPLICATE_CONFIG: '' }, /^TRIPLICATE_CONFIG: expected the name of a YAML file/],
    ['a file that is not there', { TRIPLICATE_CONFIG: 'nowhere.yaml' }, /^TRIPLICATE_CONFIG: ENOENT.*nowhere\.yaml/],
    [
      'a configuration with a mistake',
      { TRIPLICATE_CONFIG: '{ namespace: A }' },
      /^TRIPLICATE_CONFIG:1:14: namespace/m,
    ],
    ['no ledger', { TRIPLICATE_LEDGER: undefined }, /^TRIPLICATE_LEDGER: expected an address/],
    ['a ledger without a kind', { TRIPLICATE_LEDGER: 'table' }, /^TRIPLICATE_LEDGER: expected an address.*"table"/],
    [
      'a queue of no site',
      { TRIPLICATE_QUEUE_FRO: 'sqs:x' },
      /^TRIPLICATE_QUEUE_FRO: expected one of TRIPLICATE_QUEUE_FRA/,
    ],
    ['a queue without a kind', { TRIPLICATE_QUEUE_AMS: 'changes' }, /^TRIPLICATE_QUEUE_AMS: expected an address/],
    ['no keys', { TRIPLICATE_MAC_KEYS: undefined }, /^TRIPLICATE_MAC_KEYS: expected id:base64/],
    ['events that go nowhere', { TRIPLICATE_EVENTS: 'yes' }, /^TRIPLICATE_EVENTS: expected stdout.*"yes"/],
    ['an endpoint that is none', { TRIPLICATE_ENDPOINT_AWS: 'here' }, /^TRIPLICATE_ENDPOINT_AWS: expected http/],
  ])('is refused for %s, by the name of the variable', (_what, env, message) => {
    expect(wrongWith(env)).toMatch(message);
  });

  it.each([
    ['too short', `a:${Buffer.alloc(15, 'q').toString('base64')}`],
    ['not base64', `a:${'?'.repeat(30)}`],
    ['without an id', SECRET.toString('base64')],
    ['with an id too long', `ninechars:${SECRET.toString('base64')}`],
  ])('refuses a key %s and does not repeat it', (_what, keys) => {
    const message = wrongWith({ TRIPLICATE_MAC_KEYS: keys });
    expect(message).toMatch(/^TRIPLICATE_MAC_KEYS: entry 1 /);
    expect(message).not.toContain(keys.split(':').at(-1));
  });

  it('tells all that is wrong at once', () => {
    const lines = wrongWith({ TRIPLICATE_LEDGER: '', TRIPLICATE_MAC_KEYS: '', TRIPLICATE_QUEUE_X: 'sqs:x' }).split(
      '\n',
    );
    expect(lines.map((line) => line.split(':')[0])).toEqual([
      'TRIPLICATE_LEDGER',
      'TRIPLICATE_MAC_KEYS',
      'TRIPLICATE_QUEUE_X',
    ]);
  });
});

describe('what only some processes are told', () => {
  it('is how long an invocation may take', () => {
    expect(readTimeMs({}, 60)).toBe(60_000);
    expect(readTimeMs({ TRIPLICATE_TIME_SECONDS: '540' }, 60)).toBe(540_000);
    for (const value of ['0', '1.5', 'a minute'])
      expect(() => readTimeMs({ TRIPLICATE_TIME_SECONDS: value }, 60)).toThrow(/^TRIPLICATE_TIME_SECONDS: expected/);
  });

  it('is where it answers for its health', () => {
    expect(readHealth({})).toBeNull();
    expect(readHealth({ TRIPLICATE_HEALTH: '8080' })).toEqual({ host: '0.0.0.0', port: 8080 });
    expect(readHealth({ TRIPLICATE_HEALTH: '127.0.0.1:0' })).toEqual({ host: '127.0.0.1', port: 0 });
    for (const value of ['here', '99999', ':1'])
      expect(() => readHealth({ TRIPLICATE_HEALTH: value })).toThrow(/^TRIPLICATE_HEALTH: expected/);
  });
});
