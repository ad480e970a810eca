/** The local Firestore: Google's gRPC API on the database of the local Google Cloud. */

import { randomBytes } from 'node:crypto';
import type { Cloud, Service } from '../../service.ts';
import { grpcError, loadProtos, type Methods, serveGrpc, statusNumber } from '../grpc.ts';
import { type Codec, openDocuments, type Stored, toDocument } from './documents.ts';
import { checkCollectionId, checkDatabase, checkDocumentName, checkParent } from './names.ts';
import { onlyFields, project, runQuery } from './query.ts';
import { openTransactions, type Transaction } from './transactions.ts';
import {
  type Consistency,
  type Document,
  type Mask,
  type Precondition,
  type StructuredQuery,
  toTime,
  type Write,
} from './wire.ts';
import { applyWrite, nameOf } from './write.ts';

export interface FirestoreService extends Service {
  /** Queries of this collection may combine these fields, as after `gcloud firestore indexes composite create`. */
  createIndex(collectionId: string, ...fields: readonly string[]): void;
}

const PROTOS = '@google-cloud/firestore/build/protos/v1.json';
const LIST_DEFAULT = 100;
const LIST_MAX = 1_000;
const BATCH_MAX = 500;
const READ_BYTES_MAX = 11 * 1024 * 1024;

const TABLES = `
  CREATE TABLE IF NOT EXISTS firestore_composites (
    collection_id TEXT NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (collection_id, fields)
  ) STRICT, WITHOUT ROWID;
`;

interface Named {
  readonly name: string;
}

interface InDatabase {
  readonly database: string;
}

export async function startFirestore(cloud: Cloud, { port }: { readonly port: number }): Promise<FirestoreService> {
  const { db } = cloud.state;
  db.define(TABLES);
  const documents = openDocuments(db, loadProtos(PROTOS)['google.firestore.v1.Document'] as unknown as Codec);
  const transactions = openTransactions();

  const fieldsKey = (fields: readonly string[]) => JSON.stringify([...fields].sort());

  function hasIndex(collectionId: string, fields: readonly string[]): boolean {
    const sql = 'SELECT 1 FROM firestore_composites WHERE collection_id = ? AND fields = ?';
    return db.get(sql, collectionId, fieldsKey(fields)) !== undefined;
  }

  const readTime = () => toTime(documents.time(cloud.now()));

  /** The transaction that a read belongs to, if any, and whether it begins with it. */
  function within({ transaction, newTransaction, readTime: past }: Consistency) {
    if (past !== undefined && past !== null)
      throw grpcError('UNIMPLEMENTED', 'The local Firestore keeps no versions of the past.');
    if (newTransaction !== undefined && newTransaction !== null)
      return { found: transactions.begin(newTransaction), begun: true };
    if (transaction === undefined || transaction.length === 0) return { found: null, begun: false };
    return { found: transactions.find(transaction), begun: false };
  }

  function read(name: string, transaction: Transaction | null): Stored | null {
    checkDocumentName(name);
    const version = () => String(documents.get(name)?.updateTime ?? 'none');
    if (transaction !== null) transactions.remember(transaction, `document ${name}`, version);
    return documents.get(name);
  }

  function query(parent: string, structured: StructuredQuery, transaction: Transaction | null): readonly Stored[] {
    checkParent(parent);
    const run = () => runQuery(documents, parent, structured, hasIndex);
    const text = () =>
      run()
        .map(({ name, updateTime }) => `${name}@${updateTime}`)
        .join('\n');
    if (transaction !== null) transactions.remember(transaction, `query ${parent} ${JSON.stringify(structured)}`, text);
    return run();
  }

  /** All or nothing, and durable once it returns. */
  function commit(writes: readonly Write[], transaction: Transaction | null) {
    return db.transaction(() => {
      if (transaction !== null) transactions.verify(transaction);
      const micros = documents.tick(cloud.now());
      const writeResults = writes.map((write) => applyWrite(documents, write, micros));
      return { writeResults, commitTime: toTime(micros) };
    });
  }

  function one(write: Partial<Write>): Document {
    const whole = { updateMask: null, updateTransforms: [], currentDocument: null, ...write };
    commit([whole], null);
    const stored = documents.get(nameOf(whole));
    if (stored === null) throw new Error(`${nameOf(whole)} is gone right after it was written`);
    return toDocument(stored);
  }

  const masked = (stored: Stored, mask: Mask | null) =>
    toDocument(mask === null ? stored : { ...stored, fields: onlyFields(stored.fields, mask.fieldPaths) });

  const methods: Methods = {
    unary: {
      GetDocument(request: Named & Consistency & { mask: Mask | null }) {
        const stored = read(request.name, within(request).found);
        if (stored === null) throw grpcError('NOT_FOUND', `Document "${request.name}" not found.`);
        return masked(stored, request.mask);
      },

      CreateDocument(request: {
        parent: string;
        collectionId: string;
        documentId: string;
        document: Document | null;
        mask: Mask | null;
      }) {
        checkParent(request.parent);
        checkCollectionId(request.collectionId);
        const id = request.documentId || randomBytes(10).toString('hex');
        const name = `${request.parent}/${request.collectionId}/${id}`;
        const update = { name, fields: request.document?.fields ?? {}, createTime: null, updateTime: null };
        return one({ update, currentDocument: { exists: false } });
      },

      UpdateDocument: (request: {
        document: Document | null;
        updateMask: Mask | null;
        currentDocument: Precondition | null;
      }) => one({ update: request.document, updateMask: request.updateMask, currentDocument: request.currentDocument }),

      DeleteDocument(request: Named & { currentDocument: Precondition | null }) {
        const write = { delete: request.name, updateMask: null, updateTransforms: [] };
        commit([{ ...write, currentDocument: request.currentDocument }], null);
        return {};
      },

      ListDocuments(
        request: Consistency & {
          parent: string;
          collectionId: string;
          pageSize: number;
          pageToken: string;
          orderBy: string;
          mask: Mask | null;
          showMissing: boolean;
        },
      ) {
        if (request.orderBy !== '' && request.orderBy !== '__name__')
          throw grpcError('UNIMPLEMENTED', 'The local Firestore lists documents by name only.');
        const size = Math.min(request.pageSize > 0 ? request.pageSize : LIST_DEFAULT, LIST_MAX);
        const after = Buffer.from(request.pageToken, 'base64url').toString();
        const structured: StructuredQuery = {
          select: null,
          from: [{ collectionId: request.collectionId, allDescendants: false }],
          where: null,
          orderBy: [],
          startAt: after === '' ? null : { values: [{ referenceValue: after }], before: false },
          endAt: null,
          offset: 0,
          limit: { value: size },
        };
        const found = query(request.parent, structured, within(request).found).map((it) => masked(it, request.mask));
        if (request.showMissing) {
          const missing = documents.missing(`${request.parent}/${request.collectionId}`).filter((name) => name > after);
          found.push(...missing.map((name) => ({ name, fields: {}, createTime: null, updateTime: null })));
          found.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
        }
        const page = found.slice(0, size);
        const last = page.length === size ? (page.at(-1)?.name ?? '') : '';
        return { documents: page, nextPageToken: Buffer.from(last).toString('base64url') };
      },

      ListCollectionIds({ parent }: { parent: string }) {
        checkParent(parent);
        return { collectionIds: documents.collectionIds(parent), nextPageToken: '' };
      },

      BeginTransaction(request: InDatabase & { options: Parameters<typeof transactions.begin>[0] }) {
        checkDatabase(request.database);
        return { transaction: transactions.begin(request.options).id };
      },

      Commit({ database, writes, transaction }: InDatabase & { writes: readonly Write[]; transaction: Buffer }) {
        checkDatabase(database);
        for (const write of writes) checkBelongs(nameOf(write), database);
        const found = transaction.length === 0 ? null : transactions.find(transaction);
        if (found?.readOnly && writes.length > 0)
          throw grpcError('INVALID_ARGUMENT', 'Cannot modify entities in a read-only transaction.');
        // Whatever comes of it, it is over.
        if (found !== null) transactions.end(found.id);
        return commit(writes, found);
      },

      Rollback({ database, transaction }: InDatabase & { transaction: Buffer }) {
        checkDatabase(database);
        transactions.end(transactions.find(transaction).id);
        return {};
      },

      BatchWrite({ database, writes }: InDatabase & { writes: readonly Write[] }) {
        checkDatabase(database);
        if (writes.length > BATCH_MAX)
          throw grpcError('INVALID_ARGUMENT', `maximum ${BATCH_MAX} writes allowed per request`);
        if (new Set(writes.map(nameOf)).size < writes.length)
          throw grpcError('INVALID_ARGUMENT', 'A document cannot be written to more than once in one request.');
        const results = writes.map((write) => {
          try {
            checkBelongs(nameOf(write), database);
            return { result: commit([write], null).writeResults[0], status: { code: 0, message: '' } };
          } catch (error) {
            return { result: { updateTime: null, transformResults: [] }, status: toRpcStatus(error) };
          }
        });
        return { writeResults: results.map(({ result }) => result), status: results.map(({ status }) => status) };
      },
    },

    answers: {
      *BatchGetDocuments(request: InDatabase & Consistency & { documents: readonly string[]; mask: Mask | null }) {
        checkDatabase(request.database);
        for (const name of request.documents) checkBelongs(name, request.database);
        const { found: transaction, begun } = within(request);
        // All at once: nothing may come between them.
        const all = [...new Set(request.documents)].map((name) => ({ name, stored: read(name, transaction) }));
        const at = readTime();
        const id = begun && transaction !== null ? { transaction: transaction.id } : {};
        if (begun) yield id;
        for (const { name, stored } of all)
          yield { ...(stored === null ? { missing: name } : { found: masked(stored, request.mask) }), readTime: at };
      },

      *RunQuery(request: Consistency & { parent: string; structuredQuery?: StructuredQuery | null }) {
        const structured = request.structuredQuery;
        if (!structured) throw grpcError('INVALID_ARGUMENT', 'The request has no query.');
        const { found: transaction, begun } = within(request);
        const found = query(request.parent, structured, transaction);
        const at = readTime();
        if (begun && transaction !== null) yield { transaction: transaction.id };
        for (const stored of found) yield { document: toDocument(project(stored, structured.select)), readTime: at };
        if (found.length === 0) yield { readTime: at };
      },
    },
  };

  const service = await serveGrpc({
    cloud,
    service: 'firestore',
    port,
    protos: PROTOS,
    services: { 'google.firestore.v1.Firestore': methods },
    requestBytesMax: READ_BYTES_MAX,
    keyOf: (_operation, request) => keyOf(request),
  });

  return {
    ...service,
    createIndex(collectionId, ...fields) {
      db.run('INSERT OR IGNORE INTO firestore_composites VALUES (?, ?)', collectionId, fieldsKey(fields));
    },
  };
}

function checkBelongs(name: string, database: string): void {
  if (!name.startsWith(`${database}/documents/`))
    throw grpcError('INVALID_ARGUMENT', `Document name ${JSON.stringify(name)} is not in the database ${database}.`);
}

function toRpcStatus(error: unknown) {
  const code = statusNumber(error);
  if (code === null) throw error;
  return { code, message: (error as Error).message };
}

/** The first document that a request is about, without the database. */
function keyOf(request: unknown): string | undefined {
  const { name, documents, writes, parent } = (request ?? {}) as Readonly<Record<string, unknown>>;
  const [first] = Array.isArray(writes) ? (writes as readonly Write[]) : [];
  const named = first?.update?.name ?? first?.delete ?? (Array.isArray(documents) ? documents[0] : undefined);
  const whole = [name, named, parent].find((it): it is string => typeof it === 'string' && it !== '');
  return whole?.replace(/^projects\/[^/]*\/databases\/[^/]*\/documents\//, '');
}
