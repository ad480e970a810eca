/** Which names of buckets and objects the service accepts. */

import { invalidValue, Refusal, required } from './errors.ts';

const OBJECT_BYTES_MAX = 1024;

/** https://cloud.google.com/storage/docs/objects#naming: no more than that is forbidden, control characters included. */
export function checkObjectName(name: string): string {
  if (name === '') throw required('Required parameter: name');
  const bad = (why: string) => new Refusal(400, 'invalid', why, { xmlCode: 'InvalidObjectName' });
  if (!name.isWellFormed()) throw bad('The object name is not valid UTF-8.');
  if (Buffer.byteLength(name) > OBJECT_BYTES_MAX)
    throw bad('The maximum object length is 1024 characters, but got a name of more UTF-8 bytes.');
  if (/[\r\n]/.test(name)) throw bad('Disallowed unicode characters present in object name.');
  if (name === '.' || name === '..') throw bad(`Invalid object name: '${name}'`);
  if (name.startsWith('.well-known/acme-challenge/'))
    throw bad("Object names may not start with '.well-known/acme-challenge/'.");
  return name;
}

/** https://cloud.google.com/storage/docs/buckets#naming */
export function checkBucketName(name: unknown): string {
  if (typeof name !== 'string' || name === '') throw required('Required parameter: name');
  const parts = name.split('.');
  const long = parts.length === 1 ? name.length <= 63 : name.length <= 222 && parts.every((it) => it.length <= 63);
  const shaped = /^[a-z0-9][a-z0-9._-]*[a-z0-9]$/.test(name) && parts.every((it) => it !== '');
  const address = /^\d+\.\d+\.\d+\.\d+$/.test(name);
  const taken = name.startsWith('goog') || name.includes('google');
  if (name.length < 3 || !long || !shaped || address || taken)
    throw new Refusal(400, 'invalid', `Invalid bucket name: '${name.slice(0, 80)}'`, { xmlCode: 'InvalidBucketName' });
  return name;
}

/** One piece of a path, percent-decoded. */
export function decodeName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalidValue('The URL is not valid percent-encoded UTF-8.');
  }
}
