import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { openCloud } from './cloud.ts';
import type { Message } from './delivery.ts';
import { openFaults } from './faults.ts';

const now = { kind: 'even', min: 0, max: 0 } as const;
const message = (body: string): Message => ({ target: 'arn:aws:sqs:q', body, attributes: { kind: 'put' } });

function quickFaults() {
  const faults = openFaults(1);
  faults.add({ effect: { kind: 'delivery', ms: now, twice: 0, never: 0 } });
  return faults;
}

it('arrives where its target says', async () => {
  const cloud = openCloud({ name: 'aws', faults: quickFaults() });
  const got: Message[] = [];
  cloud.delivery.to('arn:aws:sqs:', (it) => void got.push(it));
  cloud.delivery.to('arn:aws:sns:', () => expect.unreachable());
  cloud.delivery.send('s3', message('hello'));
  await cloud.delivery.settled();
  expect(got).toEqual([message('hello')]);
  await cloud.close();
});

it('is not sent when its transaction is rolled back', async () => {
  const cloud = openCloud({ name: 'aws', faults: quickFaults() });
  const got: string[] = [];
  cloud.delivery.to('arn:', ({ body }) => void got.push(body));
  expect(() =>
    cloud.state.db.transaction(() => {
      cloud.delivery.send('s3', message('never happened'));
      throw new Error('no');
    }),
  ).toThrow('no');
  cloud.delivery.send('s3', message('happened'));
  await cloud.delivery.settled();
  expect(got).toEqual(['happened']);
  await cloud.close();
});

it('is tried again when it is refused', async () => {
  const cloud = openCloud({ name: 'aws', faults: quickFaults() });
  let attempts = 0;
  const arrived = new Promise<void>((resolve) => {
    cloud.delivery.to('arn:', async () => {
      attempts += 1;
      if (attempts < 3) throw new Error('not now');
      resolve();
    });
  });
  cloud.delivery.send('s3', message('persistent'));
  await arrived;
  expect(attempts).toBe(3);
  await cloud.close();
});

it('survives a restart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'triplicate-'));
  const before = openCloud({ name: 'aws', folder, faults: quickFaults() });
  before.delivery.send('s3', message('written before'));
  await before.delivery.stop();
  before.state.close();
  const after = openCloud({ name: 'aws', folder, faults: quickFaults() });
  const got = new Promise<string>((resolve) => after.delivery.to('arn:', ({ body }) => resolve(body)));
  expect(await got).toBe('written before');
  await after.close();
  rmSync(folder, { recursive: true });
});
