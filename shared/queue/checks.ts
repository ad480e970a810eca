/** What every queue driver refuses: one place, so that all drivers agree. */

import { invalid } from '../model/fault.ts';

/** The smallest limit among the services behind the drivers. */
export const BODY_BYTES_MAX = 256 * 1024;
export const RECEIVE_MAX = 10;

export function checkBody(body: string): void {
  if (body === '') throw invalid('body', body, 'at least one character');
  if (!body.isWellFormed()) throw invalid('body', body, 'well-formed Unicode');
  const bytes = Buffer.byteLength(body);
  if (bytes > BODY_BYTES_MAX) throw invalid('body', `${bytes} bytes`, `at most ${BODY_BYTES_MAX} bytes of UTF-8`);
}

export function checkDelay(delayMs: number): void {
  if (!isInteger(delayMs, 0)) throw invalid('delayMs', delayMs, 'an integer >= 0');
}

export function checkVisibility(visibilityMs: number): void {
  if (!isInteger(visibilityMs, 1)) throw invalid('visibilityMs', visibilityMs, 'an integer >= 1');
}

export function checkMax(max: number): void {
  if (!isInteger(max, 1) || max > RECEIVE_MAX) throw invalid('max', max, `an integer from 1 to ${RECEIVE_MAX}`);
}

export function checkLimit(limit: number): void {
  if (!isInteger(limit, 1)) throw invalid('limit', limit, 'an integer >= 1');
}

export function checkReason(reason: string): void {
  if (!reason.isWellFormed()) throw invalid('reason', reason, 'well-formed Unicode');
}

function isInteger(value: number, min: number): boolean {
  return Number.isSafeInteger(value) && value >= min;
}
