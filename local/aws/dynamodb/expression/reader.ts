/** What the readers of all expressions share: a place among the tokens, and document paths. */

import { RESERVED_WORDS } from '../reserved-words.ts';
import type { Value } from '../values.ts';
import type { Placeholders } from './placeholders.ts';
import { type Field, readTokens, syntaxError, type Token, wrongExpression } from './tokens.ts';

/** Names of attributes and of map members, and places in lists. */
export type Path = readonly (string | number)[];

export interface Reader {
  readonly field: Field;
  readonly placeholders: Placeholders;
  peek(ahead?: number): Token;
  next(): Token;
  /** Takes the token if it is this symbol, or this keyword in any case. */
  accept(text: string): boolean;
  expect(text: string): void;
  /** The error about the token that comes next. */
  unexpected(): Error;
  path(): Path;
  value(): Value;
  /** Whether a keyword comes next. */
  isWord(...words: readonly string[]): boolean;
}

/** More would let an expression exhaust the stack; DynamoDB stops at 300 operators. */
const PATH_PARTS_MAX = 64;
const INDEX_MAX = 2 ** 31 - 1;

export function openReader(field: Field, text: string, placeholders: Placeholders): Reader {
  const tokens = readTokens(field, text);
  let at = 0;
  const peek = (ahead = 0): Token => tokens[Math.min(at + ahead, tokens.length - 1)] as Token;
  const unexpected = () => syntaxError(field, text, tokens, at);

  function next(): Token {
    const token = peek();
    if (token.kind !== 'end') at += 1;
    return token;
  }

  function isWord(...words: readonly string[]): boolean {
    return peek().kind === 'word' && words.includes(peek().text.toUpperCase());
  }

  function accept(wanted: string): boolean {
    const token = peek();
    const same =
      token.kind === 'word' ? token.text.toUpperCase() === wanted : token.kind === 'symbol' && token.text === wanted;
    if (same) at += 1;
    return same;
  }

  function expect(wanted: string): void {
    if (!accept(wanted)) throw unexpected();
  }

  function pathName(): string {
    const token = peek();
    if (token.kind === 'name') return placeholders.name(field, next().text);
    if (token.kind !== 'word') throw unexpected();
    if (RESERVED_WORDS.has(token.text.toUpperCase()))
      throw wrongExpression(field, `Attribute name is a reserved keyword; reserved keyword: ${token.text}`);
    return next().text;
  }

  function path(): Path {
    const parts: (string | number)[] = [pathName()];
    for (;;) {
      if (parts.length > PATH_PARTS_MAX)
        throw wrongExpression(
          field,
          `The document path has too many nesting elements; nesting levels: ${parts.length}`,
        );
      if (accept('.')) parts.push(pathName());
      else if (accept('[')) {
        const index = Number(peek().text);
        if (peek().kind !== 'index') throw unexpected();
        if (index > INDEX_MAX)
          throw wrongExpression(field, `List index is not within the allowable range; index: [${peek().text}]`);
        next();
        expect(']');
        parts.push(index);
      } else return parts;
    }
  }

  return {
    field,
    placeholders,
    peek,
    next,
    accept,
    expect,
    unexpected,
    path,
    isWord,
    value() {
      if (peek().kind !== 'value') throw unexpected();
      return placeholders.value(field, next().text);
    },
  };
}

/** As AWS writes a path into a message. */
export function describePath(path: Path): string {
  return `[${path.map((part) => (typeof part === 'number' ? `[${part}]` : part)).join(', ')}]`;
}

/** undefined: nothing stands there. */
export function valueAt(item: Readonly<Record<string, Value>>, path: Path): Value | undefined {
  let value: Value | undefined = { M: item };
  for (const part of path) {
    if (typeof part === 'number') value = value?.L?.[part];
    else value = value?.M !== undefined && Object.hasOwn(value.M, part) ? value.M[part] : undefined;
    if (value === undefined) return undefined;
  }
  return value;
}

/** Two paths of which one leads through the other cannot be used together, nor two that use one place in two ways. */
export function checkApart(field: Field, paths: readonly Path[]): void {
  for (const [index, one] of paths.entries())
    for (const two of paths.slice(index + 1)) {
      const depth = Math.min(one.length, two.length);
      const same = one.findIndex((part, at) => at >= depth || part !== two[at]);
      const parted = same === -1 || same >= depth ? depth : same;
      const both = `path one: ${describePath(one)}, path two: ${describePath(two)}`;
      if (parted === depth)
        throw wrongExpression(
          field,
          `Two document paths overlap with each other; must remove or rewrite one of these paths; ${both}`,
        );
      if (typeof one[parted] !== typeof two[parted])
        throw wrongExpression(
          field,
          `Two document paths conflict with each other; must remove or rewrite one of these paths; ${both}`,
        );
    }
}
