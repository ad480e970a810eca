/** What the local world tells its users: every endpoint, key and name, as `.triplicate/local.json` holds them. */

export interface LocalConfig {
  readonly aws: {
    /** S3, SQS, SNS and DynamoDB alike. */
    readonly endpoint: string;
    readonly region: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly bucket: string;
    readonly queueUrl: string;
    readonly deadLetterQueueUrl: string;
    readonly table: string;
  };
  readonly gcp: {
    readonly storageEndpoint: string;
    /** host:port, as PUBSUB_EMULATOR_HOST expects it. */
    readonly pubsubEndpoint: string;
    readonly firestoreEndpoint: string;
    readonly projectId: string;
    readonly bucket: string;
    readonly topic: string;
    readonly subscription: string;
    readonly deadLetterTopic: string;
    readonly deadLetterSubscription: string;
  };
  readonly azure: {
    readonly blobEndpoint: string;
    readonly connectionString: string;
    readonly serviceBusConnectionString: string;
    readonly account: string;
    readonly container: string;
    readonly queue: string;
  };
  readonly control: string;
  readonly dashboard: string;
  /** Where Triplicate keeps what it knows; null: in the memory of its process, or it does not run. Absent: not told yet. */
  readonly ledger?: string | null;
}

/** Names that nobody has to choose. */
export const NAMES = {
  bucket: 'triplicate',
  changes: 'triplicate-changes',
  dead: 'triplicate-changes-dead',
  table: 'triplicate-ledger',
  project: 'local-project',
} as const;

export interface Ports {
  readonly aws: number;
  readonly storage: number;
  readonly pubsub: number;
  readonly firestore: number;
  readonly blob: number;
  readonly serviceBus: number;
  readonly control: number;
}

/** Those that the emulators of these services are known by. */
export const USUAL_PORTS: Ports = {
  aws: 4566,
  storage: 4443,
  pubsub: 8085,
  firestore: 8080,
  blob: 10000,
  serviceBus: 5673,
  control: 4510,
};

export const ANY_PORTS: Ports = {
  aws: 0,
  storage: 0,
  pubsub: 0,
  firestore: 0,
  blob: 0,
  serviceBus: 0,
  control: 0,
};
