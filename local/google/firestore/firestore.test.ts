import { FieldPath, FieldValue, Firestore, GeoPoint, Timestamp } from '@google-cloud/firestore';
import { credentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCloud } from '../../cloud.ts';
import { type FirestoreService, startFirestore } from './firestore.ts';

const cloud = openCloud({ name: 'gcp' });
let service: FirestoreService;
let firestore: Firestore;
let collections = 0;

beforeAll(async () => {
  service = await startFirestore(cloud, { port: 0 });
  firestore = new Firestore({
    projectId: 'local-project',
    host: `127.0.0.1:${service.port}`,
    ssl: false,
    sslCreds: credentials.createInsecure(),
    clientOptions: { universeDomain: 'googleapis.com' },
  });
});

afterAll(async () => {
  await firestore.terminate();
  await service.stop();
  await cloud.close();
});

function collection() {
  return firestore.collection(`things${++collections}`);
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  return call.then(
    () => 'OK',
    (error) => status[error.code] ?? String(error),
  );
}

const RICH = {
  nothing: null,
  yes: true,
  whole: 42,
  half: 0.5,
  huge: Number.MAX_SAFE_INTEGER,
  notANumber: Number.NaN,
  infinite: Number.NEGATIVE_INFINITY,
  text: 'é😀\u0000 "x"',
  bytes: Buffer.from([0, 1, 255]),
  list: [1, 'two', { three: 3 }],
  map: { 'a.b': { 'ç`\\': 1 } },
  empty: {},
  none: [],
};

describe('a document', () => {
  test('comes back as it was, with every type there is', async () => {
    const document = collection().doc('a b/ü'.replace('/', '%'));
    const rich = {
      ...RICH,
      at: new Timestamp(1_700_000_000, 123_456_000),
      where: new GeoPoint(1.5, -2.5),
      to: document,
    };
    const { writeTime } = await document.set(rich);
    const read = await document.get();
    expect(read.data()).toEqual(rich);
    expect(read.createTime?.isEqual(writeTime)).toBe(true);
    expect(read.updateTime?.isEqual(writeTime)).toBe(true);
    await document.update(new FieldPath('map', 'a.b', 'ç`\\'), 2, 'text', FieldValue.delete());
    const { text: _text, ...rest } = rich;
    expect((await document.get()).data()).toEqual({ ...rest, map: { 'a.b': { 'ç`\\': 2 } } });
    await document.delete();
    expect((await document.get()).exists).toBe(false);
    expect(await codeOf(document.delete())).toBe('OK');
  });

  test('is created once, updated where it stands, and under its conditions only', async () => {
    const document = collection().doc('d');
    expect(await codeOf(document.update({ a: 1 }))).toBe('NOT_FOUND');
    const { writeTime: first } = await document.create({ a: 1 });
    expect(await codeOf(document.create({ a: 2 }))).toBe('ALREADY_EXISTS');
    const { writeTime: second } = await document.update({ a: 2 }, { lastUpdateTime: first });
    expect(second > first).toBe(true);
    expect(await codeOf(document.update({ a: 3 }, { lastUpdateTime: first }))).toBe('FAILED_PRECONDITION');
    expect(await codeOf(document.delete({ lastUpdateTime: first }))).toBe('FAILED_PRECONDITION');
    expect(await codeOf(document.delete({ exists: false }))).toBe('ALREADY_EXISTS');
    expect((await document.get()).data()).toEqual({ a: 2 });
    const { writeTime: third } = await document.set({ a: 2 });
    expect(third.isEqual(second)).toBe(true);
    await document.delete({ lastUpdateTime: second });
    expect(await codeOf(document.delete({ exists: true }))).toBe('NOT_FOUND');
  });

  test('is merged, counted up and appended to', async () => {
    const document = collection().doc('d');
    await document.set({ n: 1, list: [1, 2], keep: true, at: 0 });
    await document.set(
      {
        n: FieldValue.increment(2),
        half: FieldValue.increment(0.5),
        list: FieldValue.arrayUnion(2, 3),
        top: FieldValue.maximum(7),
        at: FieldValue.serverTimestamp(),
        deep: { n: FieldValue.increment(1) },
      },
      { merge: true },
    );
    await document.update({ list: FieldValue.arrayRemove(1), top: FieldValue.maximum(3), n: FieldValue.minimum(2) });
    const read = await document.get();
    expect(read.data()).toMatchObject({ n: 2, half: 0.5, list: [2, 3], keep: true, top: 7, deep: { n: 1 } });
    expect(read.get('at').toMillis()).toBeGreaterThan(0);
  });

  test('that is too large or has a bad name is refused', async () => {
    const document = collection().doc('large');
    expect(await codeOf(document.set({ text: 'x'.repeat(1_048_577) }))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(document.set({ text: 'x'.repeat(1_000_000) }))).toBe('OK');
    for (const id of ['.', '..', '__reserved__', 'x'.repeat(1_501)])
      expect(await codeOf(collection().doc(id).set({ a: 1 }))).toBe('INVALID_ARGUMENT');
    expect(await codeOf(collection().doc('😀'.repeat(375)).set({ a: 1 }))).toBe('OK');
  });
});

describe('a batch', () => {
  test('is written whole or not at all', async () => {
    const all = collection();
    const batch = firestore.batch().create(all.doc('a'), { n: 1 }).update(all.doc('none'), { n: 1 });
    expect(await codeOf(batch.commit())).toBe('NOT_FOUND');
    expect((await all.get()).size).toBe(0);
    await firestore.batch().create(all.doc('a'), { n: 1 }).update(all.doc('a'), { m: 2 }).delete(all.doc('b')).commit();
    expect((await all.doc('a').get()).data()).toEqual({ n: 1, m: 2 });
  });

  test('of the bulk writer tells each write apart', async () => {
    const all = collection();
    await all.doc('there').set({});
    const writer = firestore.bulkWriter();
    writer.onWriteError(() => false);
    const outcomes = [writer.create(all.doc('there'), {}), writer.create(all.doc('new'), {})].map(codeOf);
    await writer.close();
    expect(await Promise.all(outcomes)).toEqual(['ALREADY_EXISTS', 'OK']);
  });
});

describe('a transaction', () => {
  test('loses no update of many at once', async () => {
    const counter = collection().doc('counter');
    await counter.set({ n: 0 });
    const increments = Array.from({ length: 8 }, () =>
      firestore.runTransaction(
        async (transaction) => {
          const { n } = (await transaction.get(counter)).data() as { n: number };
          transaction.update(counter, { n: n + 1 });
        },
        { maxAttempts: 20 },
      ),
    );
    await Promise.all(increments);
    expect((await counter.get()).get('n')).toBe(8);
  });

  test('is aborted when a document or the result of a query changed that it read', async () => {
    const all = collection();
    await all.doc('a').set({ n: 1 });
    const disturbed = (read: 'document' | 'absence' | 'query', disturb: () => Promise<unknown>) =>
      codeOf(
        firestore.runTransaction(
          async (transaction) => {
            if (read === 'document') await transaction.get(all.doc('a'));
            if (read === 'absence') await transaction.get(all.doc('new'));
            if (read === 'query') await transaction.get(all.where('n', '>', 5));
            await disturb();
            transaction.set(all.doc('written'), { by: read });
          },
          { maxAttempts: 1 },
        ),
      );
    expect(await disturbed('document', () => all.doc('a').set({ n: 2 }))).toBe('ABORTED');
    expect(await disturbed('absence', () => all.doc('new').set({ n: 1 }))).toBe('ABORTED');
    expect(await disturbed('query', () => all.doc('phantom').set({ n: 6 }))).toBe('ABORTED');
    expect((await all.doc('written').get()).exists).toBe(false);
    expect(await disturbed('query', () => all.doc('a').set({ n: 3 }))).toBe('OK');
  });

  test('that only reads sees one state, and writes nothing', async () => {
    const all = collection();
    await all.doc('a').set({ n: 1 });
    const sum = await firestore.runTransaction(
      async (transaction) => {
        const first = (await transaction.get(all.doc('a'))).get('n');
        return first + (await transaction.get(all)).size;
      },
      { readOnly: true },
    );
    expect(sum).toBe(2);
  });
});

describe('a query', () => {
  const ids = async (query: FirebaseFirestore.Query) => (await query.get()).docs.map(({ id }) => id).join(' ');

  async function numbers() {
    const all = collection();
    for (let n = 0; n < 10; n++) await all.doc(`d${n}`).set({ n, even: n % 2 === 0, tags: [`t${n}`, 'all'] });
    await all.doc('text').set({ n: 'text' });
    await all.doc('none').set({ m: 1 });
    return all;
  }

  test('filters by one field, in its order', async () => {
    const all = await numbers();
    expect(await ids(all.where('n', '==', 3))).toBe('d3');
    expect(await ids(all.where('n', '<', 3))).toBe('d0 d1 d2');
    expect(await ids(all.where('n', '>=', 8))).toBe('d8 d9');
    expect(await ids(all.where('n', '>', 2).where('n', '<=', 4).orderBy('n', 'desc'))).toBe('d4 d3');
    expect(await ids(all.where('n', 'in', [7, 5, 99]))).toBe('d5 d7');
    expect(await ids(all.where('n', '!=', 5).limit(2))).toBe('d0 d1');
    expect(await ids(all.where('n', 'not-in', [0, 1]).limit(2))).toBe('d2 d3');
    expect(await ids(all.where('n', '>', 'a'))).toBe('text');
    expect(await ids(all.where('tags', 'array-contains', 't4'))).toBe('d4');
    expect(await ids(all.where('even', '==', true).where('n', '==', 4))).toBe('d4');
    expect(await ids(all.where(FieldPath.documentId(), '>=', 'd8').where(FieldPath.documentId(), '<', 'n'))).toBe(
      'd8 d9',
    );
    expect(await ids(all.where(FieldPath.documentId(), 'in', ['text', 'd1']))).toBe('d1 text');
  });

  test('orders, goes on after a cursor, skips, cuts and chooses fields', async () => {
    const all = await numbers();
    expect(await ids(all.orderBy('n', 'desc').limit(3))).toBe('text d9 d8');
    expect(await ids(all.orderBy('n').startAfter(3).limit(2))).toBe('d4 d5');
    expect(await ids(all.orderBy('n').startAt(3).endBefore(5))).toBe('d3 d4');
    expect(await ids(all.orderBy('n', 'desc').startAfter(3).endAt(1))).toBe('d2 d1');
    expect(await ids(all.orderBy('n').offset(8).limit(2))).toBe('d8 d9');
    expect(await ids(all.orderBy('n').limitToLast(2))).toBe('d9 text');
    expect(await ids(all.orderBy(FieldPath.documentId()).startAfter('d8').limit(2))).toBe('d9 none');
    service.createIndex(all.id, '__name__');
    expect(await ids(all.orderBy(FieldPath.documentId(), 'desc').endAt('d9'))).toBe('text none d9');
    const [only] = (await all.where('n', '==', 3).select('even').get()).docs;
    expect(only?.data()).toEqual({ even: false });
    const [bare] = (await all.where('n', '==', 3).select().get()).docs;
    expect(bare?.data()).toEqual({});
  });

  test('orders equal values by name, and every type by Firestore’s rule', async () => {
    const all = collection();
    const values = [null, false, true, Number.NaN, Number.NEGATIVE_INFINITY, -1, -0.5, 0, 0.5, 1, 2 ** 53 - 1];
    const later = [new Timestamp(5, 0), '', 'a', 'a\u0000', 'b', '\uffff', '😀', Buffer.from([]), Buffer.from([255])];
    const last = [all.doc('x'), new GeoPoint(1, 2), [], [1], [1, 2], [2], {}, { a: 1 }, { a: 2 }, { b: 0 }];
    const ordered = [...values, ...later, ...last];
    const place = (index: number) => `d${(index * 7) % ordered.length}`;
    for (const [index, v] of ordered.entries()) await all.doc(place(index)).set({ v });
    expect(await ids(all.orderBy('v'))).toBe(ordered.map((_, index) => place(index)).join(' '));
    expect(await ids(all.orderBy('v', 'desc'))).toBe(
      ordered
        .map((_, index) => place(index))
        .reverse()
        .join(' '),
    );
    await Promise.all(['z', 'y', 'x'].map((id) => all.doc(id).set({ same: 1 })));
    expect(await ids(all.orderBy('same'))).toBe('x y z');
    expect(await ids(all.orderBy('same', 'desc'))).toBe('z y x');
    expect(
      await ids(
        all
          .orderBy('same')
          .startAfter(await all.doc('x').get())
          .limit(1),
      ),
    ).toBe('y');
  });

  test('follows every change, once its index is there', async () => {
    const all = await numbers();
    expect(await ids(all.where('n', '==', 3))).toBe('d3');
    await all.doc('d3').update({ n: 30 });
    await all.doc('d4').update({ n: 3 });
    await all.doc('d5').delete();
    expect(await ids(all.where('n', '==', 3))).toBe('d4');
    expect(await ids(all.where('n', '>', 4).where('n', '<', 100))).toBe('d6 d7 d8 d9 d3');
  });

  test('of several fields uses the index that was made for it', async () => {
    const all = await numbers();
    service.createIndex(all.id, 'n', 'even');
    expect(await ids(all.where('even', '==', true).orderBy('n'))).toBe('d0 d2 d4 d6 d8');
  });

  test('reaches all collections of a name, and lists what lies below a document', async () => {
    const top = collection();
    await top.doc('a').collection('parts').doc('1').set({ n: 1 });
    await top.doc('b').collection('parts').doc('2').set({ n: 2 });
    await top.doc('b').collection('other').doc('3').set({ n: 2 });
    expect(await ids(firestore.collectionGroup('parts').where('n', '>', 1))).toBe('2');
    expect((await top.doc('b').listCollections()).map(({ id }) => id)).toEqual(['other', 'parts']);
    expect((await top.doc('b').collection('parts').listDocuments()).map(({ id }) => id)).toEqual(['2']);
    expect((await top.get()).size).toBe(0);
    expect((await top.listDocuments()).map(({ id }) => id)).toEqual(['a', 'b']);
  });
});
