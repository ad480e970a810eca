/** Reads the XML that clients send, without any entity of their own, and writes what S3 answers. */

import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { refusal } from './refusal.ts';

/** An element as it was sent: its text, or its children by name. */
export type Element = string | { readonly [name: string]: Element | readonly Element[] };

const CDATA = '#cdata';
const TEXT = '#text';

const parser = new XMLParser({
  ignoreAttributes: true,
  removeNSPrefix: true,
  parseTagValue: false,
  trimValues: false,
  // Nobody may define entities; the five that XML knows are read here, in text().
  processEntities: false,
  cdataPropName: CDATA,
  ignoreDeclaration: true,
  ignorePiTags: true,
  maxNestedTags: 20,
});

/** The element of this name, which must be the outermost one. Anything else is MalformedXML. */
export function readXml(source: string, root: string): Element {
  // A document type is the only way to define entities, and no client of S3 sends one.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: XML forbids exactly these
  if (/<!(?!\[CDATA\[|--)/.test(source) || /[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(source))
    throw refusal('MalformedXML');
  if (XMLValidator.validate(source) !== true) throw refusal('MalformedXML');
  let document: Element;
  try {
    document = parser.parse(source) as Element;
  } catch {
    throw refusal('MalformedXML');
  }
  const found = child(document, root);
  if (found === undefined) throw refusal('MalformedXML');
  return found;
}

export function child(element: Element, name: string): Element | undefined {
  return children(element, name)[0];
}

export function children(element: Element, name: string): readonly Element[] {
  if (typeof element === 'string' || !Object.hasOwn(element, name)) return [];
  const found = element[name];
  if (found === undefined) return [];
  return isList(found) ? found : [found];
}

/** Throws MalformedXML unless the element has no others than these children. */
export function onlyChildren(element: Element, names: readonly string[]): void {
  if (typeof element === 'string') return;
  for (const name of Object.keys(element)) if (name !== TEXT && !names.includes(name)) throw refusal('MalformedXML');
}

/** The text of a child; undefined where there is no such child. */
export function text(element: Element, name: string): string | undefined {
  const found = child(element, name);
  if (found === undefined) return undefined;
  if (typeof found === 'string') return unescapeXml(found);
  // Raw text beside other text has lost its place, and no client of S3 writes such.
  const raw = child(found, CDATA);
  const beside = child(found, TEXT) ?? '';
  if (typeof raw !== 'string' || typeof beside !== 'string' || beside.trim() !== '') throw refusal('MalformedXML');
  return raw;
}

function isList(value: Element | readonly Element[]): value is readonly Element[] {
  return Array.isArray(value);
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescapeXml(source: string): string {
  // Line ends as XML has them: a carriage return counts only where it was written as a reference.
  const lines = source.replace(/\r\n?/g, '\n');
  return lines.replace(/&([^;&]{1,10});|&/g, (_, name: string | undefined) => {
    const number = /^#(?:x([0-9a-fA-F]{1,6})|(\d{1,7}))$/.exec(name ?? '');
    const point = number === null ? null : Number.parseInt(number[1] ?? number[2] ?? '', number[1] ? 16 : 10);
    const character = point === null ? NAMED[name ?? ''] : point <= 0x10ffff && String.fromCodePoint(point);
    if (typeof character !== 'string' || !character.isWellFormed()) throw refusal('MalformedXML');
    return character;
  });
}

/** Elements to be written: a name, then a text or more elements. What is undefined is left out. */
export type Node = readonly [name: string, content: string | number | boolean | undefined | readonly Node[]];

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';
const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';

export function toXml(root: string, content: readonly Node[] | string): string {
  const inner = typeof content === 'string' ? escapeXml(content) : content.map(writeNode).join('');
  return `${HEAD}<${root} xmlns="${NAMESPACE}">${inner}</${root}>`;
}

/** Errors have no namespace. */
export function toErrorXml(content: readonly Node[]): string {
  return HEAD + writeNode(['Error', content]);
}

function writeNode([name, content]: Node): string {
  if (content === undefined) return '';
  const inner = typeof content === 'object' ? content.map(writeNode).join('') : escapeXml(String(content));
  // An end tag does not repeat the attributes.
  return `<${name}>${inner}</${name.split(' ', 1)[0]}>`;
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

function escapeXml(source: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: S3 writes even what XML forbids, as references
  return source.replace(/[&<>"\u0000-\u0008\u000b-\u001f\ufffe\uffff]/g, (character) => {
    return ESCAPES[character] ?? `&#x${character.charCodeAt(0).toString(16)};`;
  });
}
