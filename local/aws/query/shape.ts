/** What requests and answers of a service look like, as data: read from JSON or a form, written as XML, and as a type. */

import { elements, type Form, text } from './form.ts';

export type Shape = 'string' | 'integer' | 'boolean' | List | Dictionary | Structure;

export interface List {
  readonly list: Shape;
  /** Its name in forms and XML, where that differs from the member's. */
  readonly as?: string;
  /** Of one item inside the list; left out: the items stand where the list would. */
  readonly item?: string;
}

export interface Dictionary {
  readonly map: Shape;
  readonly as?: string;
  readonly item?: string;
  readonly key: string;
  readonly value: string;
}

export interface Structure {
  readonly required?: Readonly<Record<string, Shape>>;
  readonly optional?: Readonly<Record<string, Shape>>;
}

export type Value<S> = S extends 'string'
  ? string
  : S extends 'integer'
    ? number
    : S extends 'boolean'
      ? boolean
      : S extends { readonly list: infer Item }
        ? readonly Value<Item>[]
        : S extends { readonly map: infer Item }
          ? Readonly<Record<string, Value<Item>>>
          : {
              readonly [K in keyof Part<S, 'required'>]: Value<Part<S, 'required'>[K]>;
            } & { readonly [K in keyof Part<S, 'optional'>]?: Value<Part<S, 'optional'>[K]> };

type Part<S, K extends string> = S extends { readonly [P in K]: infer Members } ? Members : unknown;

/** The request is not what the service takes. `missing`: a required parameter; else something of the wrong sort. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
  readonly kind: 'missing' | 'malformed';
  readonly member: string;

  constructor(kind: 'missing' | 'malformed', member: string) {
    super(`${member} is ${kind}`);
    this.kind = kind;
    this.member = member;
  }
}

/** Unknown members are left out, as AWS does; so is null. */
export function readJson<S extends Shape>(shape: S, value: unknown): Value<S> {
  return fromJson(shape, value, '') as never;
}

export function readForm<S extends Shape>(shape: S, form: Form): Value<S> {
  return fromForm(shape, form, '') as never;
}

export function writeXml(shape: Structure, value: unknown): string {
  return toXml(shape, value);
}

function fromJson(shape: Shape, value: unknown, name: string): unknown {
  if (typeof shape === 'string') return scalar(shape, value, name);
  if (typeof value !== 'object' || value === null) throw new ShapeError('malformed', name);
  if ('list' in shape) {
    if (!Array.isArray(value)) throw new ShapeError('malformed', name);
    return value.map((item) => fromJson(shape.list, item, name));
  }
  if (Array.isArray(value)) throw new ShapeError('malformed', name);
  const members = value as Readonly<Record<string, unknown>>;
  if ('map' in shape)
    return dictionary(Object.entries(members).map(([key, item]) => [key, fromJson(shape.map, item, `${name}.${key}`)]));
  return structure(shape, (member, of) => {
    const inside = Object.hasOwn(members, member) ? members[member] : undefined;
    return inside === undefined || inside === null ? undefined : fromJson(of, inside, member);
  });
}

function scalar(shape: 'string' | 'integer' | 'boolean', value: unknown, name: string): unknown {
  const fits = shape === 'integer' ? Number.isSafeInteger(value) : typeof value === shape;
  if (!fits) throw new ShapeError('malformed', name);
  return value;
}

function fromForm(shape: Shape, form: Form, name: string): unknown {
  if (typeof shape === 'string') return fromText(shape, text(form), name);
  if ('list' in shape) return elements(form).map((item) => fromForm(shape.list, item, name));
  if ('map' in shape)
    return dictionary(
      elements(form).map((entry) => {
        const [key, value] = [entry.get(shape.key), entry.get(shape.value)];
        if (key === undefined || value === undefined) throw new ShapeError('malformed', name);
        return [text(key) ?? '', fromForm(shape.map, value, `${name}.${text(key)}`)];
      }),
    );
  return structure(shape, (member, of) => {
    const inside = placeOf(member, of).reduce<Form | undefined>((at, step) => at?.get(step), form);
    return inside === undefined ? undefined : fromForm(of, inside, member);
  });
}

/** Where a member stands in a form. */
function placeOf(member: string, shape: Shape): readonly string[] {
  if (typeof shape === 'string' || !('list' in shape || 'map' in shape)) return [member];
  return shape.item === undefined ? [shape.as ?? member] : [shape.as ?? member, shape.item];
}

function fromText(shape: 'string' | 'integer' | 'boolean', value: string | undefined, name: string): unknown {
  if (value === undefined) throw new ShapeError('malformed', name);
  if (shape === 'string') return value;
  if (shape === 'boolean' && /^(true|false)$/.test(value)) return value === 'true';
  if (shape === 'integer' && /^-?\d{1,15}$/.test(value)) return Number(value);
  throw new ShapeError('malformed', name);
}

/** An empty text is no value for a required parameter. */
function structure({ required = {}, optional = {} }: Structure, read: (member: string, of: Shape) => unknown): unknown {
  const found: [string, unknown][] = [];
  for (const [member, of] of Object.entries(required)) {
    const value = read(member, of);
    if (value === undefined || value === '') throw new ShapeError('missing', member);
    found.push([member, value]);
  }
  for (const [member, of] of Object.entries(optional)) {
    const value = read(member, of);
    if (value !== undefined) found.push([member, value]);
  }
  return Object.fromEntries(found);
}

/** Without a prototype: names come from outside. */
function dictionary(entries: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  const found: Record<string, unknown> = Object.create(null);
  for (const [key, value] of entries) found[key] = value;
  return found;
}

function toXml(shape: Shape, value: unknown): string {
  if (typeof shape === 'string') return escapeXml(String(value));
  if ('list' in shape || 'map' in shape) throw new Error('a list or a map needs the name of its member');
  const members = value as Readonly<Record<string, unknown>>;
  return Object.entries({ ...shape.required, ...shape.optional })
    .filter(([member]) => members[member] !== undefined)
    .map(([member, of]) => memberToXml(member, of, members[member]))
    .join('');
}

function memberToXml(member: string, shape: Shape, value: unknown): string {
  if (typeof shape === 'string' || !('list' in shape || 'map' in shape)) return element(member, toXml(shape, value));
  const [name, item] = [shape.as ?? member, shape.item];
  const inside =
    'list' in shape
      ? (value as readonly unknown[]).map((it) => toXml(shape.list, it))
      : Object.entries(value as Readonly<Record<string, unknown>>).map(
          ([key, it]) => element(shape.key, escapeXml(key)) + element(shape.value, toXml(shape.map, it)),
        );
  if (item === undefined) return inside.map((it) => element(name, it)).join('');
  return element(name, inside.map((it) => element(item, it)).join(''));
}

export function element(name: string, inside: string): string {
  return `<${name}>${inside}</${name}>`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\r': '&#xD;',
};

export function escapeXml(value: string): string {
  return value.replace(/[&<>"'\r]/g, (sign) => ESCAPES[sign] ?? sign);
}
