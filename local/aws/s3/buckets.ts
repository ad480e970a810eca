/** Buckets: create, delete, list, and what a bucket is asked about itself. */

import { ACCOUNT, REGION } from '../account.ts';
import { type Answer, bucketOf, type Call, existing, type S3, stamp, toIso } from './call.ts';
import { readPageSize } from './list.ts';
import { removeUpload } from './multipart.ts';
import { covers, EVENTS, type Origin, type Rule } from './notify.ts';
import { readTagXml, toAclXml, toTagXml } from './objects.ts';
import { receiveText } from './receive.ts';
import { type Code, invalidArgument, notImplemented, refusal } from './refusal.ts';
import { listBuckets as allBuckets, findBucket, saveBucket, type Versioning } from './tables.ts';
import { child, children, type Element, type Node, onlyChildren, readXml, text, toXml } from './xml.ts';

const TAGS_MAX = 50;

export async function createBucket(call: Call): Promise<Answer> {
  const source = await receiveText(call);
  if (call.request.headers['x-amz-bucket-object-lock-enabled']?.toString().toLowerCase() === 'true')
    throw notImplemented('x-amz-bucket-object-lock-enabled');
  if (source !== '') {
    const wish = readXml(source, 'CreateBucketConfiguration');
    onlyChildren(wish, ['LocationConstraint']);
    const place = text(wish, 'LocationConstraint') ?? REGION;
    if (place !== REGION)
      throw refusal('IllegalLocationConstraintException', {
        message: `The ${place} location constraint is incompatible for the region specific endpoint this request was sent to.`,
      });
  }
  addBucket(call.s3, call.bucket, 'Off');
  return { headers: { location: `/${call.bucket}` } };
}

/** In us-east-1, creating what is one's own already is no error and changes nothing. */
export function addBucket(s3: S3, name: string, versioning: Versioning): void {
  const { db } = s3.cloud.state;
  checkBucketName(name);
  db.transaction(() => {
    if (findBucket(db, name) === undefined)
      saveBucket(db, { name, created: stamp(s3), versioning, tags: null, rules: [] });
  });
}

function checkBucketName(name: string): void {
  const fine =
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) &&
    !/\.\.|\.-|-\.|^\d+\.\d+\.\d+\.\d+$|^xn--|^sthree-|^amzn-s3-demo-$|-s3alias$|--ol-s3$/.test(name);
  if (!fine) throw refusal('InvalidBucketName', { details: { BucketName: name } });
}

export function deleteBucket(call: Call): Answer {
  const { s3, bucket } = call;
  const { db } = s3.cloud.state;
  db.transaction(() => {
    bucketOf(call);
    if (db.get('SELECT 1 FROM s3_versions WHERE bucket = ? LIMIT 1', bucket) !== undefined)
      throw refusal('BucketNotEmpty', { details: { BucketName: bucket } });
    for (const upload of db.all<{ id: string }>('SELECT id FROM s3_uploads WHERE bucket = ?', bucket))
      removeUpload(call, upload);
    db.run('DELETE FROM s3_buckets WHERE name = ?', bucket);
  });
  return { status: 204 };
}

export function headBucket(call: Call): Answer {
  bucketOf(call);
  return { headers: { 'x-amz-bucket-region': REGION, 'x-amz-access-point-alias': 'false' } };
}

export function listBuckets(call: Call): Answer {
  const { query } = call;
  const prefix = query.get('prefix') ?? '';
  const from = query.get('continuation-token') ?? '';
  const max = readPageSize(call, 'max-buckets');
  const left = allBuckets(call.s3.cloud.state.db).filter(({ name }) => name.startsWith(prefix) && name > from);
  const page = left.slice(0, max);
  const last = page.at(-1)?.name;
  return {
    body: toXml('ListAllMyBucketsResult', [
      ['Owner', [['ID', ACCOUNT]]],
      [
        'Buckets',
        page.map(({ name, created }): Node => {
          return [
            'Bucket',
            [
              ['Name', name],
              ['CreationDate', toIso(created)],
              ['BucketRegion', REGION],
            ],
          ];
        }),
      ],
      ['ContinuationToken', page.length < left.length ? last : undefined],
      ['Prefix', query.has('prefix') ? prefix : undefined],
    ]),
  };
}

export function getBucketLocation(call: Call): Answer {
  bucketOf(call);
  // us-east-1 has no name here.
  return { body: toXml('LocationConstraint', '') };
}

export function getBucketVersioning(call: Call): Answer {
  const { versioning } = bucketOf(call);
  return { body: toXml('VersioningConfiguration', [['Status', versioning === 'Off' ? undefined : versioning]]) };
}

export async function putBucketVersioning(call: Call): Promise<Answer> {
  const wish = readXml(await receiveText(call), 'VersioningConfiguration');
  const status = text(wish, 'Status');
  if (status !== 'Enabled' && status !== 'Suspended') throw refusal('MalformedXML');
  if ((text(wish, 'MfaDelete') ?? 'Disabled') !== 'Disabled') throw notImplemented('MfaDelete');
  const { db } = call.s3.cloud.state;
  db.transaction(() => saveBucket(db, { ...bucketOf(call), versioning: status }));
  return {};
}

export function getBucketTagging(call: Call): Answer {
  const { tags } = bucketOf(call);
  if (tags === null) throw refusal('NoSuchTagSet', { details: { BucketName: call.bucket } });
  return { body: toTagXml(tags) };
}

export async function putBucketTagging(call: Call): Promise<Answer> {
  const tags = readTagXml(await receiveText(call), TAGS_MAX);
  const { db } = call.s3.cloud.state;
  db.transaction(() => saveBucket(db, { ...bucketOf(call), tags }));
  return { status: 204 };
}

export function deleteBucketTagging(call: Call): Answer {
  const { db } = call.s3.cloud.state;
  db.transaction(() => saveBucket(db, { ...bucketOf(call), tags: null }));
  return { status: 204 };
}

const KINDS = [
  ['QueueConfiguration', 'Queue', 'arn:aws:sqs:'],
  ['TopicConfiguration', 'Topic', 'arn:aws:sns:'],
] as const;

export function getBucketNotification(call: Call): Answer {
  const nodes = bucketOf(call).rules.map((rule): Node => {
    const [kind, name] = rule.target.startsWith('arn:aws:sns:') ? KINDS[1] : KINDS[0];
    const rules = [
      ['Prefix', rule.prefix],
      ['Suffix', rule.suffix],
    ].filter(([, value]) => value !== '');
    const filter: Node[] = rules.map(([which, value]) => [
      'FilterRule',
      [
        ['Name', which],
        ['Value', value],
      ],
    ]);
    return [
      kind,
      [
        ['Id', rule.id],
        [name, rule.target],
        ...rule.events.map((event): Node => ['Event', event]),
        ['Filter', filter.length === 0 ? undefined : [['S3Key', filter]]],
      ],
    ];
  });
  return { body: toXml('NotificationConfiguration', nodes) };
}

export async function putBucketNotification(call: Call): Promise<Answer> {
  const wish = readXml(await receiveText(call), 'NotificationConfiguration');
  for (const name of ['CloudFunctionConfiguration', 'LambdaFunctionConfiguration', 'EventBridgeConfiguration'])
    if (child(wish, name) !== undefined) throw notImplemented(name);
  const rules = KINDS.flatMap(([kind, name]) => children(wish, kind).map((element) => readRule(element, name)));
  const { request, signature, requestId, hostId } = call;
  const address = request.socket.remoteAddress ?? '127.0.0.1';
  setRules(call.s3, call.bucket, rules, { requestId, hostId, principal: signature.accessKeyId, address });
  return {};
}

function readRule(element: Element, name: string): Rule {
  const filters = children(child(child(element, 'Filter') ?? '', 'S3Key') ?? '', 'FilterRule');
  const values = filters.map((rule) => [text(rule, 'Name')?.toLowerCase(), text(rule, 'Value') ?? ''] as const);
  const names = values.map(([which]) => which);
  if (names.some((which) => which !== 'prefix' && which !== 'suffix'))
    throw invalidArgument('FilterRule.Name', String(names[0]), 'filter rule name must be either prefix or suffix');
  if (new Set(names).size < names.length)
    throw invalidArgument('FilterRule.Name', String(names[0]), 'Cannot specify more than one rule of the same name.');
  const filterValue = (wanted: string) => values.find(([which]) => which === wanted)?.[1] ?? '';
  return {
    id: text(element, 'Id') ?? '',
    target: text(element, name) ?? '',
    events: children(element, 'Event').map((event) => String(event).trim()),
    prefix: filterValue('prefix'),
    suffix: filterValue('suffix'),
  };
}

/** In place of the rules there were. Every destination is told that it is one. */
export function setRules(s3: S3, name: string, wanted: readonly Rule[], by: Origin): void {
  const { db } = s3.cloud.state;
  const rules = wanted.map((rule, index) => ({ ...rule, id: rule.id || `${name}-${index + 1}` }));
  for (const rule of rules) checkRule(rule);
  for (const [index, rule] of rules.entries())
    if (rules.slice(0, index).some((other) => overlap(rule, other)))
      throw invalidArgument(
        'NotificationConfiguration',
        rule.id,
        'Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are ' +
          'overlapping for the same event type.',
      );
  db.transaction(() => {
    const bucket = existing(s3, name);
    const known = bucket.rules.map(({ target }) => target);
    saveBucket(db, { ...bucket, rules });
    for (const target of new Set(rules.map((rule) => rule.target)))
      if (!known.includes(target)) s3.notifier.test(name, target, by);
  });
}

function checkRule({ target, events }: Rule): void {
  if (events.length === 0) throw refusal('MalformedXML');
  for (const event of events)
    if (!EVENTS.includes(event)) throw invalidArgument('Event', event, 'The event is not supported for notifications');
  if (!/^arn:aws:(?:sqs|sns):[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}$/.test(target))
    throw invalidArgument(target, 'null', 'Unable to validate the following destination configurations');
}

function overlap(a: Rule, b: Rule): boolean {
  const same = a.events.some((x) => b.events.some((y) => covers(x, y) || covers(y, x)));
  const prefixes = a.prefix.startsWith(b.prefix) || b.prefix.startsWith(a.prefix);
  const suffixes = a.suffix.endsWith(b.suffix) || b.suffix.endsWith(a.suffix);
  return same && prefixes && suffixes;
}

/** What a bucket answers about itself that nobody has configured. */
const SETTINGS: Readonly<Record<string, Code | (() => string)>> = {
  accelerate: () => toXml('AccelerateConfiguration', []),
  acl: toAclXml,
  cors: 'NoSuchCORSConfiguration',
  encryption: () =>
    toXml('ServerSideEncryptionConfiguration', [
      [
        'Rule',
        [
          ['ApplyServerSideEncryptionByDefault', [['SSEAlgorithm', 'AES256']]],
          ['BucketKeyEnabled', false],
        ],
      ],
    ]),
  lifecycle: 'NoSuchLifecycleConfiguration',
  logging: () => toXml('BucketLoggingStatus', []),
  'object-lock': 'ObjectLockConfigurationNotFoundError',
  ownershipControls: () => toXml('OwnershipControls', [['Rule', [['ObjectOwnership', 'BucketOwnerEnforced']]]]),
  policy: 'NoSuchBucketPolicy',
  policyStatus: 'NoSuchBucketPolicy',
  publicAccessBlock: () =>
    toXml('PublicAccessBlockConfiguration', [
      ['BlockPublicAcls', true],
      ['IgnorePublicAcls', true],
      ['BlockPublicPolicy', true],
      ['RestrictPublicBuckets', true],
    ]),
  replication: 'ReplicationConfigurationNotFoundError',
  requestPayment: () => toXml('RequestPaymentConfiguration', [['Payer', 'BucketOwner']]),
  website: 'NoSuchWebsiteConfiguration',
};

export const SETTING_NAMES = Object.keys(SETTINGS);

export function getBucketSetting(call: Call): Answer {
  bucketOf(call);
  const name = SETTING_NAMES.find((each) => call.query.has(each)) ?? '';
  const setting = SETTINGS[name];
  if (setting === undefined) throw notImplemented(name);
  if (typeof setting === 'string') throw refusal(setting, { details: { BucketName: call.bucket } });
  return { body: setting() };
}
