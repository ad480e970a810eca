/** Shows that a good file is read in full, and a bad one is refused with every mistake at its line. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { Fault } from './fault.ts';
import type { Site } from './site.ts';
import {
  type ConflictPolicy,
  DEFAULT_LIMITS,
  type Limits,
  type Route,
  readTopology,
  routeOf,
  siteOf,
  type Topology,
} from './topology.ts';

const SITES = `sites:
  - { id: aws, cloud: aws, region: eu-central-1, bucket: acme-fra }
  - { id: gcp, cloud: gcp, region: europe-west4, bucket: acme-ams }
  - { id: azure, cloud: azure, region: westeurope, bucket: acme/docs, mode: passive, expiresAfter: 30d }
`;
const GOOD = `namespace: acme
${SITES}routes:
  - prefix: ""
    sites: [aws, gcp]
`;

function read(text: string): Topology {
  return readTopology(text, 'triplicate.yaml');
}

function manySites(count: number): string {
  const line = (id: string) => `  - { id: ${id}, cloud: aws, region: EU, bucket: acme-${id} }\n`;
  return ['aws', 'gcp', 'azure', ...'abcdefgh'].slice(0, count).map(line).join('');
}

function messageOf(text: string): string {
  try {
    read(text);
  } catch (error) {
    if (error instanceof Fault && error.kind === 'invalid') return error.message;
    throw error;
  }
  return 'fine';
}

describe('a good file', () => {
  it('needs only names, sites and routes; the rest has defaults', () => {
    const site = (id: string, cloud: string, region: string, bucket: string) => ({
      id,
      cloud,
      region,
      bucket,
      mode: 'active',
    });
    expect(read(GOOD)).toEqual({
      namespace: 'acme',
      sites: [
        site('aws', 'aws', 'eu-central-1', 'acme-fra'),
        site('gcp', 'gcp', 'europe-west4', 'acme-ams'),
        { ...site('azure', 'azure', 'westeurope', 'acme/docs'), mode: 'passive', expiresAfterMs: 30 * 86_400_000 },
      ],
      routes: [
        {
          ...{ prefix: '', sites: ['aws', 'gcp'], policy: { kind: 'keep-both' } },
          ...{ deletes: 'write-wins', copiesBeforeSupersede: 2 },
        },
      ],
      limits: DEFAULT_LIMITS,
    });
  });

  it('may be the example of this repository', () => {
    const name = 'triplicate.example.yaml';
    const example = readTopology(readFileSync(new URL(`../../${name}`, import.meta.url), 'utf8'), name);
    expect(example.sites.map((site) => site.cloud)).toEqual(['aws', 'gcp', 'azure']);
    expect(example.limits).toEqual(DEFAULT_LIMITS);
    expect(routeOf(example, 'customers/de/1.pdf')?.policy).toEqual({ kind: 'prefer-site', order: ['aws', 'azure'] });
  });

  it('may use every unit', () => {
    const limits =
      '{ skewBound: 0ms, stageOver: 1GiB, partSize: 512KiB, lease: 2h, tombstoneGrace: 1d, deletionCap: 0, deletionShare: 1 }';
    expect(read(`${GOOD}limits: ${limits}\n`).limits).toEqual({
      ...{
        skewBoundMs: 0,
        stageOverBytes: 1024 ** 3,
        partBytes: 512 * 1024,
        leaseMs: 7_200_000,
        tombstoneGraceMs: 86_400_000,
      },
      ...{ deletionCap: 0, deletionShare: 1 },
    });
  });

  it('may come with a byte order mark and line ends of Windows', () => {
    expect(read(`\ufeff${GOOD.replaceAll('\n', '\r\n')}`)).toEqual(read(GOOD));
  });
});

/** The good file with one piece replaced. */
function changed(from: string, to: string): string {
  const text = GOOD.replace(from, () => to);
  if (text === GOOD) throw new Error(`nothing to replace: ${from}`);
  return text;
}

describe('a bad file', () => {
  const keys = 'namespace, sites, routes, limits, resolvers';
  const policies = 'one of lww, lww-safe, keep-both, { prefer-site: [a, b] }, { custom: name }';
  const duration = 'a duration such as 2s, 15min or 45d';
  const size = 'a size such as 512KiB or 64MiB';
  const route = (more: string) => `${GOOD}    ${more}\n`;
  const limit = (more: string) => `${GOOD}limits: { ${more} }\n`;

  const bad: readonly (readonly [message: string, text: string])[] = [
    [`1:1: topology: expected a map with the keys ${keys}, got nothing`, ''],
    [`1:1: topology: expected a map with the keys ${keys}, got nothing`, '# later\n'],
    [`1:1: topology: expected a map with the keys ${keys}, got a list`, '- a\n'],
    [`1:1: topology: expected a map with the keys ${keys}, got "a"`, 'a'],
    ['2:1: YAML: Tabs are not allowed as indentation', 'namespace:\n\ta: 1\n'],
    [
      '9:1: YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
      changed('gcp]', 'gcp'),
    ],
    ['9:1: YAML: expected one document, got another one here', `${GOOD}---\n${GOOD}`],
    ['1:12: YAML: Unresolved tag: !secret', changed('acme', '!secret acme')],
    ['9:3: YAML: expected a text as key', `${GOOD}? [a]\n: 1\n`],
    ['8:12: YAML: expected no anchors and aliases, got *both', changed('[aws, gcp]', '*both')],
    ['1:18: YAML: expected no anchors and aliases, got &name', changed('acme', '&name acme')],
    [`9:1: colour: unknown key; the keys here are ${keys}`, `${GOOD}colour: red\n`],
    ['9:1: Limits: unknown key; did you mean limits?', `${GOOD}Limits: {}\n`],
    ['9:5: routes[0].polcy: unknown key; did you mean policy?', route('polcy: lww')],
    [
      '9:5: routes[0].__proto__: unknown key; the keys here are prefix, sites, policy, deletes, copiesBeforeSupersede',
      route('__proto__: 1'),
    ],
    ['9:5: routes[0].prefix: expected each key once, got it again', route('prefix: a/')],
    [
      '1:12: namespace: expected a name, 1 to 32 of a-z, 0-9 and -, not - first, got "Acme_1"',
      changed(': acme', ': Acme_1'),
    ],
    [
      '2:1: namespace: expected a name, 1 to 32 of a-z, 0-9 and -, not - first, got nothing',
      changed('namespace: acme', ''),
    ],
    ['2:8: sites: expected a list of 2 to 8 sites, got a map', changed(SITES, 'sites: {}\n')],
    ['3:3: sites: expected a list of 2 to 8 sites, got 9', changed(SITES, `sites:\n${manySites(9)}`)],
    ['5:11: sites[2].id: expected an id, 1 to 8 of a-z and 0-9, got "Azure"', changed('id: azure', 'id: Azure')],
    [
      '5:11: sites[2].id: expected an id, 1 to 8 of a-z and 0-9, got 01; did you mean "01", in quotes?',
      changed('id: azure', 'id: 01'),
    ],
    [
      '5:11: sites[2].id: expected an id of its own, got "gcp", the same as sites[1].id',
      changed('id: azure', 'id: gcp'),
    ],
    [
      '5:25: sites[2].cloud: expected one of aws, gcp, azure, got "azur"; did you mean azure?',
      changed('cloud: azure', 'cloud: azur'),
    ],
    ['3:5: sites[0].region: expected the name of a region, got nothing', changed('region: eu-central-1, ', '')],
    ['3:58: sites[0].bucket: expected the name of an S3 bucket, got "Acme_Fra"', changed('acme-fra', 'Acme_Fra')],
    [
      '4:58: sites[1].bucket: expected a bucket of its own, got "acme-fra", the same as sites[0].bucket',
      changed('gcp, region: europe-west4, bucket: acme-ams', 'aws, region: eu-central-1, bucket: acme-fra'),
    ],
    [
      '5:77: sites[2].mode: expected one of active, passive, got "activ"; did you mean active?',
      changed('passive', 'activ'),
    ],
    [`5:100: sites[2].expiresAfter: expected ${duration}, got 30`, changed('30d', '30')],
    [`5:100: sites[2].expiresAfter: expected ${duration}, more than none, got "0d"`, changed('30d', '0d')],
    [
      '6:9: routes: expected a list of 1 to 1000 routes, got 0',
      changed('routes:\n  - prefix: ""\n    sites: [aws, gcp]', 'routes: []'),
    ],
    ['8:11: routes[0].sites: expected a list of 2 to 8 sites, got nothing', changed(' [aws, gcp]', '')],
    ['8:12: routes[0].sites: expected a list of 2 to 8 sites, got 1', changed('[aws, gcp]', '[aws]')],
    [
      '8:18: routes[0].sites[1]: expected one of the sites aws, gcp, azure, got "gpc"',
      changed('[aws, gcp]', '[aws, gpc]'),
    ],
    [
      '8:18: routes[0].sites[1]: expected one of the sites aws, gcp, azure, got "azur"; did you mean azure?',
      changed('[aws, gcp]', '[aws, azur]'),
    ],
    [
      '8:18: routes[0].sites[1]: expected each site once, got "aws", the same as routes[0].sites[0]',
      changed('[aws, gcp]', '[aws, aws]'),
    ],
    [
      '7:13: routes[0].prefix: expected a prefix outside .triplicate/, which is reserved for our own objects, got ".triplicate/x"',
      changed('""', '.triplicate/x'),
    ],
    ['7:13: routes[0].prefix: expected a prefix, "" for all keys, got nothing', changed('""', '')],
    [
      '7:13: routes[0].prefix: expected at most 1024 characters of well-formed Unicode, got "\\ud800"',
      changed('""', '"\\ud800"'),
    ],
    [
      '9:15: routes[1].prefix: expected a prefix of its own, got "", the same as routes[0].prefix',
      `${GOOD}  - { prefix: "", sites: [aws, gcp] }\n`,
    ],
    [`9:13: routes[0].policy: expected ${policies}, got "lwww"; did you mean lww?`, route('policy: lwww')],
    [`9:13: routes[0].policy: expected ${policies}, got "prefer-site"`, route('policy: prefer-site')],
    [`9:13: routes[0].policy: expected ${policies}, got a list`, route('policy: [lww]')],
    [
      '9:13: routes[0].policy: expected exactly one key, prefer-site or custom, got a map',
      route('policy: { custom: a, prefer-site: [aws] }'),
    ],
    ['9:13: routes[0].policy: expected exactly one key, prefer-site or custom, got a map', route('policy: {}')],
    ['9:15: routes[0].policy.costom: unknown key; did you mean custom?', route('policy: { costom: a }')],
    [
      '9:23: routes[0].policy.custom: expected a name, 1 to 64 of a-z, 0-9 and -, got 7; did you mean "7", in quotes?',
      route('policy: { custom: 7 }'),
    ],
    [
      '9:29: routes[0].policy.prefer-site[0]: expected one of the sites of this route, aws, gcp, got "azure"',
      route('policy: { prefer-site: [azure] }'),
    ],
    [
      '9:14: routes[0].deletes: expected one of write-wins, delete-wins, by-clock, got "writes-win"; did you mean write-wins?',
      route('deletes: writes-win'),
    ],
    [
      '9:28: routes[0].copiesBeforeSupersede: expected an integer from 1 to 2, the number of its sites, got 3',
      route('copiesBeforeSupersede: 3'),
    ],
    [
      '9:28: routes[0].copiesBeforeSupersede: expected an integer from 1 to 2, the number of its sites, got 1.5',
      route('copiesBeforeSupersede: 1.5'),
    ],
    [
      '9:9: limits: expected a map with the keys skewBound, stageOver, partSize, lease, tombstoneGrace, deletionCap, deletionShare, got 5',
      `${GOOD}limits: 5\n`,
    ],
    ['9:11: limits.leese: unknown key; did you mean lease?', limit('leese: 2s')],
    [`9:21: limits.partSize: expected ${size}, got "64MB"`, limit('partSize: 64MB')],
    [`9:21: limits.partSize: expected ${size}, got "99999999TiB"`, limit('partSize: 99999999TiB')],
    [`9:21: limits.partSize: expected ${size}, got "1constructor"`, limit('partSize: 1constructor')],
    ['9:24: limits.deletionCap: expected an integer >= 0, got -1', limit('deletionCap: -1')],
    ['9:24: limits.deletionCap: expected an integer >= 0, got .inf', limit('deletionCap: .inf')],
    ['9:26: limits.deletionShare: expected a number from 0 to 1, got 1.5', limit('deletionShare: 1.5')],
    ['9:26: limits.deletionShare: expected a number from 0 to 1, got .nan', limit('deletionShare: .nan')],
  ];

  it.each(bad)('is told %s', (message, text) => {
    expect(messageOf(text)).toBe(`triplicate.yaml:${message}`);
  });

  it('is refused for all its mistakes at once, in the order of the file', () => {
    const text = `namespace: acme
sites:
  - { id: AZ, cloud: azur, region: westeurope, bucket: acme }
  - { id: gcp, cloud: gcp, region: europe-west4, bucket: acme-ams, id: two }
routs: []
routes:
  - prefix: logs/
    sites: [AZ, gpc]
    policy: lwww
limits:
  lease: 15
`;
    expect(messageOf(text)).toBe(
      [
        'triplicate.yaml:3:11: sites[0].id: expected an id, 1 to 8 of a-z and 0-9, got "AZ"',
        'triplicate.yaml:3:22: sites[0].cloud: expected one of aws, gcp, azure, got "azur"; did you mean azure?',
        'triplicate.yaml:4:68: sites[1].id: expected each key once, got it again',
        'triplicate.yaml:5:1: routs: unknown key; did you mean routes?',
        'triplicate.yaml:8:17: routes[0].sites[1]: expected one of the sites AZ, gcp, got "gpc"',
        `triplicate.yaml:9:13: routes[0].policy: expected ${policies}, got "lwww"; did you mean lww?`,
        'triplicate.yaml:11:10: limits.lease: expected a duration such as 2s, 15min or 45d, got 15',
      ].join('\n'),
    );
    expect(() => read(text)).toThrow(expect.objectContaining({ details: { field: 'sites[0].id', value: 'AZ' } }));
  });

  it('cannot grow by aliases', () => {
    const levels = Array.from(
      { length: 30 },
      (_, i) =>
        `l${i}: &l${i} [${Array(9)
          .fill(`*l${i - 1}`)
          .join(', ')}]`,
    );
    expect(messageOf(`${levels.join('\n').replaceAll('*l-1', 'x')}\n`)).toContain(
      'YAML: expected no anchors and aliases, got &l29',
    );
  });

  it('cannot exhaust the stack', () => {
    for (const depth of [500, 2000, 10_000]) {
      expect(messageOf(`namespace: ${'['.repeat(depth)}${']'.repeat(depth)}`)).toContain('triplicate.yaml:1:');
      expect(messageOf('{a: '.repeat(depth))).toContain('triplicate.yaml:1:');
      expect(messageOf('- '.repeat(depth))).toContain('triplicate.yaml:1:');
    }
    expect(messageOf(`namespace: ${'['.repeat(10_000)}${']'.repeat(10_000)}`)).toContain('YAML: expected less nesting');
  });
});

const anyId = fc.string({ unit: fc.constantFrom(...'abcxyz019'), minLength: 1, maxLength: 8 });
const anyText = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter((text) => !text.startsWith('.triplicate/') && text.isWellFormed());
const anyPolicy = (ids: readonly string[]): fc.Arbitrary<ConflictPolicy> =>
  fc.oneof(
    fc.constantFrom<ConflictPolicy>({ kind: 'lww' }, { kind: 'lww-safe' }, { kind: 'keep-both' }),
    fc.shuffledSubarray([...ids], { minLength: 1 }).map((order) => ({ kind: 'prefer-site' as const, order })),
    fc
      .string({ unit: fc.constantFrom(...'az09-'), minLength: 1, maxLength: 9 })
      .map((name) => ({ kind: 'custom' as const, name })),
  );
const anyRoute = (ids: readonly string[]): fc.Arbitrary<Route> =>
  fc.shuffledSubarray([...ids], { minLength: 2 }).chain((sites) =>
    fc.record({
      prefix: anyText,
      sites: fc.constant(sites),
      policy: anyPolicy(sites),
      deletes: fc.constantFrom('write-wins', 'delete-wins', 'by-clock'),
      copiesBeforeSupersede: fc.integer({ min: 1, max: sites.length }),
    }),
  );
const anySite = (id: string): fc.Arbitrary<Site> =>
  fc
    .record(
      {
        id: fc.constant(id),
        cloud: fc.constantFrom('aws', 'gcp', 'azure'),
        region: fc.constantFrom('eu-central-1', 'EU', '1', 'true'),
        bucket: fc.constantFrom(`b-${id}0`, `000${id}`),
        mode: fc.constantFrom('active', 'passive'),
        expiresAfterMs: fc.integer({ min: 1 }),
      },
      { requiredKeys: ['id', 'cloud', 'region', 'bucket', 'mode'] },
    )
    .map((site) => site as Site);
const anyLimits: fc.Arbitrary<Limits> = fc.record({
  skewBoundMs: fc.nat(),
  stageOverBytes: fc.integer({ min: 1 }),
  partBytes: fc.integer({ min: 1 }),
  leaseMs: fc.integer({ min: 1 }),
  tombstoneGraceMs: fc.integer({ min: 1, max: 10 ** 12 }),
  deletionCap: fc.nat(),
  deletionShare: fc.double({ min: 0, max: 1, noNaN: true }).map((share) => share + 0),
});
const anyTopology: fc.Arbitrary<Topology> = fc.uniqueArray(anyId, { minLength: 2, maxLength: 8 }).chain((ids) =>
  fc.record({
    namespace: fc.constantFrom('acme', 'a', '0', 'null', '1e3'),
    sites: fc.tuple(...ids.map(anySite)),
    routes: fc.uniqueArray(anyRoute(ids), { minLength: 1, maxLength: 5, selector: (route) => route.prefix }),
    limits: anyLimits,
  }),
);

function print({ namespace, sites, routes, limits }: Topology, flow: boolean): string {
  const form = {
    namespace,
    sites: sites.map(({ expiresAfterMs, ...site }) =>
      expiresAfterMs === undefined ? site : { ...site, expiresAfter: unitsOf(expiresAfterMs, DURATIONS) },
    ),
    routes: routes.map((route) => ({ ...route, policy: formOf(route.policy) })),
    limits: {
      skewBound: unitsOf(limits.skewBoundMs, DURATIONS),
      stageOver: unitsOf(limits.stageOverBytes, SIZES),
      partSize: unitsOf(limits.partBytes, SIZES),
      lease: unitsOf(limits.leaseMs, DURATIONS),
      tombstoneGrace: unitsOf(limits.tombstoneGraceMs, DURATIONS),
      deletionCap: limits.deletionCap,
      deletionShare: limits.deletionShare,
    },
  };
  return stringify(form, { collectionStyle: flow ? 'flow' : 'any', aliasDuplicateObjects: false });
}

const DURATIONS = { d: 86_400_000, h: 3_600_000, min: 60_000, s: 1000, ms: 1 };
const SIZES = { TiB: 1024 ** 4, GiB: 1024 ** 3, MiB: 1024 ** 2, KiB: 1024, B: 1 };

function unitsOf(amount: number, units: Readonly<Record<string, number>>): string {
  const [unit, factor] = Object.entries(units).find(([, size]) => amount % size === 0) as [string, number];
  return `${amount / factor}${unit}`;
}

function formOf(policy: ConflictPolicy): unknown {
  if (policy.kind === 'prefer-site') return { 'prefer-site': policy.order };
  return policy.kind === 'custom' ? { custom: policy.name } : policy.kind;
}

describe('any topology', () => {
  it('printed as YAML reads back the same', () => {
    fc.assert(
      fc.property(anyTopology, fc.boolean(), (topology, flow) => {
        expect(read(print(topology, flow))).toEqual(topology);
      }),
      { numRuns: 500 },
    );
  });
});

describe('looking up', () => {
  const topology = read(`namespace: acme
${SITES}routes:
  - { prefix: logs/, sites: [aws, gcp] }
  - { prefix: logs/eu/, sites: [gcp, azure] }
  - { prefix: docs, sites: [aws, azure] }
`);

  it('a route takes the longest prefix, whatever their order', () => {
    const backwards = { ...topology, routes: [...topology.routes].reverse() };
    for (const it of [topology, backwards]) {
      expect(routeOf(it, 'logs/eu/1')?.prefix).toBe('logs/eu/');
      expect(routeOf(it, 'logs/us/1')?.prefix).toBe('logs/');
      expect(routeOf(it, 'docs.txt')?.prefix).toBe('docs');
      expect(routeOf(it, 'other')).toBe(null);
    }
  });

  it('no route takes our own objects', () => {
    const all = read(GOOD);
    expect(routeOf(all, 'anything')?.prefix).toBe('');
    expect(routeOf(all, '.triplicate/sentinel')).toBe(null);
  });

  it('a site is found by its id, or the message says which there are', () => {
    expect(siteOf(topology, 'gcp').bucket).toBe('acme-ams');
    expect(() => siteOf(topology, 'gpc')).toThrow('site: expected one of aws, gcp, azure, got "gpc"');
  });
});
