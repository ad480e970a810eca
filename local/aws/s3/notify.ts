/** Tells queues and topics what happened to objects, in the form and under the rules of S3 event notifications. */

import type { Cloud } from '../../service.ts';

/** One destination of a bucket's notifications. */
export interface Rule {
  readonly id: string;
  /** arn:aws:sqs:... or arn:aws:sns:... */
  readonly target: string;
  /** s3:ObjectCreated:* and its like. */
  readonly events: readonly string[];
  readonly prefix: string;
  readonly suffix: string;
}

export const EVENTS: readonly string[] = [
  's3:ReducedRedundancyLostObject',
  's3:ObjectCreated:*',
  's3:ObjectCreated:Put',
  's3:ObjectCreated:Post',
  's3:ObjectCreated:Copy',
  's3:ObjectCreated:CompleteMultipartUpload',
  's3:ObjectRemoved:*',
  's3:ObjectRemoved:Delete',
  's3:ObjectRemoved:DeleteMarkerCreated',
  's3:ObjectRestore:*',
  's3:ObjectRestore:Post',
  's3:ObjectRestore:Completed',
  's3:ObjectRestore:Delete',
  's3:Replication:*',
  's3:Replication:OperationFailedReplication',
  's3:Replication:OperationNotTracked',
  's3:Replication:OperationMissedThreshold',
  's3:Replication:OperationReplicatedAfterThreshold',
  's3:LifecycleTransition',
  's3:IntelligentTiering',
  's3:ObjectAcl:Put',
  's3:LifecycleExpiration:*',
  's3:LifecycleExpiration:Delete',
  's3:LifecycleExpiration:DeleteMarkerCreated',
  's3:ObjectTagging:*',
  's3:ObjectTagging:Put',
  's3:ObjectTagging:Delete',
];

export interface Happening {
  /** ObjectCreated:Put and its like, without `s3:`. */
  readonly name: string;
  readonly key: string;
  readonly size?: number;
  readonly etag?: string;
  /** Left out where the bucket has no versions. */
  readonly version?: string | undefined;
}

/** Who did it. */
export interface Origin {
  readonly requestId: string;
  readonly hostId: string;
  readonly principal: string;
  readonly address: string;
}

export interface Notifier {
  /** In the transaction of the change it tells of. */
  tell(bucket: { readonly name: string; readonly rules: readonly Rule[] }, it: Happening, by: Origin): void;
  /** What S3 sends to a new destination. */
  test(bucket: string, target: string, by: Origin): void;
}

const SERVICE = 's3';

export function openNotifier(cloud: Cloud, region: string): Notifier {
  const { db } = cloud.state;
  let last = BigInt(`0x${db.get<{ last: string }>('SELECT last FROM s3_sequence WHERE id = 1')?.last ?? '0'}`);

  /** Grows whatever the clock does: seconds in front, as AWS has it, and a counter behind. */
  function nextSequencer(): string {
    const least = BigInt(Math.max(0, Math.floor(cloud.now() / 1000))) << 32n;
    last = last + 1n > least ? last + 1n : least;
    const text = last.toString(16).toUpperCase().padStart(18, '0');
    db.run('INSERT INTO s3_sequence (id, last) VALUES (1, ?) ON CONFLICT DO UPDATE SET last = excluded.last', text);
    return text;
  }

  return {
    tell(bucket, it, by) {
      const rules = bucket.rules.filter((rule) => matches(rule, it));
      if (rules.length === 0) return;
      // Only what creates or removes an object is in sequence.
      const sequencer = /^Object(?:Created|Removed):/.test(it.name) ? nextSequencer() : undefined;
      for (const { id, target } of rules) {
        const record = {
          eventVersion: '2.1',
          eventSource: 'aws:s3',
          awsRegion: region,
          eventTime: new Date(cloud.now()).toISOString(),
          eventName: it.name,
          userIdentity: { principalId: `AWS:${by.principal}` },
          requestParameters: { sourceIPAddress: by.address },
          responseElements: { 'x-amz-request-id': by.requestId, 'x-amz-id-2': by.hostId },
          s3: {
            s3SchemaVersion: '1.0',
            configurationId: id,
            bucket: { name: bucket.name, ownerIdentity: { principalId: 'LOCAL' }, arn: `arn:aws:s3:::${bucket.name}` },
            object: { key: toEventKey(it.key), size: it.size, eTag: it.etag, versionId: it.version, sequencer },
          },
        };
        cloud.delivery.send(SERVICE, { target, body: JSON.stringify({ Records: [record] }), attributes: {} });
      }
    },
    test(bucket, target, by) {
      const body = {
        Service: 'Amazon S3',
        Event: 's3:TestEvent',
        Time: new Date(cloud.now()).toISOString(),
        Bucket: bucket,
        RequestId: by.requestId,
        HostId: by.hostId,
      };
      cloud.delivery.send(SERVICE, { target, body: JSON.stringify(body), attributes: {} });
    },
  };
}

function matches({ events, prefix, suffix }: Rule, { name, key }: Happening): boolean {
  const wanted = events.some((event) => covers(event, `s3:${name}`));
  return wanted && key.startsWith(prefix) && key.endsWith(suffix);
}

/** Whether a configured name, which may end in `*`, takes this one. */
export function covers(event: string, name: string): boolean {
  return event === name || (event.endsWith(':*') && name.startsWith(event.slice(0, -1)));
}

/** As in a form: blanks are plus signs, slashes stay. */
export function toEventKey(key: string): string {
  return toFormText(key).replaceAll('%2F', '/');
}

/** As java.net.URLEncoder writes it, which S3 uses in lists and in notifications. */
export function toFormText(text: string): string {
  const percent = (character: string) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(text)
    .replaceAll('%20', '+')
    .replace(/[!'()~]/g, percent);
}
