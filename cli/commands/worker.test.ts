import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { run } from '../../test/samples/cli.ts';
import { type CliWorld, startCliWorld } from '../../test/samples/cli-world.ts';
import { openJudge } from '../../test/samples/published.ts';

let world: CliWorld;

beforeAll(async () => {
  world = await startCliWorld({ replicates: false });
});
afterAll(() => world.stop());
afterEach(() => vi.unstubAllEnvs());

async function answerOf(url: string) {
  const response = await fetch(url);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

describe('triplicate worker', () => {
  it('replicates until it is told to stop, and answers how it is', async () => {
    const stop = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<string>();
    const heard = (line: string) => begun.resolve(line);
    const running = run({ folder: world.folder, stopped: stop.promise, heard }, 'worker', '--port', '0');
    const url = /http:\/\/\S+:\d+/.exec(await begun.promise)?.[0] ?? 'no address was told';
    expect(await answerOf(`${url}/healthz`)).toMatchObject({ status: 200, body: { ok: true } });
    expect(await answerOf(`${url}/readyz`)).toMatchObject({ status: 200, body: { ok: true, epoch: 1, failing: 0 } });
    expect(await answerOf(`${url}/else`)).toMatchObject({ status: 404 });
    await world.put('gcp', 'carried', 'by the worker');
    await world.settled('carried');
    expect(await world.read('aws', 'carried')).toBe('by the worker');
    stop.resolve();
    const { status, lines } = await running;
    expect(status).toBe(0);
    expect(lines[0]).toMatch(/^Taking messages of aws, gcp and azure; /);
    expect(lines.at(-1)).toMatch(/^Stopped after [1-9]\d* messages?\.$/);
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });

  it('publishes what happens, and keeps what is for people apart', async () => {
    const stop = Promise.withResolvers<void>();
    const running = run({ folder: world.folder, stopped: stop.promise }, 'worker', '--events');
    await world.put('azure', 'told of', 'by an event');
    await world.settled('told of');
    stop.resolve();
    const { status, lines, stderr } = await running;
    expect(status).toBe(0);
    expect(stderr).toMatch(/^Taking messages of aws, gcp and azure\./);
    const events = lines.map((line) => JSON.parse(line));
    expect(events.flatMap(openJudge())).toEqual([]);
    const types = events.filter(({ subject }) => subject === 'told of').map(({ type }) => type);
    expect(new Set(types)).toEqual(new Set(['io.triplicate.version.seen.v1', 'io.triplicate.version.replicated.v1']));
  });

  it.each([
    [['--port', '70000'], '--port 70000: expected a whole number from 0 to 65535.'],
    [['--concurrency', '0'], '--concurrency 0: expected a whole number from 1 to 1000.'],
    [['--concurency', '1'], 'Did you mean --concurrency?'],
  ])('%j is refused in a sentence', async (args, sentence) => {
    const { status, stdout, stderr } = await world.run('worker', ...args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(sentence);
  });

  it('a port that is taken is told without a stack', async () => {
    const { port } = new URL(world.clouds.config.control);
    const { status, stderr } = await world.run('worker', '--port', port);
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: `triplicate: health: cannot listen on 127.0.0.1:${port}: the port is taken: give another one`,
    });
  });
});

describe('a configuration of your own', () => {
  const secret = Buffer.alloc(16, 'never shown').toString('base64');
  const yaml = `
namespace: local-world
sites:
  - { id: aws, cloud: aws, region: us-east-1, bucket: triplicate }
  - { id: gcp, cloud: gcp, region: local, bucket: triplicate }
  - { id: azure, cloud: azure, region: local, bucket: devstoreaccount1/triplicate }
routes:
  - { prefix: "", sites: [aws, gcp, azure] }
`;
  function environment() {
    const { aws, gcp, azure } = world.clouds.config;
    return {
      AWS_ACCESS_KEY_ID: aws.accessKeyId,
      TRIPLICATE_LEDGER: `sqlite:${join(world.folder, 'own.sqlite')}`,
      TRIPLICATE_MAC_KEYS: `k:${secret}`,
      TRIPLICATE_ENDPOINT_AWS: aws.endpoint,
      TRIPLICATE_ENDPOINT_GCS: gcp.storageEndpoint,
      TRIPLICATE_STORAGE_DEVSTOREACCOUNT1: azure.connectionString,
    };
  }

  it('is opened by the environment, and a site that does not answer is told of', async () => {
    writeFileSync(join(world.folder, 'own.yaml'), yaml);
    const env = { ...environment(), TRIPLICATE_ENDPOINT_GCS: 'http://127.0.0.1:9' };
    const { status, stdout } = await run({ folder: world.folder, env }, 'status', '--config', 'own.yaml');
    expect(status).toBe(1);
    expect(stdout).toMatch(/^gcp .* not reached +-$/m);
    expect(stdout).toContain('Site gcp does not answer');
    expect(stdout).toContain('No queue is named');
  });

  it('merges with the function that docs/operations.md shows, and tells where one is missing', async () => {
    const docs = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
    const [, module = ''] = /```js\n(.*?)```/s.exec(docs) ?? [];
    const custom = `${yaml.replace('azure] }', 'azure], policy: { custom: merge-json } }')}resolvers: { merge-json: ./merge-json.mjs }\n`;
    writeFileSync(join(world.folder, 'custom.yaml'), custom);
    const env = { ...environment(), TRIPLICATE_LEDGER: `sqlite:${join(world.folder, 'custom.sqlite')}` };
    const args = ['resync', 'settings.json', '--config', 'custom.yaml'];
    const missing = await run({ folder: world.folder, env }, ...args);
    expect(missing.status).toBe(2);
    expect(missing.stderr).toMatch(/^custom\.yaml: resolvers\.merge-json: \.\/merge-json\.mjs cannot be loaded/);

    writeFileSync(join(world.folder, 'merge-json.mjs'), module);
    // The SDK of AWS looks for these in the surroundings of the process itself.
    vi.stubEnv('AWS_ACCESS_KEY_ID', world.clouds.config.aws.accessKeyId);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', world.clouds.config.aws.secretAccessKey);
    await world.put('aws', 'settings.json', '{"colour":"red","size":1}');
    await world.put('gcp', 'settings.json', '{"colour":"blue","weight":2}');
    const { status, stderr } = await run({ folder: world.folder, env }, ...args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const texts = await Promise.all(['aws', 'gcp', 'azure'].map((site) => world.read(site, 'settings.json')));
    expect(new Set(texts).size).toBe(1);
    expect(JSON.parse(texts[0] ?? '')).toEqual({ colour: expect.stringMatching(/^(red|blue)$/), size: 1, weight: 2 });
  });

  it('names every variable that is missing or wrong, and no secret', async () => {
    const bare = await run({ folder: world.folder }, 'status', '--config', 'own.yaml');
    expect(bare).toMatchObject({ status: 2, stdout: '' });
    expect(bare.stderr).toMatch(/^TRIPLICATE_LEDGER: .*\nTRIPLICATE_MAC_KEYS: .*\ndocs\/operations\.md tells/);
    const env = { ...environment(), TRIPLICATE_MAC_KEYS: `k:${secret},k:${secret}` };
    const twice = await run({ folder: world.folder, env }, 'status', '--config', 'own.yaml');
    expect(twice.status).toBe(2);
    expect(twice.stderr).not.toContain(secret);
  });

  it('is read with its mistakes told at their place', async () => {
    writeFileSync(join(world.folder, 'broken.yaml'), yaml.replace('cloud: gcp', 'cloud: gpc'));
    const { status, stderr } = await run(
      { folder: world.folder, env: environment() },
      ...['status', '--config', 'broken.yaml'],
    );
    expect(status).toBe(2);
    expect(stderr).toMatch(/^broken\.yaml:\d+:\d+: sites\[1\]\.cloud: expected one of aws, gcp, azure, got "gpc"/);
  });

  it('that tells of a local world which is gone says so, and how to begin again', async () => {
    const gone = JSON.parse(readFileSync(join(world.folder, '.triplicate', 'local.json'), 'utf8'));
    gone.aws.endpoint = 'http://127.0.0.1:9';
    gone.azure.connectionString = gone.azure.connectionString.replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:9');
    writeFileSync(join(world.folder, 'gone.json'), JSON.stringify(gone));
    const { status, stderr } = await world.run('status', '--config', 'gone.json');
    expect(status).toBe(2);
    expect(stderr).toMatch(/^gone\.json tells of a local world that does not answer: /);
  });

  it('is asked for where there is none', async () => {
    const { status, stderr } = await run({ folder: join(world.folder, '.triplicate') }, 'status');
    expect(status).toBe(2);
    expect(stderr).toMatch(/neither triplicate\.yaml nor .*local\.json here\. Start three local clouds/);
  });
});
