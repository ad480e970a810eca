/** Pub/Sub's messages as they arrive decoded: every default filled in, 64-bit integers and enums as text. */

export interface Time {
  readonly seconds: string | number;
  readonly nanos: number;
}

export interface PubsubMessage {
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly messageId: string;
  readonly publishTime: Time | null;
  readonly orderingKey: string;
}

export interface Topic {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly messageStoragePolicy: unknown;
  readonly kmsKeyName: string;
  readonly schemaSettings: unknown;
  readonly messageRetentionDuration: Time | null;
  readonly ingestionDataSourceSettings: unknown;
  readonly messageTransforms: readonly unknown[];
  readonly state: string;
}

export interface PushConfig {
  readonly pushEndpoint: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly oidcToken?: unknown;
  readonly noWrapper?: unknown;
}

export interface Subscription {
  readonly name: string;
  readonly topic: string;
  readonly pushConfig: PushConfig | null;
  readonly bigqueryConfig: unknown;
  readonly cloudStorageConfig: unknown;
  readonly bigtableConfig: unknown;
  readonly ackDeadlineSeconds: number;
  readonly retainAckedMessages: boolean;
  readonly messageRetentionDuration: Time | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly enableMessageOrdering: boolean;
  readonly expirationPolicy: unknown;
  readonly filter: string;
  readonly deadLetterPolicy: { readonly deadLetterTopic: string; readonly maxDeliveryAttempts: number } | null;
  readonly retryPolicy: { readonly minimumBackoff: Time | null; readonly maximumBackoff: Time | null } | null;
  readonly detached: boolean;
  readonly enableExactlyOnceDelivery: boolean;
  readonly messageTransforms: readonly unknown[];
  readonly state: string;
}

export interface ReceivedMessage {
  readonly ackId: string;
  readonly message: PubsubMessage;
  /** 0 without a dead letter policy. */
  readonly deliveryAttempt: number;
}

export interface Page {
  readonly pageSize: number;
  readonly pageToken: string;
}

export interface StreamingPullRequest {
  readonly subscription: string;
  readonly ackIds: readonly string[];
  readonly modifyDeadlineSeconds: readonly number[];
  readonly modifyDeadlineAckIds: readonly string[];
  readonly streamAckDeadlineSeconds: number;
  readonly maxOutstandingMessages: string;
  readonly maxOutstandingBytes: string;
  readonly protocolVersion: string;
}

export interface Confirmation {
  readonly ackIds: readonly string[];
  readonly invalidAckIds: readonly string[];
}

export interface StreamingPullResponse {
  readonly receivedMessages?: readonly ReceivedMessage[];
  readonly acknowledgeConfirmation?: Confirmation;
  readonly modifyAckDeadlineConfirmation?: Confirmation;
  readonly subscriptionProperties: {
    readonly exactlyOnceDeliveryEnabled: boolean;
    readonly messageOrderingEnabled: boolean;
  };
}

export function toMs(time: Time): number {
  return Number(time.seconds) * 1000 + Math.floor(time.nanos / 1e6);
}

export function toTime(ms: number): Time {
  const seconds = Math.floor(ms / 1000);
  return { seconds: String(seconds), nanos: Math.round((ms - seconds * 1000) * 1e6) };
}
