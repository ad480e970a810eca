/** Azure Storage's own way of saying no. */

import { randomUUID } from 'node:crypto';
import type { ServerResponse } from 'node:http';

const CODES: Readonly<Record<number, readonly [code: string, message: string]>> = {
  400: ['InvalidInput', 'One of the request inputs is not valid.'],
  403: ['AuthorizationFailure', 'This request is not authorized to perform this operation.'],
  404: ['ResourceNotFound', 'The specified resource does not exist.'],
  409: ['OperationTimedOut', 'The operation could not be completed within the permitted time.'],
  412: ['ConditionNotMet', 'The condition specified using HTTP conditional header(s) is not met.'],
  429: ['TooManyRequests', 'Too many requests were received in a short time.'],
  500: ['InternalError', 'Server encountered an internal error. Please try again after some time.'],
  503: ['ServerBusy', 'The server is currently unable to receive requests. Please retry your request.'],
};

export function refuseStorage(response: ServerResponse, status: number, at: number): void {
  const [code, message] = CODES[status] ?? (status < 500 ? CODES[400] : CODES[500]) ?? ['InternalError', ''];
  const id = randomUUID();
  const time = new Date(at).toISOString();
  response.writeHead(status, {
    'content-type': 'application/xml',
    'x-ms-error-code': code,
    'x-ms-request-id': id,
    'x-ms-version': '2026-10-06',
    date: new Date(at).toUTCString(),
  });
  const text = `${message}\nRequestId:${id}\nTime:${time}`;
  response.end(`<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${text}</Message></Error>`);
}
