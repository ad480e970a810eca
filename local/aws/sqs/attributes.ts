/** The attributes that a queue can be given: what each takes, and what stands where nothing was given. */

import { invalidParameter, sqsError } from './errors.ts';
import { readQueueArn } from './names.ts';

export type Attributes = Readonly<Record<string, string>>;

export interface RedrivePolicy {
  readonly deadLetterTargetArn: string;
  readonly maxReceiveCount: number;
}

export interface RedriveAllowPolicy {
  readonly redrivePermission: 'allowAll' | 'denyAll' | 'byQueue';
  readonly sourceQueueArns: readonly string[];
}

interface Rule {
  readonly initial?: string;
  /** Only queues whose name ends in .fifo have it. */
  readonly fifo?: true;
  /** Answers the value as it is kept, or undefined for one that is not taken. '' takes the attribute away. */
  read(value: string): string | undefined;
}

const RULES: Readonly<Record<string, Rule>> = {
  DelaySeconds: number(0, 900, 0),
  KmsDataKeyReusePeriodSeconds: number(60, 86_400),
  KmsMasterKeyId: { read: (value) => value },
  MaximumMessageSize: number(1_024, 1_048_576, 1_048_576),
  MessageRetentionPeriod: number(60, 1_209_600, 345_600),
  Policy: { read: (value) => (value === '' || readObject(value) !== null ? value : undefined) },
  ReceiveMessageWaitTimeSeconds: number(0, 20, 0),
  RedriveAllowPolicy: { read: redriveAllowPolicy },
  RedrivePolicy: { read: redrivePolicy },
  SqsManagedSseEnabled: truth('true'),
  VisibilityTimeout: number(0, 43_200, 30),
  FifoQueue: { ...truth('true'), fifo: true },
  ContentBasedDeduplication: { ...truth('false'), fifo: true },
  DeduplicationScope: { ...oneOf('queue', 'messageGroup'), fifo: true },
  FifoThroughputLimit: { ...oneOf('perQueue', 'perMessageGroupId'), fifo: true },
};

/** What a new queue has that was given nothing. */
export function initialAttributes(fifo: boolean): Attributes {
  const found = Object.entries(RULES).filter(([, rule]) => rule.initial !== undefined && (fifo || !rule.fifo));
  return Object.fromEntries(found.map(([name, rule]) => [name, rule.initial ?? '']));
}

/** Throws an AwsError for a name or a value that no queue of this kind takes. */
export function readAttributes(given: Attributes, fifo: boolean): Attributes {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => {
      const rule = Object.hasOwn(RULES, name) ? RULES[name] : undefined;
      if (rule === undefined || (rule.fifo && !fifo))
        throw sqsError('InvalidAttributeName', `Unknown Attribute ${name}.`);
      const kept = rule.read(value);
      if (kept === undefined || (name === 'FifoQueue' && (kept === 'true') !== fifo))
        throw sqsError('InvalidAttributeValue', `Invalid value for the parameter ${name}.`);
      return [name, kept];
    }),
  );
}

export function isAttribute(name: string): boolean {
  return Object.hasOwn(RULES, name);
}

export function redrivePolicyOf(attributes: Attributes): RedrivePolicy | null {
  const policy = readObject(attributes.RedrivePolicy ?? '');
  if (policy === null) return null;
  return {
    deadLetterTargetArn: String(policy.deadLetterTargetArn),
    maxReceiveCount: Number(policy.maxReceiveCount),
  };
}

/** May this queue be the dead-letter queue of that one? */
export function allowsSource(attributes: Attributes, sourceArn: string): boolean {
  const policy = readObject(attributes.RedriveAllowPolicy ?? '') as RedriveAllowPolicy | null;
  if (policy === null || policy.redrivePermission === 'allowAll') return true;
  return policy.redrivePermission === 'byQueue' && policy.sourceQueueArns.includes(sourceArn);
}

function number(min: number, max: number, initial?: number): Rule {
  const read = (value: string) => {
    const fits = /^\d{1,9}$/.test(value) && Number(value) >= min && Number(value) <= max;
    return fits ? String(Number(value)) : undefined;
  };
  return initial === undefined ? { read } : { initial: String(initial), read };
}

function truth(initial: 'true' | 'false'): Rule {
  return { initial, read: (value) => (/^(true|false)$/i.test(value) ? value.toLowerCase() : undefined) };
}

function oneOf(...values: readonly [string, ...string[]]): Rule {
  return { initial: values[0], read: (value) => (values.includes(value) ? value : undefined) };
}

function redrivePolicy(value: string): string {
  if (value === '') return '';
  const policy = readObject(value);
  const refuse = (reason: string) => invalidParameter(value, 'RedrivePolicy', reason);
  if (policy === null) throw refuse('Redrive policy is not a valid JSON map.');
  const { deadLetterTargetArn, maxReceiveCount, ...others } = policy;
  if (deadLetterTargetArn === undefined)
    throw refuse('Redrive policy does not contain mandatory attribute: deadLetterTargetArn.');
  if (maxReceiveCount === undefined)
    throw refuse('Redrive policy does not contain mandatory attribute: maxReceiveCount.');
  if (Object.keys(others).length > 0)
    throw refuse('Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount].');
  if (typeof deadLetterTargetArn !== 'string' || readQueueArn(deadLetterTargetArn) === null)
    throw refuse('Invalid value for deadLetterTargetArn.');
  const count = Number(maxReceiveCount);
  if (!Number.isInteger(count) || count < 1 || count > 1_000)
    throw refuse('Invalid value for maxReceiveCount: must be between 1 and 1000.');
  return JSON.stringify({ deadLetterTargetArn, maxReceiveCount: count });
}

function redriveAllowPolicy(value: string): string {
  if (value === '') return '';
  const refuse = () => invalidParameter(value, 'RedriveAllowPolicy', 'Redrive allow policy is not valid.');
  const policy = readObject(value);
  if (policy === null) throw refuse();
  const { redrivePermission, sourceQueueArns = [] } = policy;
  const known = ['allowAll', 'denyAll', 'byQueue'].includes(String(redrivePermission));
  const arns = Array.isArray(sourceQueueArns) && sourceQueueArns.every((it) => readQueueArn(String(it)) !== null);
  if (!known || !arns || sourceQueueArns.length > 10) throw refuse();
  if ((redrivePermission === 'byQueue') !== sourceQueueArns.length > 0) throw refuse();
  return JSON.stringify({ redrivePermission, ...(sourceQueueArns.length > 0 ? { sourceQueueArns } : {}) });
}

function readObject(text: string): Readonly<Record<string, unknown>> | null {
  if (text === '') return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : null;
  } catch {
    return null;
  }
}
