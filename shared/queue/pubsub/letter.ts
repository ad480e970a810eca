/** What travels with a body in the attributes of a Pub/Sub message, so that it stays one message however often it is sent. */

import type { DeadLetter } from '../queue.ts';
import type { Incoming, Outgoing } from './connection.ts';

/** A message, whichever copy of it this is. */
export interface Letter {
  readonly id: string;
  readonly body: string;
  readonly sentAt: number;
  /** Deliveries of earlier copies. */
  readonly attempts: number;
  /** 0: at once. */
  readonly notBefore: number;
  /** What somebody else sent beside the body. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** A letter and the number of this attempt at it. */
export type Attempted = Letter & { readonly attempt: number };

const ADOPTED = 'adopted:';

const ID = 'triplicateId';
const SENT_AT = 'triplicateSentAt';
const ATTEMPTS = 'triplicateAttempts';
const NOT_BEFORE = 'triplicateNotBefore';
const DEAD = 'triplicateDead';
/** What Pub/Sub itself adds when it gives a message up by the dead letter policy of the subscription. */
const GIVEN_UP_AFTER = 'CloudPubSubDeadLetterSourceDeliveryCount';
const GIVEN_UP_SENT_AT = 'CloudPubSubDeadLetterSourceTopicPublishTime';

export function toFirstCopy(body: string, notBefore: number): Outgoing {
  return { data: body, attributes: notBefore === 0 ? {} : { [NOT_BEFORE]: String(notBefore) } };
}

export function toNextCopy({ id, body, sentAt, attempts, notBefore, attributes: foreign }: Letter): Outgoing {
  const attributes = { ...foreign, [ID]: id, [SENT_AT]: String(sentAt), [ATTEMPTS]: String(attempts) };
  return { data: body, attributes: notBefore === 0 ? attributes : { ...attributes, [NOT_BEFORE]: String(notBefore) } };
}

/** Reasons may be longer than an attribute, so they travel with the body. */
export function toDeadCopy(letter: Letter, reason: string): Outgoing {
  const { attributes } = toNextCopy({ ...letter, notBefore: 0 });
  return { data: JSON.stringify({ body: letter.body, reason }), attributes: { ...attributes, [DEAD]: '1' } };
}

/** A receipt for what somebody else received holds all of it. */
export function writeAdopted(letter: Attempted): string {
  return ADOPTED + JSON.stringify(letter);
}

/** Null: it is the receipt of something that was pulled. */
export function readAdopted(receipt: string): Attempted | null {
  return receipt.startsWith(ADOPTED) ? (JSON.parse(receipt.slice(ADOPTED.length)) as Attempted) : null;
}

export function readLetter({
  data,
  attributes,
  messageId,
  publishedAt,
}: Pick<Incoming, 'data' | 'attributes' | 'messageId' | 'publishedAt'>): Letter {
  return {
    id: attributes[ID] ?? messageId,
    body: data,
    sentAt: numberOf(attributes[SENT_AT]) ?? publishedAt,
    attempts: numberOf(attributes[ATTEMPTS]) ?? 0,
    notBefore: numberOf(attributes[NOT_BEFORE]) ?? 0,
    attributes: Object.fromEntries(Object.entries(attributes).filter(([name]) => !isOurs(name))),
  };
}

export interface DeadCopy {
  readonly letter: Letter;
  readonly dead: DeadLetter;
}

export function readDeadCopy(incoming: Incoming): DeadCopy {
  const { attributes, publishedAt: deadAt } = incoming;
  const copy = readLetter(incoming);
  const shelved = attributes[DEAD] === undefined ? null : readShelved(incoming.data);
  const attempts = numberOf(attributes[GIVEN_UP_AFTER]) ?? 0;
  const givenUp = `Pub/Sub gave it up after ${attempts} deliveries`;
  const { body, reason } = shelved ?? { body: copy.body, reason: attempts > 0 ? givenUp : 'it says no reason' };
  const sentAt = attributes[SENT_AT] === undefined ? Date.parse(attributes[GIVEN_UP_SENT_AT] ?? '') : copy.sentAt;
  const letter = { ...copy, body, sentAt: Number.isFinite(sentAt) ? sentAt : copy.sentAt };
  return { letter, dead: { id: copy.id, body, reason, attempts: copy.attempts + attempts, deadAt } };
}

/** Null: somebody else put it there. */
function readShelved(data: string): { readonly body: string; readonly reason: string } | null {
  try {
    const { body, reason } = JSON.parse(data) as Readonly<Record<string, unknown>>;
    return typeof body === 'string' && typeof reason === 'string' ? { body, reason } : null;
  } catch {
    return null;
  }
}

function isOurs(name: string): boolean {
  return [ID, SENT_AT, ATTEMPTS, NOT_BEFORE, DEAD].includes(name) || name.startsWith('CloudPubSubDeadLetter');
}

function numberOf(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : null;
}
