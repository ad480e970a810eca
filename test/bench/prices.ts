/** What calls cost: list prices in US dollars with source and date, and the arithmetic from counted calls to dollars. */

import type { Counts } from './counts.ts';

export interface Price {
  readonly what: string;
  /** Dollars for a million. */
  readonly perMillion: number;
  readonly source: string;
  /** When the price was the list price. */
  readonly date: string;
}

const AWS = 'AWS Price List API, us-east-1';
const GOOGLE = 'Google Cloud pricing pages, us-central1';
const AZURE = 'Azure pricing pages, East US';
const GOLDEN = 'Infracost golden files';

const price = (what: string, perMillion: number, source: string, date: string): Price => ({
  what,
  perMillion,
  source,
  date,
});

/** First tiers, without any free allowance. */
export const PRICES = {
  s3Write: price('S3 Standard: PUT, COPY, POST, LIST', 5, AWS, '2026-09-18'),
  s3Read: price('S3 Standard: GET, HEAD and all others', 0.4, AWS, '2026-09-18'),
  sqs: price('SQS standard: a request', 0.4, GOLDEN, '2024-07'),
  dynamoRead: price('DynamoDB on demand: a read unit', 0.125, GOLDEN, '2024-11-15'),
  dynamoWrite: price('DynamoDB on demand: a write unit', 0.625, GOLDEN, '2024-11-15'),
  lambdaRequest: price('Lambda: a request', 0.2, GOLDEN, '2024-07'),
  /** 512 MiB on arm: half of 0.0000133334 dollars a second. */
  lambdaSecond: price('Lambda arm, 512 MiB: a second', 6.6667, GOLDEN, '2024-07'),
  gcsA: price('Cloud Storage Standard: class A (insert, list)', 5, GOOGLE, '2026-09-19'),
  gcsB: price('Cloud Storage Standard: class B (get)', 0.4, GOOGLE, '2026-09-19'),
  /** 40 dollars a TiB, and no message counts for less than 1,000 bytes. */
  pubsubMessage: price('Pub/Sub: a message of at most 1,000 bytes, in or out', 0.0364, GOLDEN, '2024-07'),
  blobWrite: price('Blob Hot LRS: writes, lists', 5, AZURE, '2026-09-19'),
  blobRead: price('Blob Hot LRS: reads and all others', 0.4, AZURE, '2026-09-19'),
  serviceBus: price('Service Bus Standard: an operation beyond those in the base price', 0.8, GOLDEN, '2024-07'),
  eventGrid: price('Event Grid: an event', 0.6, GOLDEN, '2024-07'),
  firestoreRead: price('Firestore: a document read', 0.3, GOOGLE, '2026-09-20'),
  firestoreWrite: price('Firestore: a document written', 0.9, GOOGLE, '2026-09-20'),
} as const satisfies Readonly<Record<string, Price>>;

export type PriceName = keyof typeof PRICES;

export interface Priced {
  readonly price: PriceName;
  /** Of the price's unit, for one call. */
  readonly units: number;
  /** One read of the source and one write per target is what replication is; everything else is ours to save. */
  readonly inevitable?: boolean;
}

/**
 * What each request that the local clouds count is billed as. What is missing here is free: deletes at S3 and Google, and
 * everything that opens a connection. DynamoDB bills units and not calls; its stand-in says how many, those of the index
 * included.
 */
export const BILLED: Readonly<Record<string, Priced>> = {
  's3 PutObject': { price: 's3Write', units: 1, inevitable: true },
  's3 ListObjectVersions': { price: 's3Write', units: 1 },
  's3 ListObjectsV2': { price: 's3Write', units: 1 },
  's3 HeadObject': { price: 's3Read', units: 1 },
  's3 GetObject': { price: 's3Read', units: 1, inevitable: true },
  'sqs ReceiveMessage': { price: 'sqs', units: 1 },
  'sqs DeleteMessage': { price: 'sqs', units: 1 },
  'sqs DeleteMessageBatch': { price: 'sqs', units: 1 },
  'sqs ChangeMessageVisibility': { price: 'sqs', units: 1 },
  'dynamodb read units': { price: 'dynamoRead', units: 1 },
  'dynamodb write units': { price: 'dynamoWrite', units: 1 },
  'gcs storage.objects.insert': { price: 'gcsA', units: 1, inevitable: true },
  'gcs storage.objects.list': { price: 'gcsA', units: 1 },
  'gcs storage.objects.get': { price: 'gcsB', units: 1 },
  'blob PutBlob': { price: 'blobWrite', units: 1, inevitable: true },
  'blob ListBlobs': { price: 'blobWrite', units: 1 },
  'blob GetBlob': { price: 'blobRead', units: 1, inevitable: true },
  'blob GetBlobProperties': { price: 'blobRead', units: 1 },
  'servicebus Receive': { price: 'serviceBus', units: 1 },
  'servicebus Settle': { price: 'serviceBus', units: 1 },
  'servicebus update-disposition': { price: 'serviceBus', units: 1 },
  'servicebus renew-lock': { price: 'serviceBus', units: 1 },
};

/** What is billed without being asked for, for one new object that goes to two other sites. */
export interface Beside {
  readonly what: string;
  readonly price: PriceName;
  readonly unitsPerChange: number;
  readonly why: string;
}

export interface Line {
  readonly what: string;
  readonly callsPerChange: number;
  readonly unitsPerCall: number;
  readonly price: Price;
  readonly dollarsPerMillion: number;
  readonly inevitable: boolean;
}

/** Dollars for a million changes, line by line, the dearest first. */
export function toBill(counts: Counts, changes: number, beside: readonly Beside[]): readonly Line[] {
  const counted = Object.entries(counts).flatMap(([kind, count]): Line[] => {
    const billed = BILLED[kind];
    if (billed === undefined) return [];
    return [lineOf(kind, count / changes, billed)];
  });
  const others = beside.map(({ what, price: name, unitsPerChange }) =>
    lineOf(what, unitsPerChange, { price: name, units: 1 }),
  );
  return [...counted, ...others].toSorted((a, b) => b.dollarsPerMillion - a.dollarsPerMillion);
}

function lineOf(what: string, callsPerChange: number, { price: name, units, inevitable = false }: Priced): Line {
  const billed = PRICES[name];
  const dollarsPerMillion = callsPerChange * units * billed.perMillion;
  return { what, callsPerChange, unitsPerCall: units, price: billed, dollarsPerMillion, inevitable };
}

export function sumOf(lines: readonly Line[], which: (line: Line) => boolean = () => true): number {
  return lines.filter(which).reduce((sum, { dollarsPerMillion }) => sum + dollarsPerMillion, 0);
}
