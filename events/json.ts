/** Reads documents that somebody else may extend: unknown fields are left alone, wrong ones are told with their path. */

import { invalid } from '../shared/model/fault.ts';
import { at, type Fields, type Path, readText, refuse } from '../shared/model/read.ts';

/** No cloud sends more; a longer text is no notification. */
const TEXT_MAX = 1024 * 1024;

export function parseJson(text: string, path: string): unknown {
  if (text.length > TEXT_MAX) throw invalid(path, `${text.length} characters`, `at most ${TEXT_MAX}`);
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(path, text, 'JSON');
  }
}

/** An object, whatever else it holds. */
export function readOpen(value: unknown, path: Path): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(value, path, 'an object');
  return value as Fields;
}

export function fieldOf(fields: Fields, name: string, path: Path): Fields {
  return readOpen(fields[name], at(path, name));
}

export function textOf(fields: Fields, name: string, path: Path): string {
  return readText(fields[name], at(path, name));
}

/** A text, a number written as one, or nothing. */
export function maybeText(fields: Fields, name: string, path: Path): string | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  return typeof value === 'number' ? String(value) : readText(value, at(path, name));
}
