/** Attributes of a message on its way to a queue: a delivery knows only texts, SQS knows types. */

import type { MessageAttributes } from './message.ts';

/** Under this name stand all attributes at once, with their types. */
const TYPED = 'sqs:message-attributes';

export function writeDelivered(attributes: MessageAttributes): Readonly<Record<string, string>> {
  return Object.keys(attributes).length === 0 ? {} : { [TYPED]: JSON.stringify(attributes) };
}

/** What has no type is text. */
export function readDelivered(attributes: Readonly<Record<string, string>>): MessageAttributes {
  const typed = attributes[TYPED];
  if (typed !== undefined) return JSON.parse(typed);
  return Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [name, { DataType: 'String', StringValue: value }]),
  );
}
