/** Pub/Sub's filter language: a text becomes a test of a message's attributes, or is refused. */

import { grpcError } from '../grpc.ts';

export type Filter = (attributes: Readonly<Record<string, string>>) => boolean;

interface Token {
  readonly kind: 'word' | 'text' | 'sign' | 'end';
  readonly value: string;
  readonly at: number;
}

const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z0-9_][A-Za-z0-9_-]*)|(!=|[():=.,-]))/y;

/** An empty text lets everything pass. Throws INVALID_ARGUMENT where the text is no filter. */
export function readFilter(source: string): Filter {
  if (source.trim() === '') return () => true;
  const tokens = tokensOf(source);
  let at = 0;

  const peek = (): Token => tokens[at] as Token;
  const next = (): Token => tokens[at++] as Token;
  function fail(token: Token, expected: string): never {
    const found = token.kind === 'end' ? 'the end' : token.value;
    throw unreadable(`expected ${expected} at position ${token.at + 1}, found ${found}`);
  }
  function take(value: string): void {
    const token = next();
    if (token.kind === 'text' || token.value !== value) fail(token, value);
  }
  const sees = (value: string): boolean => peek().kind !== 'text' && peek().value === value;

  /** Google wants parentheses where AND and OR meet, so one chain has one of them. */
  function chain(): Filter {
    const parts = [term()];
    const joint = sees('AND') ? 'AND' : sees('OR') ? 'OR' : null;
    while (joint !== null && sees(joint)) {
      next();
      parts.push(term());
    }
    if (sees('AND') || sees('OR')) fail(peek(), 'parentheses, since AND and OR are combined,');
    return joint === 'OR' ? (it) => parts.some((part) => part(it)) : (it) => parts.every((part) => part(it));
  }

  function term(): Filter {
    if (sees('NOT') || sees('-')) {
      next();
      const inner = term();
      return (it) => !inner(it);
    }
    if (sees('(')) {
      next();
      const inner = chain();
      take(')');
      return inner;
    }
    return sees('hasPrefix') ? prefix() : comparison();
  }

  function prefix(): Filter {
    take('hasPrefix');
    take('(');
    take('attributes');
    take('.');
    const name = key();
    take(',');
    const value = text();
    take(')');
    return (it) => Object.hasOwn(it, name) && (it[name] as string).startsWith(value);
  }

  function comparison(): Filter {
    take('attributes');
    if (sees(':')) {
      next();
      const name = key();
      return (it) => Object.hasOwn(it, name);
    }
    take('.');
    const name = key();
    const sign = next();
    if (sign.value !== '=' && sign.value !== '!=') fail(sign, '= or !=');
    const value = text();
    const equal: Filter = (it) => Object.hasOwn(it, name) && it[name] === value;
    return sign.value === '=' ? equal : (it) => !equal(it);
  }

  function key(): string {
    const token = next();
    if (token.kind === 'text') return unquote(token);
    return token.kind === 'word' ? token.value : fail(token, 'an attribute key');
  }

  function text(): string {
    const token = next();
    return token.kind === 'text' ? unquote(token) : fail(token, 'a text in quotation marks');
  }

  const filter = chain();
  if (peek().kind !== 'end') fail(peek(), 'the end');
  return filter;
}

function tokensOf(source: string): readonly Token[] {
  const tokens: Token[] = [];
  const end = source.trimEnd().length;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < end) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(source);
    if (match === null) throw unreadable(`unexpected character at position ${at + 1}`);
    const [, text, word, sign] = match;
    const value = text ?? word ?? sign ?? '';
    tokens.push({ kind: text !== undefined ? 'text' : word !== undefined ? 'word' : 'sign', value, at });
  }
  return [...tokens, { kind: 'end', value: '', at: end }];
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', v: '\v', a: '\x07' };

function unquote({ value }: Token): string {
  return value
    .slice(1, -1)
    .replace(/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([0-7]{3})|(.))/gs, (_all, unicode, hex, octal, plain) => {
      if (unicode !== undefined || hex !== undefined) return String.fromCharCode(Number.parseInt(unicode ?? hex, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      return ESCAPES[plain] ?? plain;
    });
}

function unreadable(why: string) {
  return grpcError('INVALID_ARGUMENT', `Invalid filter: ${why}.`);
}
