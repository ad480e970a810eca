/** One write at a document: its conditions, its mask, its transforms. */

import { grpcError } from '../grpc.ts';
import type { Documents, Stored } from './documents.ts';
import { checkDocumentName, checkSize } from './names.ts';
import { fieldAt, isEqual, readFieldPath, toOrdered, withField } from './value.ts';
import {
  type Fields,
  type FieldTransform,
  type Time,
  toMicros,
  toTime,
  type Value,
  type Write,
  type WriteResult,
} from './wire.ts';

export function nameOf(write: Write): string {
  const name = write.update?.name ?? write.transform?.document ?? write.delete;
  if (name === undefined) throw grpcError('INVALID_ARGUMENT', 'A write has no operation.');
  return name;
}

/** In the transaction of the commit; throws when a condition does not hold. */
export function applyWrite(documents: Documents, write: Write, micros: number): WriteResult {
  const name = nameOf(write);
  checkDocumentName(name);
  const current = documents.get(name);
  checkCondition(write, name, current);
  if (write.update === undefined && write.transform === undefined) {
    documents.remove(name);
    return { updateTime: null, transformResults: [] };
  }
  const at = toTime(micros);
  const transforms = write.transform?.fieldTransforms ?? write.updateTransforms;
  let fields = baseOf(write, current);
  const transformResults: Value[] = [];
  for (const transform of transforms) {
    const path = readFieldPath(transform.fieldPath);
    const { value, result } = transformed(fieldAt(fields, path), transform, at);
    fields = withField(fields, path, value);
    transformResults.push(result);
  }
  checkSize(name, fields);
  const updateTime = documents.put({ name, fields, createTime: current?.createTime ?? micros, updateTime: micros });
  return { updateTime: toTime(updateTime), transformResults };
}

function checkCondition(write: Write, name: string, current: Stored | null): void {
  const { exists, updateTime } = write.currentDocument ?? {};
  if (exists === true && current === null) throw grpcError('NOT_FOUND', `No document to update: ${name}`);
  if (exists === false && current !== null) throw grpcError('ALREADY_EXISTS', `Document already exists: ${name}`);
  if (updateTime === undefined || updateTime === null) return;
  const wanted = toMicros(updateTime);
  if (current === null)
    throw grpcError(
      'FAILED_PRECONDITION',
      `the stored version (none) does not match the required base version (${wanted})`,
    );
  if (current.updateTime !== wanted)
    throw grpcError(
      'FAILED_PRECONDITION',
      `the stored version (${current.updateTime}) does not match the required base version (${wanted})`,
    );
}

/** What stands before the transforms: all new, or what was there with the fields of the mask. */
function baseOf({ update, updateMask }: Write, current: Stored | null): Fields {
  if (update === undefined || update === null) return current?.fields ?? {};
  if (updateMask === null) return update.fields;
  let fields = current?.fields ?? {};
  for (const path of updateMask.fieldPaths.map(readFieldPath))
    fields = withField(fields, path, fieldAt(update.fields, path));
  return fields;
}

interface Transformed {
  readonly value: Value;
  readonly result: Value;
}

const NULL: Value = { nullValue: 'NULL_VALUE' };

function transformed(current: Value | undefined, transform: FieldTransform, at: Time): Transformed {
  const { setToServerValue, increment, maximum, minimum, appendMissingElements, removeAllFromArray } = transform;
  const both = (value: Value): Transformed => ({ value, result: value });
  if (setToServerValue === 'REQUEST_TIME') return both({ timestampValue: at });
  if (increment) return both(sum(current, numeric(increment)));
  if (maximum) return both(further(current, numeric(maximum), 1));
  if (minimum) return both(further(current, numeric(minimum), -1));
  const values = current?.arrayValue?.values ?? [];
  if (appendMissingElements) {
    const all = [...values];
    for (const each of appendMissingElements.values) if (!all.some((it) => isEqual(it, each))) all.push(each);
    return { value: { arrayValue: { values: all } }, result: NULL };
  }
  if (removeAllFromArray) {
    const left = values.filter((it) => !removeAllFromArray.values.some((each) => isEqual(it, each)));
    return { value: { arrayValue: { values: left } }, result: NULL };
  }
  throw grpcError('INVALID_ARGUMENT', `The transform of ${transform.fieldPath} says nothing to do.`);
}

function numeric(value: Value): Value {
  if (value.integerValue === undefined && value.doubleValue === undefined)
    throw grpcError('INVALID_ARGUMENT', 'The operand of a numeric transform must be a number.');
  return value;
}

function isNumber(value: Value | undefined): value is Value {
  return value !== undefined && (value.integerValue !== undefined || value.doubleValue !== undefined);
}

const INT64_MAX = 2n ** 63n - 1n;

function sum(current: Value | undefined, by: Value): Value {
  if (!isNumber(current)) return by;
  if (current.integerValue === undefined || by.integerValue === undefined) {
    const [a, b] = [current, by].map((it) => it.doubleValue ?? Number(it.integerValue));
    return { doubleValue: (a ?? 0) + (b ?? 0) };
  }
  const exact = BigInt(current.integerValue) + BigInt(by.integerValue);
  const bounded = exact > INT64_MAX ? INT64_MAX : exact < -INT64_MAX - 1n ? -INT64_MAX - 1n : exact;
  return { integerValue: String(bounded) };
}

function further(current: Value | undefined, wanted: Value, direction: 1 | -1): Value {
  if (!isNumber(current)) return wanted;
  return Buffer.compare(toOrdered(wanted), toOrdered(current)) * direction > 0 ? wanted : current;
}
