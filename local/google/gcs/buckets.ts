/** Buckets: what can be set on them, and the calls that make, show, change and remove them. */

import type { Cloud } from '../../service.ts';
import { type Answer, type Call, isJson, type Json, pageSize, readJson } from './call.ts';
import { checkConditions, readConditions } from './conditions.ts';
import { invalidValue, noBucket, Refusal, required, unsupported } from './errors.ts';
import { checkBucketName } from './names.ts';
import { etagOf, pickFields } from './resource.ts';
import { type BucketRow, timeText } from './tables.ts';

export interface BucketOptions {
  readonly versioning?: boolean;
  readonly project?: string;
  readonly location?: string;
  readonly storageClass?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Access by IAM alone: predefined ACLs are refused then. */
  readonly uniformAccess?: boolean;
}

export const LOCAL_PROJECT = 'local-project';
export const PROJECT_NUMBER = '123456789012';

/** Stored and shown; lifecycle rules have days of time even in the cloud, and are never acted upon here. */
const KEPT = ['location', 'storageClass', 'versioning', 'labels', 'cors', 'lifecycle', 'website', 'logging', 'rpo'];
const OBJECTS = ['versioning', 'labels', 'lifecycle', 'website', 'logging', 'iamConfiguration', 'billing'];
/** Would change what happens to objects, and is not done here: refused unless it says that nothing shall happen. */
const UNSUPPORTED: Readonly<Record<string, (value: Json) => boolean>> = {
  retentionPolicy: () => true,
  encryption: () => true,
  objectRetention: () => true,
  ipFilter: () => true,
  autoclass: ({ enabled }) => enabled === true,
  hierarchicalNamespace: ({ enabled }) => enabled === true,
  softDeletePolicy: ({ retentionDurationSeconds }) => Number(retentionDurationSeconds ?? 0) !== 0,
};

export function findBucket({ state: { db } }: Cloud, name: string): BucketRow {
  const row = db.get<BucketRow>('SELECT * FROM gcs_buckets WHERE name = ?', name);
  if (row === undefined) throw noBucket();
  return row;
}

export function isVersioned(bucket: BucketRow): boolean {
  return JSON.parse(bucket.fields).versioning?.enabled === true;
}

export function isUniform(bucket: BucketRow): boolean {
  return JSON.parse(bucket.fields).iamConfiguration?.uniformBucketLevelAccess?.enabled === true;
}

export function addBucket(cloud: Cloud, name: string, options: BucketOptions = {}): void {
  const { versioning, project = LOCAL_PROJECT, uniformAccess, ...rest } = options;
  insertBucket(cloud, project, {
    name,
    ...rest,
    ...(versioning === undefined ? {} : { versioning: { enabled: versioning } }),
    ...(uniformAccess ? { iamConfiguration: { uniformBucketLevelAccess: { enabled: true } } } : {}),
  });
}

function insertBucket(cloud: Cloud, project: string, json: Json): BucketRow {
  const { db } = cloud.state;
  const name = checkBucketName(json.name);
  const fields = { location: 'US', storageClass: 'STANDARD', ...readBucketFields({}, json) };
  return db.transaction(() => {
    const taken = 'Your previous request to create the named bucket succeeded and you already own it.';
    if (db.get('SELECT 1 FROM gcs_buckets WHERE name = ?', name) !== undefined)
      throw new Refusal(409, 'conflict', taken, { xmlCode: 'BucketAlreadyOwnedByYou' });
    const now = timeText(cloud.now());
    db.run(
      'INSERT INTO gcs_buckets (name, project, metageneration, created, updated, fields) VALUES (?, ?, 1, ?, ?, ?)',
      name,
      project,
      now,
      now,
      JSON.stringify(fields),
    );
    return findBucket(cloud, name);
  });
}

export function bucketHandlers(cloud: Cloud) {
  const { db } = cloud.state;

  function change(call: Call, fieldsOf: (before: Json) => Json): Answer {
    const [name = ''] = call.path;
    const row = db.transaction(() => {
      const before = findBucket(cloud, name);
      checkConditions({ ...before, generation: 0 }, readConditions(call.query, 'if', call.headers), bucketEtag(before));
      const fields = JSON.stringify(fieldsOf(JSON.parse(before.fields)));
      const sql = 'UPDATE gcs_buckets SET fields = ?, updated = ?, metageneration = metageneration + 1 WHERE name = ?';
      db.run(sql, fields, timeText(cloud.now()), name);
      return findBucket(cloud, name);
    });
    return show(call, row);
  }

  function show({ base, query }: Call, row: BucketRow): Answer {
    return { status: 200, json: pickFields(toBucket(row, base), query.get('fields')) };
  }

  return {
    async insert(call: Call): Promise<Answer> {
      const project = call.query.get('project');
      if (!project) throw required('Required parameter: project');
      return show(call, insertBucket(cloud, project, await readJson(call.body)));
    },
    get(call: Call): Answer {
      const row = findBucket(cloud, call.path[0] ?? '');
      checkConditions({ ...row, generation: 0 }, readConditions(call.query, 'if', call.headers), bucketEtag(row));
      return show(call, row);
    },
    async patch(call: Call): Promise<Answer> {
      const json = await readJson(call.body);
      return change(call, (before) => readBucketFields(before, json));
    },
    async update(call: Call): Promise<Answer> {
      const json = await readJson(call.body);
      return change(call, ({ location, storageClass }) => ({ storageClass, ...readBucketFields({}, json), location }));
    },
    delete({ path: [name = ''], query, headers }: Call): Answer {
      db.transaction(() => {
        const row = findBucket(cloud, name);
        checkConditions({ ...row, generation: 0 }, readConditions(query, 'if', headers), bucketEtag(row));
        if (db.get('SELECT 1 FROM gcs_objects WHERE bucket = ? LIMIT 1', name) !== undefined)
          throw new Refusal(409, 'conflict', 'The bucket you tried to delete is not empty.', {
            xmlCode: 'BucketNotEmpty',
          });
        db.run('DELETE FROM gcs_notifications WHERE bucket = ?', name);
        db.run('DELETE FROM gcs_buckets WHERE name = ?', name);
      });
      return { status: 204 };
    },
    list({ query, base }: Call): Answer {
      const project = query.get('project');
      if (!project) throw required('Required parameter: project');
      const max = pageSize(query);
      const after = Buffer.from(query.get('pageToken') ?? '', 'base64url').toString();
      const prefix = query.get('prefix') ?? '';
      const sql = `SELECT * FROM gcs_buckets
        WHERE project = ? AND name > ? AND substr(name, 1, length(?3)) = ?3 ORDER BY name LIMIT ?`;
      const rows = db.all<BucketRow>(sql, project, after, prefix, max + 1);
      const items = rows.slice(0, max).map((row) => toBucket(row, base));
      const last = rows.length > max ? rows[max - 1] : undefined;
      const json = {
        kind: 'storage#buckets',
        ...(items.length === 0 ? {} : { items }),
        ...(last === undefined ? {} : { nextPageToken: Buffer.from(last.name).toString('base64url') }),
      };
      return { status: 200, json: pickFields(json, query.get('fields')) };
    },
    storageLayout({ path: [name = ''] }: Call): Answer {
      const { location } = JSON.parse(findBucket(cloud, name).fields) as { location: string };
      const json = {
        kind: 'storage#storageLayout',
        bucket: name,
        location,
        locationType: locationType(location),
        hierarchicalNamespace: { enabled: false },
      };
      return { status: 200, json };
    },
    /** There are none, but gcloud looks for them before it removes a bucket. */
    managedFolders({ path: [name = ''] }: Call): Answer {
      findBucket(cloud, name);
      return { status: 200, json: { kind: 'storage#managedFolders' } };
    },
    getPolicy({ path: [name = ''] }: Call): Answer {
      const { policy } = findBucket(cloud, name);
      return { status: 200, json: policy === null ? defaultPolicy(name) : JSON.parse(policy) };
    },
    async setPolicy({ path: [name = ''], body }: Call): Promise<Answer> {
      const { bindings, version } = await readJson(body);
      if (bindings !== undefined && !Array.isArray(bindings)) throw invalidValue('Invalid value for bindings.');
      const policy = { ...defaultPolicy(name), version: version ?? 1, bindings: bindings ?? [] };
      findBucket(cloud, name);
      db.run('UPDATE gcs_buckets SET policy = ? WHERE name = ?', JSON.stringify(policy), name);
      return { status: 200, json: policy };
    },
    /** There is one user here, who may do everything. */
    testPermissions({ path: [name = ''], query }: Call): Answer {
      findBucket(cloud, name);
      const permissions = query.getAll('permissions');
      return { status: 200, json: { kind: 'storage#testIamPermissionsResponse', permissions } };
    },
    serviceAccount({ path: [project = ''] }: Call): Answer {
      const email = `service-${PROJECT_NUMBER}@gs-project-accounts.iam.gserviceaccount.com`;
      return { status: 200, json: { kind: 'storage#serviceAccount', email_address: email, projectId: project } };
    },
    /** Refused where access is by IAM alone, as in the cloud; elsewhere there are none. */
    acl(kind: string) {
      return ({ path: [name = ''] }: Call): Answer => {
        if (isUniform(findBucket(cloud, name)))
          throw invalidValue('Cannot get legacy ACL when uniform bucket-level access is enabled.');
        return { status: 200, json: { kind, items: [] } };
      };
    },
  };
}

function readBucketFields(before: Json, json: Json): Json {
  for (const [name, acts] of Object.entries(UNSUPPORTED)) {
    const value = json[name];
    if (value !== undefined && value !== null && acts(isJson(value) ? value : {}))
      throw unsupported(`The bucket field ${name}`);
  }
  if (json.defaultEventBasedHold === true) throw unsupported('The bucket field defaultEventBasedHold');
  const after: Record<string, unknown> = { ...before };
  for (const name of [...KEPT, ...OBJECTS]) {
    const value = json[name];
    if (value === undefined) continue;
    if (OBJECTS.includes(name) && value !== null && !isJson(value)) throw invalidValue(`Invalid value for ${name}.`);
    const merged = merge(before[name], value);
    if (merged === undefined) delete after[name];
    else after[name] = merged;
  }
  if (typeof (after.location ?? '') !== 'string' || typeof (after.storageClass ?? '') !== 'string')
    throw invalidValue('Invalid value for location or storageClass.');
  if (before.location !== undefined && after.location !== before.location)
    throw invalidValue('Bucket location cannot be changed.');
  const enabled = isJson(after.versioning) ? after.versioning.enabled : undefined;
  if (enabled !== undefined && typeof enabled !== 'boolean')
    throw invalidValue('Invalid value for versioning.enabled.');
  if (typeof after.location === 'string') after.location = after.location.toUpperCase();
  return after;
}

function merge(before: unknown, after: unknown): unknown {
  if (after === null) return undefined;
  if (!isJson(before) || !isJson(after)) return after;
  const merged: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(after)) {
    const it = merge(before[name], value);
    if (it === undefined) delete merged[name];
    else merged[name] = it;
  }
  return merged;
}

function toBucket(row: BucketRow, base: string): Json {
  const fields = JSON.parse(row.fields) as Json & { location: string };
  const uniform = isUniform(row);
  return {
    kind: 'storage#bucket',
    id: row.name,
    selfLink: `${base}/storage/v1/b/${encodeURIComponent(row.name)}`,
    name: row.name,
    projectNumber: PROJECT_NUMBER,
    metageneration: String(row.metageneration),
    locationType: locationType(fields.location),
    ...fields,
    iamConfiguration: {
      uniformBucketLevelAccess: { enabled: uniform },
      bucketPolicyOnly: { enabled: uniform },
      publicAccessPrevention: 'inherited',
    },
    etag: bucketEtag(row),
    timeCreated: row.created,
    updated: row.updated,
  };
}

const bucketEtag = ({ metageneration }: BucketRow) => etagOf({ generation: 0, metageneration });

function locationType(location: string): string {
  return ['US', 'EU', 'ASIA'].includes(location) ? 'multi-region' : 'region';
}

function defaultPolicy(name: string): Json {
  const members = [`projectOwner:${LOCAL_PROJECT}`];
  const bindings = [{ role: 'roles/storage.legacyBucketOwner', members }];
  return { kind: 'storage#policy', resourceId: `projects/_/buckets/${name}`, version: 1, etag: 'CAE=', bindings };
}
