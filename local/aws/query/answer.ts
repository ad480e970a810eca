/** Answers of the query protocol: XML that names the call, or the error. */

import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { AwsError } from './error.ts';
import { element, escapeXml, type Structure, writeXml } from './shape.ts';

const HEAD = '<?xml version="1.0"?>';

export function xmlAnswer(namespace: string, action: string, shape: Structure, answer: unknown): string {
  const result = writeXml(shape, answer);
  const metadata = element('ResponseMetadata', element('RequestId', randomUUID()));
  const inside = (result === '' ? '' : element(`${action}Result`, result)) + metadata;
  return `${HEAD}<${action}Response xmlns="${namespace}">${inside}</${action}Response>`;
}

export function xmlError(namespace: string, { kind, message }: AwsError): string {
  const error =
    element('Type', faultOf(kind.status)) + element('Code', kind.code) + element('Message', escapeXml(message));
  const inside = element('Error', `${error}<Detail/>`) + element('RequestId', randomUUID());
  return `${HEAD}<ErrorResponse xmlns="${namespace}">${inside}</ErrorResponse>`;
}

/** Whose fault it was. */
export function faultOf(status: number): 'Sender' | 'Receiver' {
  return status < 500 ? 'Sender' : 'Receiver';
}

export interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  /** The time on the clock of the cloud. */
  readonly at: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export function reply(response: ServerResponse, { status, type, body, at, headers = {} }: Reply): void {
  const bytes = Buffer.from(body);
  response.writeHead(status, {
    'x-amzn-RequestId': randomUUID(),
    'Content-Type': type,
    'Content-Length': bytes.length,
    Date: new Date(at).toUTCString(),
    ...headers,
  });
  response.end(bytes);
}
