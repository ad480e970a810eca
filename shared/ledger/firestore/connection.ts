/** The connection to one Firestore database: Google's client without its own retries, every call bounded. */

import { setTimeout as pause } from 'node:timers/promises';
import { type Fault, fault, invalid } from '../../model/fault.ts';
import { codeOf, toGrpcFault } from '../../model/grpc-fault.ts';

export interface FirestoreConnectionOptions {
  readonly projectId: string;
  /** The one that every project has unless given. */
  readonly databaseId?: string;
  /** Without encryption and credentials, as `http://127.0.0.1:8080`: a local endpoint. Google when absent. */
  readonly apiEndpoint?: string;
  readonly userAgent?: string;
  /** For one answer to come. */
  readonly answerMs?: number;
}

export interface Value {
  readonly stringValue?: string | null;
  readonly integerValue?: number | string | null;
  readonly referenceValue?: string | null;
}

export type Fields = Readonly<Record<string, Value>>;

interface Time {
  readonly seconds?: number | string | null;
  readonly nanos?: number | null;
}

interface Document {
  readonly name: string;
  readonly fields: Fields;
  readonly updateTime?: Time | null;
}

export interface Write {
  readonly update?: { readonly name: string; readonly fields: Fields };
  readonly delete?: string;
  /** What has to stand there, else nothing is written. */
  readonly currentDocument?: { readonly exists: false } | { readonly updateTime: Time | null };
}

interface Cursor {
  readonly values: Value[];
  readonly before: boolean;
}

interface Field {
  readonly fieldPath: string;
}

/** Its lists are not readonly, because the SDK's are not. */
export interface Query {
  readonly from: { readonly collectionId: string }[];
  readonly select?: { readonly fields: Field[] };
  readonly where?: {
    readonly fieldFilter: { readonly field: Field; readonly op: 'LESS_THAN_OR_EQUAL'; readonly value: Value };
  };
  readonly orderBy: { readonly field: Field; readonly direction: 'ASCENDING' }[];
  readonly limit: { readonly value: number };
  readonly startAt?: Cursor;
  readonly endAt?: Cursor;
}

export interface Row {
  readonly id: string;
  readonly fields: Fields;
  readonly updateTime: Time | null;
}

/** One document, changed only as long as it stands as it was read, and another one too. */
export interface Change<T> {
  readonly op: string;
  readonly key: string;
  readonly path: string;
  readonly guard?: string;
  /** May be asked more than once. Without a write its answer holds for the moment of the reading. */
  decide(row: Row | null, guard: Row | null): { readonly answer: T; readonly write?: Omit<Write, 'currentDocument'> };
  /** The answer when somebody else changed the document after it was read. */
  readonly lost: T;
}

/** Paths begin below the database's documents. */
export interface Connection {
  nameOf(path: string): string;
  /** All as they were together at one moment; null for what is not there. */
  read(op: string, key: string, paths: readonly string[]): Promise<readonly (Row | null)[]>;
  query(op: string, parent: string, query: Query): Promise<readonly Row[]>;
  /** One write under its own condition. False: the condition did not hold. */
  write(op: string, key: string, write: Write): Promise<boolean>;
  /** Fault 'conflict' when others were always in the way: nothing was written. */
  change<T>(change: Change<T>): Promise<T>;
  close(): Promise<void>;
}

const ANSWER_MS = 10_000;
const ATTEMPTS_MAX = 8;
const PAUSE_MS_MIN = 5;
const PAUSE_MS_MAX = 500;
const INVALID_ARGUMENT = 3;
const ALREADY_EXISTS = 6;
const NOT_FOUND = 5;
const FAILED_PRECONDITION = 9;
const ABORTED = 10;
/** A transaction that waited for too long is over; the same again may do. */
const OVER = /transaction.*(?:expired|no longer valid|invalid)/i;

export function openConnection(options: FirestoreConnectionOptions): Connection {
  const database = `projects/${options.projectId}/databases/${options.databaseId ?? '(default)'}`;
  const nameOf = (path: string) => `${database}/documents/${path}`;
  const call = { timeout: options.answerMs ?? ANSWER_MS, retry: null };
  const stream = {
    timeout: call.timeout,
    retryRequestOptions: { retries: 0, noResponseRetries: 0, shouldRetryFn: () => false },
  };
  let opened: ReturnType<typeof openClient> | null = null;

  async function ask<T>(op: string, key: string, run: (client: Awaited<ReturnType<typeof openClient>>) => Promise<T>) {
    opened ??= openClient(options);
    try {
      return await run(await opened);
    } catch (error) {
      throw toFault(error, op, key);
    }
  }

  async function get(op: string, key: string, paths: readonly string[], begin: boolean) {
    const names = paths.map(nameOf);
    return ask(op, key, async (client) => {
      const request = { database, documents: names, ...(begin ? { newTransaction: { readWrite: {} } } : {}) };
      const found = new Map<string, Row>();
      let transaction: Uint8Array = Buffer.alloc(0);
      await each(
        client.batchGetDocuments(request, stream),
        (answer: { readonly transaction?: Uint8Array; readonly found?: Document | null }) => {
          if (answer.transaction && answer.transaction.length > 0) transaction = Buffer.from(answer.transaction);
          if (answer.found) found.set(answer.found.name, toRow(answer.found));
        },
      );
      return { transaction, rows: names.map((name) => found.get(name) ?? null) };
    });
  }

  /** False: the condition of the write did not hold. */
  async function commit(op: string, key: string, write: Write, transaction?: Uint8Array): Promise<boolean> {
    const request = { database, writes: [write], ...(transaction === undefined ? {} : { transaction }) };
    try {
      await ask(op, key, (client) => client.commit(request, call));
      return true;
    } catch (error) {
      const code = codeOf((error as Fault).cause);
      if (code === ALREADY_EXISTS || code === NOT_FOUND || code === FAILED_PRECONDITION) return false;
      throw error;
    }
  }

  async function attempt<T>({ op, key, path, decide, lost }: Change<T>): Promise<T> {
    const [row = null] = (await get(op, key, [path], false)).rows;
    const { answer, write } = decide(row, null);
    if (write === undefined) return answer;
    return (await commit(op, key, { ...write, ...unchanged(row) })) ? answer : lost;
  }

  /** The guard is read in the transaction, which locks out who would change it, and nobody else. */
  async function attemptGuarded<T>({ op, key, path, decide, lost }: Change<T>, guard: string): Promise<T | null> {
    const reading = get(op, key, [guard, path], false);
    reading.catch(() => {});
    const { transaction, rows: locked } = await get(op, key, [guard], true);
    let ends = false;
    try {
      const [guarding = null, row = null] = (await reading).rows;
      const { answer, write } = decide(row, guarding);
      if (write === undefined) return answer;
      if (!isSame(guarding, locked[0] ?? null)) return null;
      ends = true;
      return (await commit(op, key, { ...write, ...unchanged(row) }, transaction)) ? answer : lost;
    } finally {
      // Unless told, Firestore keeps others waiting. Whether it hears that changes no answer.
      if (!ends) await ask(op, key, (client) => client.rollback({ database, transaction }, call)).catch(() => {});
    }
  }

  return {
    nameOf,

    read: async (op, key, paths) => (await get(op, key, paths, false)).rows,

    query: (op, parent, structuredQuery) =>
      ask(op, parent, async (client) => {
        const rows: Row[] = [];
        const request = { parent: nameOf(parent), structuredQuery };
        await each(client.runQuery(request, stream), ({ document }: { readonly document?: Document | null }) => {
          if (document) rows.push(toRow(document));
        });
        return rows;
      }),

    write: (op, key, write) => commit(op, key, write),

    async change(change) {
      let cause: unknown = null;
      for (let attempts = 1; attempts <= ATTEMPTS_MAX; attempts++) {
        try {
          if (change.guard === undefined) return await attempt(change);
          const answer = await attemptGuarded(change, change.guard);
          if (answer !== null) return answer;
        } catch (error) {
          if (!isContention(error)) throw error;
          cause = error;
        }
        await pause(PAUSE_MS_MIN + Math.random() * Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** attempts));
      }
      throw busy(change.op, change.key, cause);
    },

    async close() {
      const client = await opened?.catch(() => null);
      await client?.close();
    },
  };
}

function isContention(error: unknown): boolean {
  const { cause, message } = (error ?? {}) as { readonly cause?: unknown; readonly message?: string };
  const code = codeOf(cause);
  return code === ABORTED || (code === INVALID_ARGUMENT && OVER.test(message ?? ''));
}

function busy(op: string, key: string, cause: unknown): Fault {
  const text = `Firestore, ${op}: others were in the way ${ATTEMPTS_MAX} times`;
  return fault('conflict', text, { op, key, cause });
}

const TOO_LARGE = /exceeds the maximum allowed size|Request payload size exceeds/;

function toFault(error: unknown, op: string, key: string): Fault {
  const found = toGrpcFault(error, { service: 'Firestore', op, key });
  const tooLarge = found.kind === 'invalid' && TOO_LARGE.test(found.message);
  return tooLarge ? fault('too-large', found.message, { op, key, cause: error }) : found;
}

/** Reads a stream to its end. */
function each<T>(stream: NodeJS.EventEmitter, take: (answer: T) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.on('data', take);
    stream.on('error', reject);
    stream.on('end', resolve);
  });
}

function toRow({ name, fields, updateTime }: Document): Row {
  return { id: name.slice(name.lastIndexOf('/') + 1), fields, updateTime: updateTime ?? null };
}

function unchanged(row: Row | null): Pick<Write, 'currentDocument'> {
  return { currentDocument: row === null ? { exists: false } : { updateTime: row.updateTime } };
}

function isSame(a: Row | null, b: Row | null): boolean {
  const [left, right] = [a, b].map((row) => `${row?.updateTime?.seconds} ${row?.updateTime?.nanos}`);
  return left === right;
}

/** The SDK costs a second to load, so nobody loads it who does not use it. */
async function openClient({ projectId, apiEndpoint, userAgent }: FirestoreConnectionOptions) {
  const { default: sdk } = await import('@google-cloud/firestore');
  const agent = { libName: userAgent ?? 'triplicate', libVersion: '1' };
  const where = apiEndpoint === undefined ? {} : await localAddress(apiEndpoint);
  return new sdk.v1.FirestoreClient({ projectId, ...agent, ...where });
}

async function localAddress(endpoint: string) {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
  if (url === null || url.protocol !== 'http:' || url.port === '')
    throw invalid('apiEndpoint', endpoint, 'http://, a host and a port');
  const { credentials } = await import('@grpc/grpc-js');
  // Told the universe, the SDK does not look for a metadata server to ask.
  const clientOptions = { universeDomain: 'googleapis.com' };
  return { apiEndpoint: url.hostname, port: Number(url.port), sslCreds: credentials.createInsecure(), clientOptions };
}
