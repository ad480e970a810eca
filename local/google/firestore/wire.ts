/** Firestore's messages as they arrive decoded: defaults filled in, 64-bit integers and enums as text, oneofs as they are set. */

export interface Time {
  readonly seconds: string | number;
  readonly nanos: number;
}

/** Exactly one of them is there. */
export interface Value {
  readonly nullValue?: unknown;
  readonly booleanValue?: boolean;
  readonly integerValue?: string | number;
  readonly doubleValue?: number;
  readonly timestampValue?: Time;
  readonly stringValue?: string;
  readonly bytesValue?: Buffer;
  readonly referenceValue?: string;
  readonly geoPointValue?: { readonly latitude: number; readonly longitude: number };
  readonly arrayValue?: { readonly values: readonly Value[] };
  readonly mapValue?: { readonly fields: Fields };
}

export type Fields = Readonly<Record<string, Value>>;

export interface Document {
  readonly name: string;
  readonly fields: Fields;
  readonly createTime: Time | null;
  readonly updateTime: Time | null;
}

export interface Precondition {
  readonly exists?: boolean;
  readonly updateTime?: Time | null;
}

export interface FieldTransform {
  readonly fieldPath: string;
  readonly setToServerValue?: string;
  readonly increment?: Value | null;
  readonly maximum?: Value | null;
  readonly minimum?: Value | null;
  readonly appendMissingElements?: { readonly values: readonly Value[] } | null;
  readonly removeAllFromArray?: { readonly values: readonly Value[] } | null;
}

export interface Mask {
  readonly fieldPaths: readonly string[];
}

export interface Write {
  readonly update?: Document | null;
  readonly delete?: string;
  readonly transform?: { readonly document: string; readonly fieldTransforms: readonly FieldTransform[] } | null;
  readonly updateMask: Mask | null;
  readonly updateTransforms: readonly FieldTransform[];
  readonly currentDocument: Precondition | null;
}

export interface WriteResult {
  readonly updateTime: Time | null;
  readonly transformResults: readonly Value[];
}

export interface TransactionOptions {
  readonly readOnly?: { readonly readTime?: Time | null } | null;
  readonly readWrite?: { readonly retryTransaction: Buffer } | null;
}

/** What a read may ask for beside what it reads. */
export interface Consistency {
  readonly transaction?: Buffer;
  readonly newTransaction?: TransactionOptions | null;
  readonly readTime?: Time | null;
}

export interface FieldReference {
  readonly fieldPath: string;
}

export interface Filter {
  readonly compositeFilter?: { readonly op: string; readonly filters: readonly Filter[] } | null;
  readonly fieldFilter?: { readonly field: FieldReference; readonly op: string; readonly value: Value } | null;
  readonly unaryFilter?: { readonly field?: FieldReference; readonly op: string } | null;
}

export interface Cursor {
  readonly values: readonly Value[];
  readonly before: boolean;
}

export interface StructuredQuery {
  readonly select: { readonly fields: readonly FieldReference[] } | null;
  readonly from: readonly { readonly collectionId: string; readonly allDescendants: boolean }[];
  readonly where: Filter | null;
  readonly orderBy: readonly { readonly field: FieldReference; readonly direction: string }[];
  readonly startAt: Cursor | null;
  readonly endAt: Cursor | null;
  readonly offset: number;
  readonly limit: { readonly value: number } | null;
  readonly findNearest?: unknown;
}

/** Firestore counts microseconds. */
export function toMicros(time: Time): number {
  return Number(time.seconds) * 1_000_000 + Math.floor(time.nanos / 1_000);
}

export function toTime(micros: number): Time {
  const seconds = Math.floor(micros / 1_000_000);
  return { seconds: String(seconds), nanos: (micros - seconds * 1_000_000) * 1_000 };
}
