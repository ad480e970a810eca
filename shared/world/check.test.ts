/** A world is refused with the name of the site and the field, or accepted. */

import { expect, it } from 'vitest';
import type { Site } from '../model/site.ts';
import { DEFAULT_LIMITS, type Topology } from '../model/topology.ts';
import { openMemoryStore } from '../store/memory.ts';
import { checkStores } from './check.ts';

const now = () => 1_750_000_000_000;

function topologyOf(...sites: readonly Partial<Site>[]): Topology {
  const all = sites.map(
    (site, i): Site => ({ id: `s${i}`, cloud: 'aws', region: 'r', bucket: `b${i}`, mode: 'active', ...site }),
  );
  return { namespace: 'n', sites: all, routes: [], limits: DEFAULT_LIMITS };
}

it('S3 without versioning is refused where clients write, and accepted where only we do', () => {
  const stores = { s0: openMemoryStore({ site: 's0', flavour: 's3', versioned: false, now }) };
  expect(() => checkStores(topologyOf({}), stores)).toThrow(
    'sites.s0.mode: expected "passive", or a bucket with versioning, got "active"',
  );
  expect(() => checkStores(topologyOf({ mode: 'passive' }), stores)).not.toThrow();
});

it('buckets whose token covers everything need no history', () => {
  const stores = {
    s0: openMemoryStore({ site: 's0', flavour: 'gcs', versioned: false, now }),
    s1: openMemoryStore({ site: 's1', flavour: 'azure', versioned: false, now }),
    s2: openMemoryStore({ site: 's2', flavour: 's3', versioned: true, now }),
  };
  expect(() => checkStores(topologyOf({ cloud: 'gcp' }, { cloud: 'azure' }, {}), stores)).not.toThrow();
});

it('a site without a store, and a store of another cloud, are refused', () => {
  expect(() => checkStores(topologyOf({}), {})).toThrow('site s0 has no store');
  const stores = { s0: openMemoryStore({ site: 's0', flavour: 'gcs', versioned: true, now }) };
  expect(() => checkStores(topologyOf({}), stores)).toThrow('sites.s0.cloud: expected "gcp", got "aws"');
});
