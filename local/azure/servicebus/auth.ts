/** Shared access signatures of Service Bus: who may use which entity, and until when. */

import { createHmac, timingSafeEqual } from 'node:crypto';

export const KEY_NAME = 'RootManageSharedAccessKey';
export const KEY = 'local';

export interface Claim {
  /** The path that it is for, with all below it; '' is the whole namespace. */
  readonly path: string;
  readonly until: number;
}

/** A text says why the token is refused. */
export function readToken(token: unknown, now: number): Claim | string {
  const text = typeof token === 'string' ? token : '';
  const [kind, rest] = text.split(' ', 2);
  if (kind !== 'SharedAccessSignature' || rest === undefined)
    return 'InvalidToken: only SharedAccessSignature is taken';
  const fields = new URLSearchParams(rest);
  const raw = Object.fromEntries(rest.split('&').map((field) => field.split('=', 2)));
  const { sr = '', se = '' } = raw as Record<string, string>;
  if (fields.get('skn') !== KEY_NAME) return `InvalidSignature: there is no key ${fields.get('skn') ?? ''}`;
  const expected = createHmac('sha256', KEY).update(`${sr}\n${se}`).digest();
  const given = Buffer.from(fields.get('sig')?.replaceAll(' ', '+') ?? '', 'base64');
  if (given.length !== expected.length || !timingSafeEqual(given, expected))
    return 'InvalidSignature: the token has an invalid signature';
  const until = Number(se) * 1_000;
  if (!(until > now)) return 'ExpiredToken: the token has expired';
  return { path: pathOf(fields.get('sr') ?? ''), until };
}

export function allows(claims: readonly Claim[], path: string, now: number): boolean {
  const wanted = pathOf(path);
  return claims.some(
    (it) => it.until > now && (it.path === '' || wanted === it.path || wanted.startsWith(`${it.path}/`)),
  );
}

function pathOf(audience: string): string {
  return audience
    .replace(/^[a-z]+:\/\/[^/]*/i, '')
    .replace(/^\/+|\/+$/g, '')
    .toLowerCase();
}
