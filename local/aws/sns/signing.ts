/** The key that signs what SNS sends, and the certificate by which anybody can check it: made once, kept with the state. */

import { createPrivateKey, createSign, generateKeyPair, type KeyObject, sign } from 'node:crypto';
import { promisify } from 'node:util';
import type { Cloud } from '../../service.ts';

export interface Signer {
  /** As in the path /SimpleNotificationService-ID.pem. */
  readonly id: string;
  readonly certificate: string;
  sign(text: string, version: SignatureVersion): string;
}

export type SignatureVersion = '1' | '2';

const TABLES = `
  CREATE TABLE IF NOT EXISTS sns_signers (id TEXT NOT NULL PRIMARY KEY, key TEXT NOT NULL, certificate TEXT NOT NULL) STRICT;
`;

const DAY_MS = 24 * 60 * 60_000;
const DIGESTS: Readonly<Record<SignatureVersion, string>> = { '1': 'RSA-SHA1', '2': 'RSA-SHA256' };

interface Row {
  readonly id: string;
  readonly key: string;
  readonly certificate: string;
}

/** Asked for when the first message is signed, since making a key takes a while. */
export function openSigning(cloud: Cloud): { signer(): Promise<Signer>; find(id: string): string | undefined } {
  const { db } = cloud.state;
  db.define(TABLES);
  let signer: Promise<Signer> | null = null;

  async function open(): Promise<Signer> {
    const row = db.get<Row>('SELECT * FROM sns_signers LIMIT 1') ?? (await make());
    const key = createPrivateKey(row.key);
    return {
      id: row.id,
      certificate: row.certificate,
      sign: (text, version) => createSign(DIGESTS[version]).update(text).sign(key, 'base64'),
    };
  }

  async function make(): Promise<Row> {
    const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
    const certificate = certify(publicKey, privateKey, cloud.now());
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const id = Buffer.from(String(cloud.now())).toString('hex');
    db.run('INSERT INTO sns_signers VALUES (?, ?, ?)', id, key, certificate);
    return { id, key, certificate };
  }

  return {
    signer() {
      signer ??= open().catch((error) => {
        signer = null;
        throw error;
      });
      return signer;
    },
    find: (id) => db.get<Row>('SELECT * FROM sns_signers WHERE id = ?', id)?.certificate,
  };
}

/** A certificate of the first version, signed by itself: RFC 5280 in the few parts that are needed. */
function certify(publicKey: KeyObject, privateKey: KeyObject, now: number): string {
  const algorithm = sequence(oid(1, 2, 840, 113549, 1, 1, 11), der(0x05, Buffer.alloc(0)));
  const name = sequence(der(0x31, sequence(oid(2, 5, 4, 3), der(0x0c, Buffer.from('sns.amazonaws.com')))));
  const validity = sequence(time(now - DAY_MS), time(now + 3_650 * DAY_MS));
  const serial = der(0x02, Buffer.from([1]));
  const subjectKey = publicKey.export({ type: 'spki', format: 'der' });
  const body = sequence(serial, algorithm, name, validity, name, subjectKey);
  const signature = der(0x03, Buffer.concat([Buffer.of(0), sign('RSA-SHA256', body, privateKey)]));
  const base64 = sequence(body, algorithm, signature).toString('base64');
  const lines = base64.match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...head), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function oid(first: number, second: number, ...rest: readonly number[]): Buffer {
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const digits = [part & 0x7f];
    for (let left = part >>> 7; left > 0; left >>>= 7) digits.unshift((left & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return der(0x06, Buffer.from(bytes));
}

/** Two digits for the year reach to 2049; from there on it is four. */
function time(at: number): Buffer {
  const digits = new Date(at).toISOString().replaceAll(/[-:T]|\.\d+/g, '');
  return Number(digits.slice(0, 4)) < 2050 ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits));
}
